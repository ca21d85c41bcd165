"""Compares marts and metrics of DuckDB and PostgreSQL."""
