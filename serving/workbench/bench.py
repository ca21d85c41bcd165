"""The acts of one person at the workbench. Each is a row of the audit, a refused one too."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from foundation.errors import AccessError, ClinicmartError
from foundation.home import Home
from foundation.keys import Keys
from serving.audited import DONE, REFUSED
from serving.lineage.metric import source_fields
from serving.model import RowsFile
from serving.people.principal import Principal
from serving.people.rights import ROLES
from serving.people.saved_queries import Queries
from serving.people.store import AccessStore
from serving.reader import Reader
from serving.rows.export import rows_file
from serving.workbench.masked import masked
from serving.workbench.rows_file import rows_of
from serving.workbench.run import LIMITS, Limits, Result, Stop, StoppedError, run
from serving.workbench.statement import RefusedStatementError, checked

ACTION = "sql"
FAILED, CANCELLED = "failed", "cancelled"


@dataclass(frozen=True, kw_only=True)
class BenchTable:
    """A table or view that can be asked. `columns` has name, type, description and key."""

    schema: str
    name: str
    description: str
    columns: pl.DataFrame


class Bench:
    """SQL on what a person may take as an extract."""

    def __init__(self, home: Home, access: AccessStore, principal: Principal, reader: Reader) -> None:
        """Raises AccessError, audited, for a person who takes no extracts."""
        self._home, self._access, self._principal, self._reader = home, access, principal, reader
        if not reader.scope.may_extract:
            reader.note(ACTION, {"reason": "AccessError"}, REFUSED)
            raise AccessError("your role takes no extracts and asks no SQL, or the extracts module is switched off")

    @property
    def email(self) -> str:
        """The user name of the person."""
        return self._principal.email

    @cached_property
    def queries(self) -> Queries:
        """The person's history and saved queries."""
        return self._access.queries(Keys.of(self._home), self._principal.tenant_id, self._principal.email)

    @property
    def dictionary(self) -> Mapping[str, pl.DataFrame]:
        """The dictionary of the extract (`serving.extracts.dictionary`). The first call may take as long as an extract."""
        return rows_of(self._home, self._reader).dictionary

    def tables(self, dictionary: Mapping[str, pl.DataFrame] | None = None) -> tuple[BenchTable, ...]:
        """The tables with their columns, in the order of their names; of a `dictionary` that was read before, if given."""
        words = dictionary or self.dictionary
        columns = words["columns"].select("table_name", "column_name", "data_type", "description", "key")
        return tuple(
            BenchTable(
                schema="marts",
                name=row["table_name"],
                description=row["description"],
                columns=columns.filter(columns["table_name"] == row["table_name"]).drop("table_name"),
            )
            for row in words["tables"].sort("table_name").iter_rows(named=True)
        )

    def made_from(self, table: str) -> Mapping[str, tuple[str, ...]]:
        """Column of a table to the fields of the feeds behind it, such as `appointment.status`; empty for roles that do not see what a
        figure rests on, and for a version without lineage."""
        if "lineage" not in ROLES[self._reader.scope.role].pages:
            return {}
        return source_fields(self._home, self._reader.version, table)

    def run(self, sql: str, stop: Stop, limits: Limits = LIMITS) -> Result:
        """Runs one SELECT. Raises RefusedStatementError for everything else, and as `serving.workbench.run`."""
        rows = rows_of(self._home, self._reader)
        asked: dict[str, object] = {"sql": masked(sql, self._names)}
        try:
            statement = checked(sql, rows.tables)
            asked["tables"] = sorted(statement.tables)
            person = (self._principal.tenant_id, self._principal.email)
            result = run(rows, statement, stop, limits, person=person)
        except ClinicmartError as error:
            outcome = REFUSED if isinstance(error, RefusedStatementError) else FAILED
            outcome = CANCELLED if isinstance(error, StoppedError) else outcome
            self._reader.note(ACTION, asked | {"outcome": outcome, "reason": type(error).__name__}, REFUSED)
            if sql.strip():
                self.queries.note(sql, outcome=outcome)
            raise
        except BaseException as error:
            # Also what nobody foresaw is a row of the audit.
            self._reader.note(ACTION, asked | {"outcome": FAILED, "reason": type(error).__name__}, REFUSED)
            raise
        counts = {
            "rows": result.frame.height,
            "seconds": round(result.seconds, 1),
            "version": self._reader.version.version,
        }
        self._reader.note(ACTION, asked | counts, DONE)
        self.queries.note(sql, outcome=DONE, rows=result.frame.height, seconds=result.seconds)
        return result

    @cached_property
    def _names(self) -> frozenset[str]:
        """Names of schemas, tables, columns and metrics, which the audit may hold."""
        rows = rows_of(self._home, self._reader)
        parts = {part for name in rows.tables for part in name.split(".")}
        columns = {name.lower() for frame in rows.dictionary.values() for name in frame.columns}
        return frozenset(parts | columns | {str(name).lower() for name in rows.dictionary["columns"]["column_name"]})

    def file(self, result: Result, file_format: str) -> RowsFile:
        """A result as CSV, XLSX or Parquet; an audit row names format and rows. Raises ConfigurationError for another format."""
        made = rows_file(result.frame if file_format == "parquet" else _flat(result.frame), file_format)
        self._reader.note("export", {"from": ACTION, "format": file_format, "rows": made.rows}, DONE)
        return made


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists, structs and bytes as texts, for files that hold plain values alone."""
    nested = [name for name, kind in frame.schema.items() if kind.is_nested() or kind == pl.Binary]
    texts = [
        pl.Series(name, [None if value is None else str(value) for value in frame[name].to_list()], dtype=pl.String)
        for name in nested
    ]
    return frame.with_columns(texts)
