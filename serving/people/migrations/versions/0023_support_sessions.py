"""Support sessions: times in which an administrator of the platform looks at the pages of a tenant, and what tenants allow."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Adds an empty table, and columns that are empty: tenants have the usual rule, and no sign-in is one of the support."""
    op.create_table(
        "support_session",
        sa.Column("support_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("tenant_id", sa.String(), sa.ForeignKey("tenant.tenant_id"), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", sa.DateTime(), nullable=True),
        sa.Column("is_refused", sa.Boolean(), nullable=True),
        sa.Column("began_at", sa.DateTime(), nullable=True),
        sa.Column("until", sa.DateTime(), nullable=True),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.Column("ticket_hash", sa.String(), nullable=True),
        sa.Column("ticket_until", sa.DateTime(), nullable=True),
    )
    op.add_column("tenant", sa.Column("support_policy", sa.String(), nullable=True))
    op.add_column("session", sa.Column("support_id", sa.String(), nullable=True))
