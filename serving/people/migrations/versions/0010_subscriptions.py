"""Pages by mail: the tenant's rule, subscriptions, and the mails of each."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Adds three empty tables: nobody gets mail."""
    op.create_table(
        "mail_rule",
        sa.Column("tenant_id", sa.String(), sa.ForeignKey("tenant.tenant_id"), primary_key=True, nullable=False),
        sa.Column("domains", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
    )
    op.create_table(
        "subscription",
        sa.Column("subscription_id", sa.Integer(), primary_key=True, nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("tenant_id", "email", "page", "every")),
        sa.Column("delay_days", sa.Integer(), nullable=False),
        sa.Column("file_format", sa.String(), nullable=False),
        sa.Column("sealed_password", sa.String(), nullable=True),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("ended_because", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    )
    op.create_index("subscription_by_person", "subscription", ["tenant_id", "email"])
    op.create_table(
        "delivery",
        sa.Column("delivery_id", sa.Integer(), primary_key=True, nullable=False),
        sa.Column("subscription_id", sa.Integer(), sa.ForeignKey("subscription.subscription_id"), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("period_start", sa.Date(), nullable=False),
        sa.Column("period_end", sa.Date(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("noted_at", sa.DateTime(), nullable=False),
        sa.Column("next_at", sa.DateTime(), nullable=True),
        sa.Column("sent_at", sa.DateTime(), nullable=True),
        sa.UniqueConstraint("subscription_id", "period_start"),
    )
    op.create_index("delivery_by_tenant", "delivery", ["tenant_id", "noted_at"])
