"""A refused file has the slug of its cause (`ingest/problems.yaml`). It is empty for files that an earlier release refused."""

from alembic import op

from foundation.migrations import add_what_is_missing

revision = "0003"
down_revision = "0002"

SCHEMA = "CREATE TABLE IF NOT EXISTS unit (unit_id INTEGER NOT NULL, reason VARCHAR, PRIMARY KEY (unit_id));"


def upgrade() -> None:
    """Adds `unit.reason`."""
    add_what_is_missing(op.get_bind(), SCHEMA)
