"""Forecasts as they were made."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Adds two empty tables: nothing was forecast."""
    op.create_table(
        "forecast_issue",
        sa.Column("issue_number", sa.Integer(), primary_key=True),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("issue_id", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("data_as_of", sa.Date(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
        sa.UniqueConstraint("tenant_id", "issue_id"),
        sa.UniqueConstraint("tenant_id", "version", "model"),
    )
    op.create_table(
        "forecast",
        sa.Column("forecast_number", sa.Integer(), primary_key=True),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("issue_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("grain", sa.String(), nullable=False),
        sa.Column("service_unit_id", sa.String(), nullable=False),
        sa.Column("definition", sa.String(), nullable=False),
        sa.Column("is_shown", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("origins", sa.Integer(), nullable=False),
        sa.Column("outcomes", sa.Integer(), nullable=False),
        sa.Column("held", sa.String(), nullable=True),
        sa.Column("scaled_error", sa.String(), nullable=True),
        sa.Column("obvious_scaled_error", sa.String(), nullable=True),
        sa.Column("points", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "issue_id"], ["forecast_issue.tenant_id", "forecast_issue.issue_id"]),
        sa.UniqueConstraint("tenant_id", "issue_id", "position"),
    )
