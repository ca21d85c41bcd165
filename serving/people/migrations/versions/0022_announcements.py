"""What the platform announces to the people of all organizations."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Adds an empty table: nothing was announced."""
    op.create_table(
        "announcement",
        sa.Column("announcement_id", sa.Integer(), primary_key=True, nullable=False),
        sa.Column("sentence", sa.String(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
    )
