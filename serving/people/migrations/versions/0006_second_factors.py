"""Second factors: authenticator apps (TOTP), recovery codes, the tenant's rule, and when a session passed its second factor."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds two empty tables and two columns: no tenant requires a second factor yet, and nobody has one."""
    op.add_column("tenant", sa.Column("requires_second_factor", sa.Boolean(), nullable=True))
    op.add_column("session", sa.Column("second_factor_at", sa.DateTime(), nullable=True))
    op.create_table(
        "totp",
        sa.Column("tenant_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("email", sa.String(), primary_key=True, nullable=False),
        sa.Column("sealed_secret", sa.String(), nullable=False),
        sa.Column("offered_at", sa.DateTime(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(), nullable=True),
        sa.Column("last_step", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    )
    op.create_table(
        "recovery_code",
        sa.Column("tenant_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("email", sa.String(), primary_key=True, nullable=False),
        sa.Column("code_hash", sa.String(), primary_key=True, nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    )
