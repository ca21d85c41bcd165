"""Rows behind a figure, the source of a row, and extracts."""
