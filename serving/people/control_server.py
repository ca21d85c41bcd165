"""The access database on a PostgreSQL server: whether it is ours and of this release, and how an empty one is made ready.

The database holds one row that only a process with this home's audit key can write. A database without it, with another one, or of another
form is refused with a sentence that says what to do. Steps to a newer form are run by `clinicmart upgrade` alone: other servers may still
work on the database.
"""

import hashlib
import hmac
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache

from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, delete, insert, inspect, select

from foundation.comparing import is_same
from foundation.control_database import ControlDatabase, control_database_of, has_people, note_control_database
from foundation.errors import ConfigurationError
from foundation.formats import check_not_later
from foundation.home import Home
from foundation.keys import Keys
from serving.people.engines import OURS, open_server
from serving.people.tables import ACCESS, METADATA, Text, Utc

NAME = "the control database"
LEAST_VERSION = 13
_PATIENCE_SECONDS = 2.0
_OWN = MetaData()
_INSTALLATION = Table(
    "installation",
    _OWN,
    Column("mark", String, primary_key=True),
    Column("made_at", Utc, nullable=False),
)


@lru_cache(maxsize=4)
def server_engine(url: str, key: bytes) -> Engine:
    """The engine of a database that is ours and has the form of this release. Raises ConfigurationError, ClinicmartError."""
    engine = open_server(url)
    with _disposed_on_error(engine), engine.connect() as connection:
        _check(connection, key)
    return engine


def adopt(home: Home, setting: ControlDatabase | None) -> None:
    """Brings a home and its configuration together before a run: an empty database gets the tables, where the home has no people yet.

    Raises ConfigurationError where the people of the home are elsewhere, and what `server_engine` raises.
    """
    noted = control_database_of(home)
    if setting is None:
        if noted is not None:
            raise ConfigurationError(
                f"the people of {home.path} are in a PostgreSQL database, and the configuration does not name it: write "
                f"control_database: {{postgres: ...}} as {home.path / 'control.json'} has it"
            )
        return
    if noted is None and has_people(home):
        raise ConfigurationError(
            f"the people of {home.path} are in {home.access.name}, and the configuration names a PostgreSQL database for them: stop what "
            f"works in the home and run clinicmart control-database move --home {home.path} --config F"
        )
    key = Keys.of(home).derive("audit")
    if noted is None:
        make(setting, key)
    server_engine(setting.url, key)
    if noted != setting:
        note_control_database(home, setting)


def make(setting: ControlDatabase, key: bytes) -> None:
    """Makes the tables in an empty database; does nothing in one that is ours. Raises ConfigurationError for any other."""
    with opened_server(setting) as engine, engine.begin() as connection:
        if _tables(connection):
            _check_owner(connection, key)
            return
        create_tables(connection, key)


@contextmanager
def opened_server(setting: ControlDatabase) -> Iterator[Engine]:
    """An engine for one piece of work, on a server that can be used. Raises ConfigurationError, ClinicmartError."""
    engine = open_server(setting.url)
    try:
        with engine.connect() as connection:
            _check_server(connection)
        yield engine
    finally:
        engine.dispose()


def create_tables(connection: Connection, key: bytes) -> None:
    """Makes the tables of this release's form in an empty database. Raises ConfigurationError for one that is not empty."""
    if tables := _tables(connection):
        raise ConfigurationError(f"{NAME} must be empty, and holds tables such as {min(tables)}; name another database")
    METADATA.create_all(connection)
    _OWN.create_all(connection)
    ACCESS.note_form(connection)
    claim(connection, key)


def claim(connection: Connection, key: bytes) -> None:
    """Writes that the database belongs to the installation with this audit key, and to no other one."""
    connection.execute(delete(_INSTALLATION))
    connection.execute(insert(_INSTALLATION).values(mark=_mark(key), made_at=datetime.now(UTC)))


def form(connection: Connection, key: bytes) -> str:
    """The number of the form of a database that is ours. Raises ConfigurationError for any other, and for one of a later release."""
    _check_server(connection)
    _check_owner(connection, key)
    number = ACCESS.form_on(connection)
    if number is None:
        raise ConfigurationError(f"{NAME} has no number of its form: restore it from your backup")
    check_not_later(NAME, int(number), int(ACCESS.newest))
    return number


def older_form(home: Home) -> str | None:
    """The number of the form of the home's database on a server where it is an earlier one than this release's, else None. Raises
    ConfigurationError for a database that is not ours or of a later release, ClinicmartError where the server does not answer."""
    setting = control_database_of(home)
    if setting is None:
        return None
    with opened_server(setting) as engine, engine.connect() as connection:
        number = form(connection, Keys.of(home).derive("audit"))
    return number if number != ACCESS.newest else None


def bring_up_to_date(home: Home) -> None:
    """Runs the steps that the home's database on a server lacks, all or none. Raises as `older_form`."""
    setting = control_database_of(home)
    if setting is None:
        return
    with opened_server(setting) as engine, engine.begin() as connection:
        number = form(connection, Keys.of(home).derive("audit"))
        if number != ACCESS.newest:
            ACCESS.run_steps(connection, number)
            _align_types(connection)


def _align_types(connection: Connection) -> None:
    """Gives columns that a step added the sort order and the size of those that a new database has: steps name types of SQLite."""
    columns = connection.exec_driver_sql(
        "select table_name, column_name, data_type, collation_name from information_schema.columns "
        "where table_schema = current_schema()"
    )
    there = {(row.table_name, row.column_name): (row.data_type, row.collation_name) for row in columns}
    names = connection.dialect.identifier_preparer
    for table in METADATA.sorted_tables:
        for column in table.columns:
            kind, collation = there[table.name, column.name]
            wanted = column.type.compile(dialect=connection.dialect)
            if (isinstance(column.type, Text) and collation != "C") or (wanted == "BIGINT" and kind == "integer"):
                connection.exec_driver_sql(
                    f"alter table {names.format_table(table)} alter column {names.format_column(column)} type {wanted}"
                )


def _check(connection: Connection, key: bytes) -> None:
    number = form(connection, key)
    if number != ACCESS.newest:
        raise ConfigurationError(
            f"{NAME} was written by an earlier release (format {int(number)}, this one writes {int(ACCESS.newest)}): stop every server and "
            "run that uses it, then run clinicmart upgrade --home H once"
        )


def _check_server(connection: Connection) -> None:
    version = int((connection.dialect.server_version_info or (0,))[0])
    if version < LEAST_VERSION:
        raise ConfigurationError(f"{NAME} needs PostgreSQL {LEAST_VERSION} or later, and the server has {version}")
    encoding: str = connection.exec_driver_sql("show server_encoding").scalar_one()
    if encoding != "UTF8":
        raise ConfigurationError(f"{NAME} has the encoding {encoding}; create it with encoding 'UTF8'")
    if connection.exec_driver_sql("select pg_is_in_recovery()").scalar_one():
        raise ConfigurationError(f"{NAME} is a copy that can only be read; name the server that is written to")


def _check_owner(connection: Connection, key: bytes) -> None:
    tables = _tables(connection)
    if not tables:
        raise ConfigurationError(
            f"{NAME} is empty, and this home's people were in it: name the right database, or restore it from your backup"
        )
    if _INSTALLATION.name not in tables:
        raise ConfigurationError(
            f"{NAME} holds tables of another program, such as {min(tables)}; name another database"
        )
    marks: Iterable[str] = connection.execute(select(_INSTALLATION.c.mark)).scalars()
    if not any(is_same(mark, _mark(key)) for mark in marks):
        raise ConfigurationError(
            f"{NAME} belongs to another installation of Clinicmart; name the database of this home"
        )


def _tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def _mark(key: bytes) -> str:
    return hmac.new(key, b"control database", hashlib.sha256).hexdigest()


@contextmanager
def _disposed_on_error(engine: Engine) -> Iterator[None]:
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


@contextmanager
def held(engine: Engine, lock: int) -> Iterator[bool]:
    """Holds a lock of the database as long as the block runs, on all servers; yields whether it was free.

    A process that ends, or loses the server, gives the lock back. The server notices that after a moment, which is waited for.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        until = time.monotonic() + _PATIENCE_SECONDS
        while not connection.exec_driver_sql(f"select pg_try_advisory_lock({OURS}, {lock})").scalar_one():
            if time.monotonic() > until:
                yield False
                return
            time.sleep(0.05)
        try:
            yield True
        finally:
            if not connection.invalidated and not connection.closed:
                connection.exec_driver_sql(f"select pg_advisory_unlock({OURS}, {lock})")


@contextmanager
def waited_for(engine: Engine, lock: int) -> Iterator[None]:
    """Waits for a lock of the database and holds it as long as the block runs. Raises ClinicmartError after too long."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"select pg_advisory_lock({OURS}, {lock})")
        try:
            yield
        finally:
            if not connection.invalidated and not connection.closed:
                connection.exec_driver_sql(f"select pg_advisory_unlock({OURS}, {lock})")
