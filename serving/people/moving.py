"""The access database copied from one kind of database to the other: `access.sqlite` to a PostgreSQL server for good, and the server's
content to a file for a backup."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Integer, Table, func, insert, select, text
from sqlalchemy.exc import IntegrityError

from foundation.control_database import ControlDatabase, control_database_of, note_control_database
from foundation.errors import ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from serving.people import audit_anchor, audit_log, control_server
from serving.people.audit_anchor import anchor_of
from serving.people.control_server import NAME, create_tables, opened_server
from serving.people.engines import SERVER, open_engine
from serving.people.tables import ACCESS, AUDIT, METADATA

# The name matches that of copies from before an update: what removes those removes this one.
KEPT = "access.before-postgresql.sqlite"
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class Moved:
    """`rows` by table; `kept` is the file as it was."""

    rows: dict[str, int]
    audit_rows: int
    kept: Path


def move_to_server(home: Home, setting: ControlDatabase, progress: Callable[[str], None] = lambda _: None) -> Moved:
    """Copies `access.sqlite` into an empty database, which is the home's from then on. The audit chain is verified before and after.

    Nobody can write meanwhile. Processes that have the file open are refused from then on, and must be started again. If the move is
    killed, the people are where they were, or wholly on the server.

    Raises ConfigurationError where the home's people are on a server already, where there are none, and for a database that cannot be
    used; ClinicmartError where the audit is not what was written.
    """
    if control_database_of(home) is not None:
        raise ConfigurationError(f"the people of {home.path} are in a PostgreSQL database already")
    if not home.access.exists():
        raise ConfigurationError(
            f"{home.path} has no people yet: name the database in the configuration, and the next clinicmart run makes its tables"
        )
    ACCESS.bring_up_to_date(home.access)
    key = Keys.of(home).derive("audit")
    source = open_engine(home.access)
    try:
        with opened_server(setting) as server, source.begin() as here:
            count = _verified(here, key, f"{home.access.name}", "nothing was moved")
            if problem := audit_anchor.contradiction(here, anchor_of(home), key):
                raise ClinicmartError(f"the audit of {home.access.name}: {problem}; nothing was moved")
            progress(f"{count:,} rows of the audit verified")
            with server.begin() as there:
                # This transaction waits while rows are read and checked.
                there.exec_driver_sql("set local idle_in_transaction_session_timeout = 0")
                create_tables(there, key)
                rows = _copy(here, there)
                if _verified(there, key, NAME, "nothing was moved") != count:
                    raise ClinicmartError(f"{NAME} got another number of rows of the audit; nothing was moved")
            progress(f"{sum(rows.values()):,} rows copied, and the audit verified in {NAME}")
            note_control_database(home, setting)
    finally:
        source.dispose()
    return Moved(rows=rows, audit_rows=count, kept=put_away(home))


def put_away(home: Home) -> Path:
    """Gives the file of a home whose people are on a server another name; returns it. Does nothing where that was done."""
    kept = home.path / KEPT
    if home.access.exists():
        home.access.replace(kept)
        for suffix in ("-wal", "-shm"):
            log = home.access.with_name(home.access.name + suffix)
            if log.exists():
                log.replace(kept.with_name(kept.name + suffix))
    return kept


def copy_to_file(home: Home, folder: Path) -> None:
    """Writes the content of the server's database, as it is at one moment, to `access.sqlite` in a folder; does nothing for a home whose
    people are in a file. Writers go on meanwhile."""
    setting = control_database_of(home)
    if setting is None:
        return
    path = folder / home.access.name
    ACCESS.bring_up_to_date(path)
    target = open_engine(path)
    snapshot = control_server.server_engine(setting.url, Keys.of(home).derive("audit")).execution_options(
        isolation_level="REPEATABLE READ"
    )
    try:
        with snapshot.begin() as there, target.begin() as here:
            there.exec_driver_sql("set local idle_in_transaction_session_timeout = 0")
            _copy(there, here)
    finally:
        target.dispose()
    with closing(sqlite3.connect(path)) as connection:
        # A backup takes the file alone.
        connection.execute("pragma journal_mode = delete")
    path.with_suffix(".lock").unlink(missing_ok=True)


def _verified(connection: Connection, key: bytes, name: str, consequence: str) -> int:
    """The number of rows of the audit. Raises ClinicmartError where it is not what was written."""
    check = audit_log.verify(connection, key)
    if not check.is_intact:
        raise ClinicmartError(f"the audit of {name} is not what was written: {check.problem}; {consequence}")
    return check.rows


def _copy(source: Connection, target: Connection) -> dict[str, int]:
    """Copies every row of every table; returns the number of rows by table. The tables of `target` are empty."""
    counts = {}
    for table in METADATA.sorted_tables:
        counts[table.name] = 0
        rows = source.execute(select(table).execution_options(yield_per=_ROWS_AT_ONCE)).mappings()
        for part in rows.partitions():
            try:
                target.execute(insert(table), [dict(row) for row in part])
            except IntegrityError:
                # The words of the database hold the row.
                raise ClinicmartError(
                    f"a row of the table {table.name} breaks a rule of {NAME}; nothing was moved"
                ) from None
            counts[table.name] += len(part)
        if target.dialect.name == SERVER:
            _count_on(target, table)
    return counts


def _count_on(target: Connection, table: Table) -> None:
    """Numbers that the server gives go on after those that were copied."""
    column = table.autoincrement_column
    if column is None or not isinstance(column.type, Integer) or table is AUDIT:
        return
    highest = target.execute(select(func.max(column))).scalar()
    if highest is not None:
        name = target.dialect.identifier_preparer.format_table(table)
        target.execute(
            text("select setval(pg_get_serial_sequence(:table, :column), :highest)"),
            {"table": name, "column": column.name, "highest": highest},
        )
