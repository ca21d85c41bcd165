"""Alembic's folder: the entry that all databases share. The steps lie beside the tables that they change."""
