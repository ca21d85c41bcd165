"""The page Data health and its tables."""
