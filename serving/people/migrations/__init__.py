"""Steps from each form of the access database to the next (Alembic)."""
