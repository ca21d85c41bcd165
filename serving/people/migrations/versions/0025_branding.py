"""How tenants show themselves on their pages: a display name, an accent colour and a logo."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Adds an empty table: every tenant looks as the product does."""
    op.create_table(
        "branding",
        sa.Column("tenant_id", sa.String(), sa.ForeignKey("tenant.tenant_id"), primary_key=True, nullable=False),
        sa.Column("display_name", sa.String(), nullable=False),
        sa.Column("accent", sa.String(), nullable=False),
        sa.Column("accent_dark", sa.String(), nullable=False),
        sa.Column("logo", sa.LargeBinary(), nullable=False),
        sa.Column("set_by", sa.String(), nullable=False),
        sa.Column("set_at", sa.DateTime(), nullable=False),
    )
