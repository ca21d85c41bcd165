"""The restatements of a close as they are kept: one encrypted file, replaced as a whole."""

from dataclasses import dataclass

import polars as pl

from foundation import duck, formats
from foundation.home import Home
from serving.closed_months.causes import CAUSES
from serving.closed_months.figures import EXACT
from serving.versions.closes import Close, keys_of, restated_file

# One row for each figure and change. `definition_changed`: the metric or a model behind it is another one than before.
# `cause_set` leads to the rows of `cause`; figures that changed for the same reasons share them.
RESTATEMENTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "restatement": pl.Int64,
    **dict.fromkeys(("metric", "grain", "dimension", "member", "member_name"), pl.String),
    "period": pl.Date,
    **{f"{which}_exact": EXACT for which in ("closed", "old", "new", "amount")},
    **{f"{which}_real": pl.Float64 for which in ("closed", "old", "new", "amount")},
    "definition_changed": pl.Boolean,
    "cause_set": pl.String,
    "version": pl.String,
    "run_id": pl.String,
    "first_seen_at": pl.Datetime("us"),
}


@dataclass(frozen=True, kw_only=True)
class Restated:
    """The restatements of one close (RESTATEMENTS), and their causes (CAUSES)."""

    rows: pl.DataFrame
    causes: pl.DataFrame


def read_restated(home: Home, close: Close) -> Restated:
    """The restatements of a close so far; empty before the first change."""
    path = restated_file(home, close)
    if not path.exists():
        return Restated(rows=pl.DataFrame(schema=RESTATEMENTS), causes=pl.DataFrame(schema=CAUSES))
    with duck.session(home) as connection:
        duck.attach(connection, path, alias="close", key=keys_of(home, close.tenant_id), read_only=True)
        return Restated(
            rows=connection.execute("from close.restatement order by restatement").pl().cast(RESTATEMENTS),  # type: ignore[arg-type]
            causes=connection.execute("from close.cause order by cause_set, ordinal").pl().cast(CAUSES),  # type: ignore[arg-type]
        )


def write_restated(home: Home, close: Close, restated: Restated) -> None:
    """Replaces the file of a close's restatements as a whole."""
    path = restated_file(home, close)
    temporary = path.with_name(f".{path.name}.part")
    for left in (temporary, temporary.with_name(f"{temporary.name}.wal")):
        left.unlink(missing_ok=True)
    with duck.session(home) as connection:
        duck.attach(connection, temporary, alias="close", key=keys_of(home, close.tenant_id))
        for name, frame in {"restatement": restated.rows, "cause": restated.causes}.items():
            connection.register("rows_of_close", frame.to_arrow())
            connection.execute(f"create table close.{name} as from rows_of_close")
            connection.unregister("rows_of_close")
        duck.note_number(connection, "close", formats.RESTATED)
        connection.execute("checkpoint close")
        connection.execute("detach close")
    temporary.chmod(0o600)
    temporary.replace(path)
