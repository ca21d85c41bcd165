"""The rows that a person may ask with SQL: the content of an extract in a file without a name.

It is written under a random key that this process alone holds, and its name is removed at once: nothing is left when this process ends.
The processes that run statements get the open file and the key (`foundation.statement_worker`). It is shared by people with the same scope
and version, and made again after a new publication.
"""

import os
import secrets
import weakref
from contextlib import closing
from pathlib import Path

from foundation import duck
from foundation.home import Home
from foundation.opened_once import OpenedOnce
from foundation.statement_worker import opened
from serving.extracts.content import TARGET, fill
from serving.reader import Reader
from serving.workbench.statement import SCHEMAS

KEPT = 4


class RowsFile:
    """A file with the content of an extract. `tables`: what may be asked, such as marts.fct_visits."""

    def __init__(self, home: Home, reader: Reader) -> None:
        self.home, self.key = home, secrets.token_hex(32)
        path = home.folder("tmp") / f"{os.getpid()}-{secrets.token_hex(4)}.rows"
        try:
            with duck.session(home) as connection:
                duck.attach(connection, path, alias=TARGET, key=self.key)
                self.dictionary = fill(connection, home, reader).dictionary
                connection.execute(f"checkpoint {TARGET}")
                connection.execute(f"detach {TARGET}")
            self.descriptor = os.open(path, os.O_RDONLY)
        finally:
            path.unlink(missing_ok=True)
        weakref.finalize(self, os.close, self.descriptor)
        with closing(opened(home, self.descriptor, self.key)) as connection:
            listed = connection.execute(
                "select schema_name || '.' || name from (select schema_name, table_name as name from duckdb_tables() "
                "union all select schema_name, view_name from duckdb_views() where not internal) where schema_name in ?",
                [list(SCHEMAS)],
            ).fetchall()
        self.tables = frozenset(str(name) for (name,) in listed)


_OPEN: OpenedOnce[tuple[Path, str, str, str], RowsFile] = OpenedOnce(KEPT)


def rows_of(home: Home, reader: Reader) -> RowsFile:
    """The rows of a reader's scope and version; made on first use, which takes as long as an extract."""
    key = (home.path, reader.version.tenant_id, reader.scope.hash, reader.version.version)
    return _OPEN.get(key, lambda: RowsFile(home, reader))


def forget_all() -> None:
    """Drops all open rows of this process, for tests and shut-down."""
    _OPEN.clear()
