"""Sign-in with a tenant's own identity provider (OpenID Connect)."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Adds two empty tables and a column: everybody who is signed in gave a password."""
    op.add_column("session", sa.Column("oidc_session", sa.String(), nullable=True))
    op.create_table(
        "oidc_provider",
        sa.Column("tenant_id", sa.String(), sa.ForeignKey("tenant.tenant_id"), primary_key=True, nullable=False),
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("client_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sealed_secret", sa.String(), nullable=True),
        sa.Column("secret_from", sa.String(), nullable=True),
        sa.Column("links_by_email", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "oidc_link",
        sa.Column("tenant_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("issuer", sa.String(), primary_key=True, nullable=False),
        sa.Column("subject", sa.String(), primary_key=True, nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("linked_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
        sa.UniqueConstraint("tenant_id", "issuer", "email"),
    )
