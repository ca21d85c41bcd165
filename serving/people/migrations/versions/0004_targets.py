"""Targets of metrics, a row a version."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds an empty table."""
    op.create_table(
        "target",
        sa.Column("target_id", sa.Integer(), primary_key=True),
        sa.Column("tenant_id", sa.String(), sa.ForeignKey("tenant.tenant_id"), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("service_unit_id", sa.String(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("value", sa.String(), nullable=True),
        sa.Column("set_by", sa.String(), nullable=False),
        sa.Column("set_at", sa.DateTime(), nullable=False),
    )
    op.create_index("target_by_tenant", "target", ["tenant_id", "metric"])
