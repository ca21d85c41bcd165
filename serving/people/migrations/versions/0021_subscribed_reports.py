"""Subscriptions to saved reports."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Subscriptions that exist are to pages."""
    op.add_column("subscription", sa.Column("report_id", sa.String(), nullable=False, server_default=""))
