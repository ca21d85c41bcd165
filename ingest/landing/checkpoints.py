"""Checkpoints of landed rows: which are due, and what they find (`data_contracts.checkpoints`).

A checkpoint looks at a sample of the newest batch of an entity of a feed. It is due for the first batch, after a change of the contract,
and once a day while new batches come. What it found is kept beside the Data Docs, in `checkpoints` of the home.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import sqlalchemy as sa

from data_contracts import Contract
from data_contracts.checkpoints import DataDocs, Outcome, Shares
from foundation import duck
from foundation.home import Home
from foundation.kept_files import read_derived, write_derived
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.landing.contract_gate import cast_to_contract
from ingest.ledger import Ledger
from ingest.load.landed_rows import read_files
from ingest.load.partial_rows import landing_contract

FOLDER = "checkpoints"
SAMPLE_ROWS = 5_000


@dataclass(frozen=True, kw_only=True)
class Due:
    """A checkpoint that is due: the newest batch of an entity of a feed, and why. `kind` is the feed's."""

    tenant_id: str
    feed: str
    kind: str
    entity: str
    batch_sequence: int
    file: str
    why: str

    @property
    def name(self) -> str:
        """Name of the checkpoint in the Data Docs."""
        return f"{self.tenant_id}.{self.feed}.{self.entity}"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A checkpoint that ran."""

    due: Due
    outcome: Outcome


def due_checkpoints(
    home: Home, ledger: Ledger, tenants: Sequence[str], *, every: bool = False, now: datetime | None = None
) -> list[Due]:
    """Checkpoints of some tenants that are due now, or `every` one, in the order of their names."""
    batch = tables.batch.c
    newest = (
        sa.select(batch.tenant_id, batch.feed, batch.entity, sa.func.max(batch.batch_sequence).label("newest"))
        .where(batch.file.is_not(None), batch.tenant_id.in_(list(tenants)))
        .group_by(batch.tenant_id, batch.feed, batch.entity)
        .subquery()
    )
    query = sa.select(batch.tenant_id, batch.feed, batch.entity, batch.batch_sequence, batch.file).join(
        newest, batch.batch_sequence == newest.c.newest
    )
    kind_of = ledger.kinds_of_feeds()
    noted = read_derived(_notes(home))
    today = (now or datetime.now(UTC)).date().isoformat()
    due = []
    for row in ledger.rows(query.order_by(batch.tenant_id, batch.feed, batch.entity)):
        kind = kind_of.get((row["tenant_id"], row["feed"]), "")
        item = Due(**row, kind=kind, why="")
        why = _why(noted.get(item.name), item, today) or ("asked for" if every else "")
        if why:
            due.append(Due(**row, kind=kind, why=why))
    return due


def _why(note: dict[str, Any] | None, item: Due, today: str) -> str:
    if note is None:
        return "first batch"
    if note["contract"] != _digest(landing_contract(item.kind, item.entity)):
        return "the contract changed"
    return "daily sample" if note["batch"] != item.batch_sequence and note["day"] < today else ""


def run_checkpoints(home: Home, keys: Keys, due: Sequence[Due], *, now: datetime | None = None) -> list[Checked]:
    """Runs checkpoints and writes the Data Docs. Batches whose files are gone or damaged are left out: loading reports them."""
    if not due:
        return []
    docs = DataDocs(home.folder(FOLDER))
    noted = read_derived(_notes(home))
    today = (now or datetime.now(UTC)).date().isoformat()
    checked = []
    with duck.session(home) as connection:
        for item in due:
            entity_contract = landing_contract(item.kind, item.entity)
            try:
                sample = _sample(connection, home, keys, entity_contract, item)
            except duckdb.Error:
                continue
            before = noted.get(item.name, {}).get("shares")
            outcome = docs.check(item.name, entity_contract, sample, Shares(**before) if before else None)
            checked.append(Checked(due=item, outcome=outcome))
            noted[item.name] = {
                "contract": _digest(entity_contract),
                "batch": item.batch_sequence,
                "day": today,
                "shares": asdict(outcome.shares),
            }
    docs.build()
    write_derived(_notes(home), noted)
    return checked


def page(home: Home) -> Path:
    """The page of the Data Docs to open in a browser."""
    return DataDocs.index_in(home.path / FOLDER)


def _notes(home: Home) -> Path:
    return home.path / FOLDER / "checkpoints.json"


def _digest(entity_contract: Contract) -> str:
    return hashlib.sha256(repr(entity_contract).encode()).hexdigest()


def _sample(
    connection: duckdb.DuckDBPyConnection, home: Home, keys: Keys, entity_contract: Contract, item: Due
) -> pl.DataFrame:
    """Some rows of a landed batch, in the columns and types of the contract."""
    path = home.path / item.file
    name_of = duck.add_parquet_keys(connection, keys.derive_all("landing", item.tenant_id))
    rows = read_files(name_of(path), [duck.quoted(str(path))])
    sample = connection.execute(
        f"select * exclude (file_row_number) from {rows} using sample reservoir({SAMPLE_ROWS} rows) repeatable (7)"
    ).pl()
    columns = [name for name in sample.columns if name in entity_contract.by_name]
    typed, _ = cast_to_contract(entity_contract, sample.select(columns))
    return typed
