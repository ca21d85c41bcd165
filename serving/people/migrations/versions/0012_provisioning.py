"""Accounts that an identity provider keeps (SCIM 2.0): its tokens, its groups, and what groups give here."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def _text(name: str, *, key: bool = False, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(), primary_key=key, nullable=nullable)


def upgrade() -> None:
    """Adds empty tables and columns: everybody was added here."""
    op.add_column("user", _text("external_id", nullable=True))
    op.add_column("user", sa.Column("provisioned_at", sa.DateTime(), nullable=True))
    op.add_column("user", sa.Column("locked_by_provider", sa.Boolean(), nullable=True))
    op.add_column("user", sa.Column("left_at", sa.DateTime(), nullable=True))
    op.create_table(
        "scim_token",
        _text("token_hash", key=True),
        sa.Column("tenant_id", sa.String(), sa.ForeignKey("tenant.tenant_id"), nullable=False),
        _text("name"),
        _text("created_by"),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(), nullable=True),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
    )
    op.create_table(
        "scim_group",
        sa.Column("tenant_id", sa.String(), sa.ForeignKey("tenant.tenant_id"), primary_key=True, nullable=False),
        _text("group_id", key=True),
        _text("name"),
        _text("external_id", nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.UniqueConstraint("tenant_id", "name"),
    )
    op.create_table(
        "scim_member",
        _text("tenant_id", key=True),
        _text("group_id", key=True),
        _text("email", key=True),
        sa.ForeignKeyConstraint(["tenant_id", "group_id"], ["scim_group.tenant_id", "scim_group.group_id"]),
        sa.ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    )
    op.create_table(
        "group_right",
        sa.Column("tenant_id", sa.String(), sa.ForeignKey("tenant.tenant_id"), primary_key=True, nullable=False),
        _text("group_name", key=True),
        _text("role"),
        _text("unit_ids"),
        _text("set_by"),
        sa.Column("set_at", sa.DateTime(), nullable=False),
    )
