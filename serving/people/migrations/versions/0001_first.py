"""The tables as they were before they had a number. Databases without one are taken to be here."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing: the tables are there."""
