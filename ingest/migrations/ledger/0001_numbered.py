"""The tables as they were when the ledger got a number. A ledger of an earlier release lacks some of them, and some columns."""

from alembic import op

from foundation.migrations import add_what_is_missing

revision = "0001"
down_revision = None

SCHEMA = """
CREATE TABLE IF NOT EXISTS amount (
    batch_id VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    measure VARCHAR NOT NULL,
    tenant_id VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    read_amount VARCHAR NOT NULL,
    landed_amount VARCHAR NOT NULL,
    quarantined_amount VARCHAR NOT NULL,
    PRIMARY KEY (batch_id, entity, measure)
);
CREATE INDEX IF NOT EXISTS amount_by_feed ON amount (tenant_id, feed);
CREATE TABLE IF NOT EXISTS batch (
    batch_sequence INTEGER NOT NULL,
    batch_id VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL,
    tenant_id VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    file VARCHAR,
    rows_read INTEGER NOT NULL,
    rows_landed INTEGER NOT NULL,
    rows_quarantined INTEGER NOT NULL,
    newest_record_at DATETIME,
    landed_at DATETIME NOT NULL,
    PRIMARY KEY (batch_sequence),
    UNIQUE (batch_id, entity),
    CONSTRAINT rows_are_conserved CHECK (rows_read = rows_landed + rows_quarantined)
);
CREATE TABLE IF NOT EXISTS feed_run (
    run_id VARCHAR NOT NULL,
    tenant_id VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    profile VARCHAR,
    outcome VARCHAR NOT NULL,
    problem VARCHAR,
    read_at DATETIME NOT NULL,
    time_zone VARCHAR,
    judged_at DATETIME,
    PRIMARY KEY (run_id, tenant_id, feed)
);
CREATE TABLE IF NOT EXISTS held (
    held_id INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    tenant_id VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    batch_id VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    column_name VARCHAR NOT NULL,
    rows INTEGER NOT NULL,
    first_position VARCHAR NOT NULL,
    detail VARCHAR NOT NULL,
    held_at DATETIME NOT NULL,
    released_at DATETIME,
    what VARCHAR,
    what_count INTEGER,
    amount VARCHAR,
    PRIMARY KEY (held_id)
);
CREATE TABLE IF NOT EXISTS loaded (
    warehouse VARCHAR NOT NULL,
    batch_sequence INTEGER NOT NULL,
    PRIMARY KEY (warehouse, batch_sequence)
);
CREATE TABLE IF NOT EXISTS notice (
    unit_id INTEGER NOT NULL,
    position VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    detail VARCHAR NOT NULL,
    records INTEGER DEFAULT '1' NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_notice_unit_id ON notice (unit_id);
CREATE TABLE IF NOT EXISTS received (
    batch_id VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    day DATE NOT NULL,
    tenant_id VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    rows INTEGER NOT NULL,
    arrived_on DATE NOT NULL,
    PRIMARY KEY (batch_id, entity, day)
);
CREATE INDEX IF NOT EXISTS received_by_feed ON received (tenant_id, feed);
CREATE TABLE IF NOT EXISTS result (
    batch_id VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    rule VARCHAR NOT NULL,
    column_name VARCHAR NOT NULL,
    rows INTEGER NOT NULL,
    unexpected INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS ix_result_batch_id ON result (batch_id);
CREATE TABLE IF NOT EXISTS run (
    run_id VARCHAR NOT NULL,
    config_file VARCHAR NOT NULL,
    started_at DATETIME NOT NULL,
    ended_at DATETIME,
    outcome VARCHAR,
    problem VARCHAR,
    PRIMARY KEY (run_id)
);
CREATE TABLE IF NOT EXISTS stated (
    unit_id INTEGER NOT NULL,
    entity VARCHAR NOT NULL,
    measure VARCHAR NOT NULL,
    tenant_id VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    told_by VARCHAR NOT NULL,
    stated_total VARCHAR NOT NULL,
    given_total VARCHAR NOT NULL,
    PRIMARY KEY (unit_id, entity, measure)
);
CREATE INDEX IF NOT EXISTS stated_by_feed ON stated (tenant_id, feed);
CREATE TABLE IF NOT EXISTS unit (
    unit_id INTEGER NOT NULL,
    run_id VARCHAR NOT NULL,
    tenant_id VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    fingerprint VARCHAR,
    outcome VARCHAR NOT NULL,
    position VARCHAR,
    problem VARCHAR,
    remedy VARCHAR,
    records_read INTEGER NOT NULL,
    records_used INTEGER NOT NULL,
    records_refused INTEGER NOT NULL,
    dropped_fields JSON,
    cursor VARCHAR,
    is_whole BOOLEAN,
    definition VARCHAR,
    read_at DATETIME NOT NULL,
    PRIMARY KEY (unit_id)
);
CREATE INDEX IF NOT EXISTS unit_by_feed ON unit (tenant_id, feed, fingerprint);
CREATE INDEX IF NOT EXISTS unit_by_name ON unit (tenant_id, feed, name);
CREATE TABLE IF NOT EXISTS unknown_word (
    unit_id INTEGER NOT NULL,
    entity VARCHAR NOT NULL,
    column_name VARCHAR NOT NULL,
    word VARCHAR NOT NULL,
    tenant_id VARCHAR NOT NULL,
    feed VARCHAR NOT NULL,
    became VARCHAR NOT NULL,
    rows INTEGER NOT NULL,
    first_position VARCHAR NOT NULL,
    PRIMARY KEY (unit_id, entity, column_name, word)
);
CREATE INDEX IF NOT EXISTS unknown_word_by_feed ON unknown_word (tenant_id, feed);
"""


def upgrade() -> None:
    """Makes the tables and columns that are missing; columns were only ever added, with a default or empty."""
    add_what_is_missing(op.get_bind(), SCHEMA)
