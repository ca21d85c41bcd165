"""Whose records were shown to whom, from the audit log: for a patient who asks, and for a breach."""
