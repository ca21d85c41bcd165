"""Encrypted files that hold the rows and columns of one scope."""
