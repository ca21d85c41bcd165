"""Brings an access database to the form of this release (Alembic), and refuses one of a later release.

The number of the form stands in Alembic's own table. Before a step the database is copied beside itself.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from filelock import FileLock
from sqlalchemy import Connection, Engine, inspect, text

from foundation.errors import ConfigurationError
from serving.people.tables import METADATA

MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST = "0005"
# Databases from before there were numbers.
_FIRST = "0001"


def bring_up_to_date(engine: Engine, path: Path) -> bool:
    """Makes the tables of a new database, or runs the steps that an older one lacks. Safe to kill and to call twice at once.

    Returns whether it was an older one. Raises ConfigurationError for a database of a later release, or one that is not ours.
    """
    reading = engine.execution_options(isolation_level="AUTOCOMMIT")
    with reading.connect() as connection:
        if _revision(connection) == NEWEST:
            return False
    with FileLock(path.with_suffix(".lock")):
        with reading.connect() as connection:
            revision = _revision(connection)
        if revision == NEWEST:
            return False
        if revision is None:
            with engine.begin() as writing:
                METADATA.create_all(writing)
                _note(writing, NEWEST)
            return False
        if revision > NEWEST:
            raise ConfigurationError(
                f"{path.name} was written by a later release (form {revision}, this one knows {NEWEST}); install that release"
            )
        _copy(path, path.with_suffix(f".before-{NEWEST}.sqlite"))
        _run_steps(engine, revision)
        return True


def _revision(connection: Connection) -> str | None:
    """The number of the form; None for an empty database."""
    names = set(inspect(connection).get_table_names())
    if "alembic_version" in names:
        return str(connection.execute(text("select version_num from alembic_version")).scalar_one())
    return _FIRST if "user" in names else None


def _note(connection: Connection, revision: str) -> None:
    connection.execute(
        text("create table if not exists alembic_version (version_num varchar(32) not null primary key)")
    )
    connection.execute(text("delete from alembic_version"))
    connection.execute(text("insert into alembic_version values (:revision)"), {"revision": revision})


def _copy(path: Path, copy: Path) -> None:
    """A consistent copy, also while others read. An existing one is kept: it is from before a step that was killed."""
    if copy.exists():
        return
    part = copy.with_suffix(".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
        source.backup(target)
    part.replace(copy)


def _run_steps(engine: Engine, revision: str) -> None:
    # Alembic takes a tenth of a second to import, and nearly every start needs none of it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        _note(connection, revision)
        command.upgrade(config, "head")
