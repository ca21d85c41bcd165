"""The tables as they were when the database got a number: those of an earlier release are the same."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Nothing: the tables are there."""
