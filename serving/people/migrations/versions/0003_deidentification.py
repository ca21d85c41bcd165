"""By which rule a tenant takes identity out, and below how many people a figure is not shown."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds columns that may be empty: then the strict rule counts, until the next run names the tenant's own."""
    op.add_column("tenant", sa.Column("deidentification_rule", sa.String(), nullable=True))
    op.add_column("tenant", sa.Column("smallest_cell", sa.Integer(), nullable=True))
