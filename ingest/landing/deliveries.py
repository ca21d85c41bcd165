"""Deliveries of the server of a feed: records problems and notices in the ledger, and removes landed files after their time."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from foundation.config import Feed
from ingest import ledger as tables
from ingest.inbox.inbox import SUFFIX, Inbox
from ingest.ledger import Ledger, now
from ingest.profiles import load_profile

if TYPE_CHECKING:
    from ingest.receive.fhir.server import Received

SERVER = "server"


def take_delivery(ledger: Ledger, feed: Feed, inbox: Inbox, run_id: str, *, full_refresh: bool) -> "Received":
    """Asks the server of a feed for new data. Records in the ledger what was missing or odd."""
    # The client's libraries are loaded where a feed has a server.
    from ingest.receive.fhir.server import confirm, receive

    received = receive(feed, inbox, full_refresh=full_refresh)
    common = {"run_id": run_id, "tenant_id": feed.tenant_id, "feed": feed.name, "name": SERVER, "read_at": now()}
    with ledger.write() as connection:
        for error in received.problems:
            refused = {"outcome": "refused", "position": "", "problem": error.problem, "remedy": error.remedy}
            connection.execute(sa.insert(tables.unit).values(common | refused))
        if received.notices:
            insert = sa.insert(tables.unit).values(common | {"outcome": "noted"}).returning(tables.unit.c.unit_id)
            unit_id: int = connection.execute(insert).scalar_one()
            rows = [
                {
                    "unit_id": unit_id,
                    "position": n.position,
                    "reason": n.reason,
                    "detail": n.detail,
                    "records": n.records,
                }
                for n in received.notices
            ]
            connection.execute(sa.insert(tables.notice), rows)
    if received.notices:
        confirm(feed, inbox)
    return received


def remove_landed(ledger: Ledger, feed: Feed, inbox: Inbox, whole_folder: str | None) -> int:
    """Removes files that were landed more than `keep_days` ago; how many. The ledger keeps their accounts.

    Files of types that references are looked up in stay until a whole export has brought these types again.
    """
    from ingest.sources.fhir.beside import kept_types

    assert feed.server is not None
    profile = load_profile(feed.profile or "r4", "fhir")
    unit = tables.unit.c
    query = sa.select(unit.name).where(
        unit.tenant_id == feed.tenant_id,
        unit.feed == feed.name,
        unit.outcome == "landed",
        unit.read_at < now() - timedelta(days=feed.server.keep_days),
    )
    removed = 0
    for row in ledger.rows(query):
        name = row["name"]
        path, kind = inbox.path(name), Path(name).name.partition(".")[0]
        if not path.exists():
            continue
        is_replaced = kind in profile.export_types and whole_folder is not None and name < whole_folder
        if kind.lower() in kept_types(profile) and not is_replaced:
            continue
        path.unlink()
        removed += 1
    _remove_empty(inbox)
    return removed


def _remove_empty(inbox: Inbox) -> None:
    """Removes deliveries that hold no file any more."""
    for folder in inbox.folder.iterdir():
        if folder.is_dir() and not any(folder.rglob(f"*{SUFFIX}")) and not any(folder.rglob(".*")):
            inbox.discard(folder.name)
