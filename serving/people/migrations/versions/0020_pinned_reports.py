"""On which page a saved report stands."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Reports that exist stand on no page."""
    op.add_column("saved_report", sa.Column("pinned_to", sa.String(), nullable=False, server_default=""))
