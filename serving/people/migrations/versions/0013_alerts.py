"""Alerts: rules on metrics, the log of their evaluations, the budget of alarms, and the mails of alarms."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def upgrade() -> None:
    """Adds four empty tables: nobody has an alert."""
    op.create_table(
        "alert_budget",
        sa.Column("tenant_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("email", sa.String(), primary_key=True, nullable=False),
        sa.Column("alarms_a_week", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    )
    op.create_table(
        "alert",
        sa.Column("alert_id", sa.Integer(), primary_key=True, nullable=False),
        *_texts("tenant_id", "email", "metric", "service_unit_id"),
        sa.Column("with_units_below", sa.Boolean(), nullable=False),
        *_texts("every", "kind", "side"),
        sa.Column("threshold", sa.String(), nullable=True),
        *_texts("volume_metric"),
        sa.Column("least_volume", sa.Integer(), nullable=False),
        sa.Column("late_days", sa.Integer(), nullable=False),
        *_texts("made_by"),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.Column("snoozed_until", sa.Date(), nullable=True),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        *_texts("ended_because", "checked_for", "problem"),
        sa.ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    )
    op.create_index("alert_by_person", "alert", ["tenant_id", "email"])
    op.create_table(
        "alarm_mail",
        sa.Column("mail_id", sa.Integer(), primary_key=True, nullable=False),
        *_texts("tenant_id", "email", "message_id", "state"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        *_texts("reason"),
        sa.Column("may_have_arrived", sa.Boolean(), nullable=False),
        sa.Column("noted_at", sa.DateTime(), nullable=False),
        sa.Column("next_at", sa.DateTime(), nullable=True),
        sa.Column("sent_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id", "email"], ["user.tenant_id", "user.email"]),
    )
    op.create_index("alarm_mail_by_person", "alarm_mail", ["tenant_id", "email"])
    op.create_table(
        "alert_evaluation",
        sa.Column("evaluation_id", sa.Integer(), primary_key=True, nullable=False),
        sa.Column("alert_id", sa.Integer(), sa.ForeignKey("alert.alert_id"), nullable=False),
        *_texts("tenant_id", "service_unit_id"),
        sa.Column("period_start", sa.Date(), nullable=False),
        sa.Column("period_end", sa.Date(), nullable=False),
        sa.Column("value", sa.String(), nullable=True),
        sa.Column("base", sa.String(), nullable=True),
        sa.Column("volume", sa.String(), nullable=True),
        *_texts("verdict", "reason", "figures_mark"),
        sa.Column("size", sa.Float(), nullable=False),
        sa.Column("data_as_of", sa.Date(), nullable=False),
        sa.Column("evaluated_at", sa.DateTime(), nullable=False),
        sa.Column("mail_id", sa.Integer(), sa.ForeignKey("alarm_mail.mail_id"), nullable=True),
        sa.Column("acknowledged_by", sa.String(), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(), nullable=True),
        sa.Column("sealed_note", sa.String(), nullable=True),
        sa.UniqueConstraint("alert_id", "service_unit_id", "period_start"),
    )
    op.create_index("alert_evaluation_by_tenant", "alert_evaluation", ["tenant_id", "evaluated_at"])
