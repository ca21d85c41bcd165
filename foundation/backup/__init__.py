"""Backups of a home: encrypted, incremental, in a folder or in object storage, and the way back."""
