"""Sites of others that show figures (embedding), and the tickets that were used."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0014"


def upgrade() -> None:
    """Adds empty tables: no site showed figures."""
    op.create_table(
        "embedding_site",
        sa.Column("token_hash", sa.String(), primary_key=True, nullable=False),
        sa.Column("tenant_id", sa.String(), sa.ForeignKey("tenant.tenant_id"), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("pages", sa.String(), nullable=False),
        sa.Column("unit_ids", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(), nullable=True),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
    )
    op.create_table(
        "embedding_ticket",
        sa.Column("ticket_hash", sa.String(), primary_key=True, nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=False),
    )
