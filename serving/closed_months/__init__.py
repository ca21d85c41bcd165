"""Closing a month, and what changed in it later."""
