"""Address of a sign-in, end of a one-time password, links to choose a password, and the caller of an audit row."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds columns that may be empty: they are empty in earlier rows."""
    for table, column, kind in (
        ("user", "one_time_until", sa.DateTime()),
        ("user", "reset_hash", sa.String()),
        ("user", "reset_until", sa.DateTime()),
        ("session", "address", sa.String()),
        ("session", "browser", sa.String()),
        ("audit", "channel", sa.String()),
        ("audit", "address", sa.String()),
        ("audit", "session", sa.String()),
        ("audit", "os_user", sa.String()),
    ):
        op.add_column(table, sa.Column(column, kind, nullable=True))
