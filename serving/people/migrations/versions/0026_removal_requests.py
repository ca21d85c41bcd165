"""Organizations that shall leave for ever, as asked for in the console, and the certificates of those that left."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Adds an empty table: nobody asked for a removal."""
    op.create_table(
        "removal_request",
        sa.Column("request_id", sa.Integer(), primary_key=True, nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("certificate", sa.String(), nullable=True),
    )
