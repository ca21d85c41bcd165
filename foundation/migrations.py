"""Brings a database of a home to the form of this release (Alembic), and refuses one of a later release.

    LEDGER = Store(metadata=..., steps=Path(__file__).parent / "ledger_steps")
    LEDGER.bring_up_to_date(home.ledger)

The number of the form stands in Alembic's own table `alembic_version`. A folder of steps has one file a step, `0002_what_it_does.py`;
the last one is the form of this release. A new database is made in that form at once. All are SQLite files of the home, but the one of
people, which may be on a PostgreSQL server too: its steps run on both.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import Connection, Engine, MetaData, NullPool, create_engine, event, inspect, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from foundation.formats import check_not_later
from foundation.sqlite_files import compact

Prepare = Callable[[sqlite3.Connection], None]
_TABLE = "alembic_version"
_NOT_OURS = ("file is not a database", "database disk image is malformed")


@dataclass(frozen=True)
class Store:
    """One kind of database.

    `unnumbered` is the form of databases from before there were numbers; "0000" is before the first step. `keeps_copy`: the database
    is copied beside itself before a step changes it.
    """

    metadata: MetaData
    steps: Path
    unnumbered: str = "0000"
    keeps_copy: bool = False

    @cached_property
    def newest(self) -> str:
        """The number of this release's form."""
        return max(path.name[:4] for path in self.steps.glob("[0-9]*.py"))

    @cached_property
    def schema(self) -> str:
        """The tables and indexes of this release's form, as a script of SQLite."""
        statements: list[str] = []
        dialect = sqlite.dialect()
        for table in self.metadata.sorted_tables:
            indexes = sorted(table.indexes, key=lambda index: str(index.name))
            made: list[Any] = [CreateTable(table), *(CreateIndex(index) for index in indexes)]
            statements += [str(statement.compile(dialect=dialect)) for statement in made]
        return ";\n".join(statements)

    def form(self, path: Path) -> str | None:
        """The number of a database's form; None where there is no database, or an empty one. Changes nothing."""
        if not path.exists():
            return None
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
            if _TABLE in tables:
                return str(connection.execute(f"select version_num from {_TABLE}").fetchone()[0])
            return self.unnumbered if tables else None

    def bring_up_to_date(self, path: Path, prepare: Prepare | None = None) -> bool:
        """Makes a new database, or runs the steps that an older one lacks. Safe to kill, and to call twice at once.

        `prepare` is called with every connection, to register functions that steps use. Returns whether it was an older database.
        Raises ConfigurationError for a database of a later release.
        """
        if self.form(path) == self.newest:
            return False
        with FileLock(path.with_suffix(".lock"), mode=0o600):
            form = self.form(path)
            if form == self.newest:
                return False
            self.check(path, form)
            path.touch(mode=0o600)
            engine = _engine(path, prepare)
            try:
                if form is None:
                    with engine.begin() as connection:
                        self.metadata.create_all(connection)
                        self.note_form(connection)
                    return False
                if self.keeps_copy:
                    copy_database(path, path.with_suffix(f".before-{self.newest}.sqlite"))
                with engine.begin() as connection:
                    self.run_steps(connection, form)
            finally:
                engine.dispose()
            # What the steps replaced must not stay in the free pages of the file, nor in its log.
            compact(path)
            return True

    def check(self, path: Path, form: str | None) -> None:
        """Raises ConfigurationError for the form of a later release."""
        if form is not None:
            check_not_later(path.name, int(form), int(self.newest))

    def form_on(self, connection: Connection) -> str | None:
        """The number of the form of an open database; None where it has none."""
        if _TABLE not in inspect(connection).get_table_names():
            return None
        number = connection.execute(text(f"select version_num from {_TABLE}")).scalar()
        return None if number is None else str(number)

    def note_form(self, connection: Connection) -> None:
        """Notes in a database that it has the form of this release."""
        _note(connection, self.newest)

    def run_steps(self, connection: Connection, form: str) -> None:
        """Runs the steps that a database of an earlier form lacks, in the transaction of the connection."""
        # Alembic takes a tenth of a second to import, and nearly every start needs none of it.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "alembic"))
        config.set_main_option("version_locations", str(self.steps))
        config.set_main_option("path_separator", "newline")
        config.attributes["connection"] = connection
        config.attributes["metadata"] = self.metadata
        if form > "0000":
            _note(connection, form)
        command.upgrade(config, "head")


def copy_database(path: Path, copy: Path) -> None:
    """A consistent copy, also while others read. An existing one is kept: it is from before a step that was killed."""
    if copy.exists():
        return
    part = copy.with_suffix(".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
        source.backup(target)
    part.replace(copy)


def _engine(path: Path, prepare: Prepare | None) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30}, poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("pragma busy_timeout = 30000")
        connection.execute("pragma journal_mode = wal")
        if prepare is not None:
            prepare(connection)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # pysqlite's own BEGIN is deferred, and does not cover changes of tables.
        connection.exec_driver_sql("begin immediate")

    return engine


def _note(connection: Connection, form: str) -> None:
    if _TABLE not in inspect(connection).get_table_names():
        connection.execute(text(f"create table {_TABLE} (version_num varchar(32) not null primary key)"))
    connection.execute(text(f"delete from {_TABLE}"))
    connection.execute(text(f"insert into {_TABLE} values (:form)"), {"form": form})


def add_what_is_missing(connection: Connection, schema: str) -> None:
    """Makes the tables, columns and indexes of a schema (SQL of SQLite, `create ... if not exists`) that a database lacks."""
    with closing(sqlite3.connect(":memory:")) as wanted:
        wanted.executescript(schema)
        tables = [name for (name,) in wanted.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            there = {row[1] for row in connection.exec_driver_sql(f"pragma table_info({table})")}
            for _, column, kind, is_required, default, _ in wanted.execute(f"pragma table_info({table})"):
                if there and column not in there:
                    constraint = "not null" if is_required else ""
                    value = "" if default is None else f"default {default}"
                    connection.exec_driver_sql(f"alter table {table} add column {column} {kind} {constraint} {value}")
    for statement in schema.split(";"):
        if statement.strip():
            connection.exec_driver_sql(statement)


def open_derived(path: Path, store: Store) -> tuple[sqlite3.Connection, bool]:
    """A connection in autocommit to a database in the form of this release, and whether the database is a new one: made where absent,
    and in the place of a file that is not a database. The caller closes the connection.

    Raises ConfigurationError for a database of a later release.
    """
    is_new = not path.exists()
    try:
        return _opened(path, store), is_new
    except sqlite3.DatabaseError as error:
        if not any(sign in str(error) for sign in _NOT_OURS):
            raise
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return _opened(path, store), True


def _opened(path: Path, store: Store) -> sqlite3.Connection:
    store.bring_up_to_date(path)
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    try:
        path.chmod(0o600)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
