"""Refused files that an operator has acknowledged."""

from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = """
CREATE TABLE IF NOT EXISTS acknowledged (
    acknowledged_id INTEGER NOT NULL,
    tenant_id VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    acknowledged_by VARCHAR NOT NULL,
    acknowledged_at DATETIME NOT NULL,
    PRIMARY KEY (acknowledged_id)
);
CREATE INDEX IF NOT EXISTS acknowledged_by_feed ON acknowledged (tenant_id, feed);
"""


def upgrade() -> None:
    """Makes the table."""
    for statement in SCHEMA.split(";"):
        if statement.strip():
            op.execute(statement)
