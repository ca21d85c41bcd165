"""Checks of the ledger against what lies in landing, quarantine and the warehouse, for `clinicmart doctor`."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import sqlalchemy as sa

from foundation import duck
from foundation.findings import Finding, finding
from foundation.home import Home
from foundation.home_checks import LEFT_AFTER_SECONDS
from foundation.keys import Keys
from foundation.run_lock import is_held, landing_paused
from ingest import ledger as tables
from ingest.accounts.status import balance
from ingest.ledger import Ledger
from ingest.load.landed_rows import unreadable_batches
from ingest.load.lost_warehouse import is_damaged


def runs(home: Home, ledger: Ledger) -> Iterator[Finding]:
    """A last run that did not end, and rows or records that the ledger does not account for."""
    # Asked before the ledger is: a run that ends between the two has noted how.
    at_work, last = is_held(home), ledger.last_run()
    if last is not None and last["outcome"] is None and not at_work:
        yield finding(
            "run_not_ended", f"run {last['run_id']}", detail=f"started {last['started_at']:%d %b %Y %H:%M} UTC"
        )
    rows, records = balance(ledger)
    if rows["read"] != rows["landed"] + rows["quarantined"] or records["read"] != records["used"] + records["refused"]:
        yield finding("rows_not_conserved", home.ledger)


def landed_files(home: Home, keys: Keys, ledger: Ledger) -> Iterator[Finding]:
    """Landed files that the ledger names and that cannot be read to their end, and files that it does not name."""
    batch = tables.batch.c
    query = sa.select(batch.tenant_id, batch.feed, batch.batch_id, batch.file, batch.rows_landed)
    batches = ledger.rows(query.where(batch.file.is_not(None)))
    for item in unreadable_batches(home, keys, batches):
        rows = f"{item['feed']}: {item['rows_landed']:,} rows"
        yield finding("landed_file_damaged", home.path / item["file"], tenant_id=item["tenant_id"], detail=rows)
    yield from _unnamed(home, "landing/*/*/*.parquet", {str(item["file"]) for item in batches})


def quarantine_files(home: Home, keys: Keys, ledger: Ledger) -> Iterator[Finding]:
    """Files of rows in quarantine that cannot be read, and files that the ledger does not name."""
    held = tables.held.c
    entries = ledger.rows(sa.select(held.tenant_id, held.batch_id, held.released_at))
    names = {f"quarantine/{entry['tenant_id']}/{entry['batch_id']}.parquet": entry for entry in entries}
    open_names = {
        f"quarantine/{entry['tenant_id']}/{entry['batch_id']}.parquet": entry["tenant_id"]
        for entry in entries
        if entry["released_at"] is None
    }
    with duck.session(home) as connection:
        for name, tenant_id in sorted(open_names.items()):
            name_of = duck.add_parquet_keys(connection, keys.derive_all("landing", tenant_id))
            if not _can_read(connection, home.path / name, name_of(home.path / name)):
                yield finding("quarantine_file_damaged", home.path / name, tenant_id=tenant_id)
    yield from _unnamed(home, "quarantine/*/*.parquet", set(names))


def warehouse(home: Home, keys: Keys, ledger: Ledger) -> Iterator[Finding]:
    """Finds a warehouse that lost bytes, or lacks batches that the ledger records as loaded. Skipped while a run uses it."""
    loaded = ledger.rows(sa.select(sa.func.count().label("batches")).select_from(tables.loaded))[0]["batches"]
    path = home.path / "warehouse" / "warehouse.duckdb"
    if is_held(home) or not (loaded or path.exists()):
        return
    if not path.exists():
        yield finding("warehouse_damaged", path, detail="it is missing")
    elif is_damaged(home, keys):
        yield finding("warehouse_damaged", path)


def _unnamed(home: Home, pattern: str, names: set[str]) -> Iterator[Finding]:
    """Files that no row of the ledger names, but those that a feed which is landing may have just written."""
    for path in sorted(home.path.glob(pattern)):
        name = path.relative_to(home.path).as_posix()
        is_old = time.time() - path.stat().st_mtime > LEFT_AFTER_SECONDS
        if name not in names and not path.name.startswith((".", "tmp_")) and is_old and not is_held(home):
            yield finding(
                "file_not_in_ledger", path, tenant_id=path.parts[len(home.path.parts) + 1], mend=_delete(home, path)
            )


def _delete(home: Home, path: Path) -> Any:
    def delete() -> None:
        with landing_paused(home):
            path.unlink(missing_ok=True)

    return delete


def _can_read(connection: duckdb.DuckDBPyConnection, path: Path, key_name: str) -> bool:
    try:
        connection.execute(f"create or replace temp table probe as select * from {duck.parquet_of(path, key_name)}")
    except duckdb.Error:
        return False
    return True
