"""Passkeys (WebAuthn) of people, and the challenges whose answers were taken."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Adds two empty tables: nobody has a passkey."""
    op.create_table(
        "passkey",
        sa.Column("credential_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("sign_count", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    )
    op.create_index("passkey_by_person", "passkey", ["tenant_id", "email"])
    op.create_table(
        "passkey_challenge",
        sa.Column("challenge_hash", sa.String(), primary_key=True, nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=False),
    )
