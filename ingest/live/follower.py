"""Follows the journals of a tenant's listeners and keeps the tenant's live state (`foundation.live_state`) up to date.

Messages are read by the reader that runs use, from the same journal: nothing is parsed in another way, and runs read them all the same.
After a start the whole journal is read once, so that patients admitted earlier are known.

What counts as of today is decided by who reads the state: it holds what began, ends or is planned within KEPT of now, and stays that
have not ended.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import polars as pl

from data_contracts import INPATIENT_CLASSES, contract
from foundation.config import Feed
from foundation.errors import ClinicmartError
from foundation.home import Home
from foundation.keys import Keys
from foundation.live_state import LiveFeed, LiveState, write_live
from ingest.inbox.inbox import Inbox
from ingest.inbox.mllp_journal import UNIT, newest_received_at
from ingest.interface import Unit, UnreadableUnit
from ingest.landing.tokens import tokenise_rows
from ingest.live.combined_rows import UPDATED, CombinedRows
from ingest.sources.hl7v2.reader import SOURCE

log = logging.getLogger("clinicmart.listen")

KEPT = timedelta(days=2)
# A stay that ended is kept in memory until so long after its last message: a late message without the end would make it an open stay again.
# Journals keep messages as long, so a follower that starts later does not know it either.
ENDED_STAY_KEPT = timedelta(days=30)
ENDED = frozenset({"finished", "cancelled", "entered_in_error"})
# Entity to its key and the columns that the state has. Names and numbers of patients are not among them.
COLUMNS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "encounter": (
            "encounter_id",
            (
                *("patient_id", "service_unit_id", "provider_id", "encounter_class"),
                *("status", "started_at", "ended_at"),
            ),
        ),
        "appointment": (
            "appointment_id",
            (
                *("patient_id", "service_unit_id", "provider_id", "encounter_id", "status"),
                *("scheduled_start_at", "scheduled_end_at"),
            ),
        ),
    }
)


class Follower:
    """The live state of one tenant, from the journals of its listeners. One thread at a time calls `step`."""

    def __init__(self, home: Home, keys: Keys, tenant_id: str, feeds: Sequence[tuple[Feed, Inbox]]) -> None:
        self._home, self._keys, self._tenant_id = home, keys, tenant_id
        self._token_key = keys.derive("token", tenant_id)
        self._feeds = [_FollowedFeed(feed, inbox) for feed, inbox in feeds]
        self._merges: list[tuple[str, int, str, str, str]] = []

    def step(self, now: datetime | None = None) -> int:
        """Reads what arrived since the last step and writes the state; returns how many messages were read.

        A feed whose journal cannot be read is logged and left out of this step; the others go on.
        """
        moment = now or datetime.now(UTC)
        read = 0
        for followed in self._feeds:
            try:
                read += followed.read(self._take)
            except (ClinicmartError, UnreadableUnit) as error:
                log.warning("%s/%s: the live state lacks it: %s", self._tenant_id, followed.feed.name, error)
        write_live(self._home, self._keys, self._tenant_id, self._state(moment))
        return read

    def _take(self, followed: "_FollowedFeed", frames: Mapping[str, pl.DataFrame]) -> None:
        """Takes the rows of one chunk of messages; identifiers of patients become tokens here."""
        for entity, frame in frames.items():
            if entity not in COLUMNS and entity != "patient_merge":
                continue
            rows = _texts(tokenise_rows(contract(entity), frame, self._token_key))
            if entity == "patient_merge":
                for row in rows:
                    place = (str(row["merged_at"] or row[UPDATED] or ""), len(self._merges))
                    self._merges.append((*place, row["from_patient_id"], row["to_patient_id"], row["merge_type"]))
            else:
                followed.rows[entity].add(rows)

    def _state(self, now: datetime) -> LiveState:
        survivors = self._survivors()
        rows: dict[str, list[dict[str, Any]]] = {entity: [] for entity in COLUMNS}
        for followed in self._feeds:
            for entity, combined in followed.rows.items():
                key = COLUMNS[entity][0]
                past = []
                for row in combined.rows():
                    if _is_past(entity, row, now):
                        if not _is_stay(entity, row) or _is_forgotten(row, now):
                            past.append(row[key])
                        continue
                    patient = row["patient_id"]
                    while patient in survivors:
                        patient = survivors[patient]
                    rows[entity].append({**row, "patient_id": patient, "feed": followed.feed.name})
                combined.forget(past)
        return LiveState(written_at=now, feeds=[followed.status for followed in self._feeds], rows=rows)

    def _survivors(self) -> dict[str, str]:
        """Token of a patient to that of the patient into whom it was merged, by the time of the merges."""
        survivors: dict[str, str] = {}
        for *_, ended, survivor, kind in sorted(self._merges):
            if kind == "unmerge":
                for patient, merged_into in ((ended, survivor), (survivor, ended)):
                    if survivors.get(patient) == merged_into:
                        del survivors[patient]
            elif not _leads_to(survivors, survivor, ended):
                survivors[ended] = survivor
        return survivors


class _FollowedFeed:
    """One feed: how far its journal was read, and its rows so far."""

    def __init__(self, feed: Feed, inbox: Inbox) -> None:
        self.feed, self._inbox = feed, inbox
        self.rows = {entity: CombinedRows(key, columns) for entity, (key, columns) in COLUMNS.items()}
        self.status = LiveFeed(name=feed.name)
        self._cursor: str | None = None

    def read(self, take: Any) -> int:
        """Reads the messages after the cursor; returns how many. Raises UnreadableUnit, ConfigurationError."""
        number = 0
        for chunk in SOURCE.read(Unit(feed=self.feed, name=UNIT, inbox=self._inbox, cursor=self._cursor)):
            take(self, chunk.rows)
            number += chunk.records_read
            self._cursor = chunk.cursor or self._cursor
        newest = newest_received_at(self._inbox) if number else None
        if newest is not None:
            last = datetime.fromtimestamp(newest, UTC)
            self.status = LiveFeed(name=self.feed.name, messages=self.status.messages + number, last_message_at=last)
        return number


def _texts(frame: pl.DataFrame) -> Iterable[dict[str, Any]]:
    """Rows with times as ISO 8601 texts in UTC."""
    times = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    written = [pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S+00:00") for name in times]
    return frame.with_columns(written).iter_rows(named=True)


def _is_past(entity: str, row: Mapping[str, Any], now: datetime) -> bool:
    """Whether a row is no longer of interest: a stay that has not ended always is."""
    if entity == "appointment":
        start = row["scheduled_start_at"]
        return start is not None and abs(datetime.fromisoformat(start) - now) > KEPT
    if _is_stay(entity, row) and row["status"] not in ENDED and row["ended_at"] is None:
        return False
    last = row["ended_at"] or row["started_at"] or row[UPDATED]
    return bool(last) and now - datetime.fromisoformat(last) > KEPT


def _is_forgotten(ended_stay: Mapping[str, Any], now: datetime) -> bool:
    """Whether nothing happened in a stay that ended, and no message came about it, for so long that it leaves the memory."""
    times = [ended_stay[column] for column in ("started_at", "ended_at", UPDATED)]
    return all(now - datetime.fromisoformat(time) > ENDED_STAY_KEPT for time in times if time)


def _is_stay(entity: str, row: Mapping[str, Any]) -> bool:
    return entity == "encounter" and row["encounter_class"] in INPATIENT_CLASSES


def _leads_to(survivors: Mapping[str, str], patient: str, last_patient: str) -> bool:
    """Whether a chain of merges leads from a patient to the last one."""
    while patient != last_patient and patient in survivors:
        patient = survivors[patient]
    return patient == last_patient
