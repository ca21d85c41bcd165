"""The state of a home's feeds in the ledger, for `clinicmart status`."""

from typing import Any

import polars as pl
import sqlalchemy as sa

from foundation.keys import Keys
from ingest import ledger as tables
from ingest.accounts.accounts import feed_status, notice_reasons, unknown_words
from ingest.accounts.acknowledged import refused_files, sentence
from ingest.accounts.feed_coverage import coverage
from ingest.ledger import Ledger
from ingest.problems import problem_code, with_codes

DAYS_TOLD = 14


def status(ledger: Ledger, keys: Keys) -> dict[str, Any]:
    """Last run, feeds, coverage, notices and the balance of the ledger.

    `alerts`: feeds that stopped, bring much too little or could not be read, each with a sentence; `feeds`: per tenant and feed
    the outcome, totals and problem of its last read, its rhythm, and `hours_behind`, the age of its newest record at that read;
    `coverage`: the last two weeks of every feed with a rhythm, day by day; `notices`: what readers found odd, by reason, with its `code`
    (`ingest.problems`); `unknown_words`: words of coded fields that no profile knows, with what their rows have instead;
    `refused_files`: files the last read refused, by mark and by name: it may hold a patient's name, so only operators see it;
    `is_conserved`: whether rows read = landed + quarantined and records read = used + refused, recomputed from the ledger.
    """
    coverage_of = coverage(ledger)
    feeds = (
        feed_status(ledger).join(coverage_of.rhythms, on=["tenant_id", "feed"], how="left").sort("tenant_id", "feed")
    )
    behind = (pl.col("judged_at") - pl.col("newest_record_at")).dt.total_minutes() / 60
    rows, records = balance(ledger)
    return {
        "last_run": ledger.last_run(),
        "alerts": coverage_of.alerts.sort("tenant_id", "feed").to_dicts(),
        "feeds": feeds.with_columns(behind.clip(0).round().cast(pl.Int64).alias("hours_behind")).to_dicts(),
        "coverage": coverage_of.days.group_by("tenant_id", "feed", maintain_order=True).tail(DAYS_TOLD).to_dicts(),
        "notices": with_codes(notice_reasons(ledger).to_dicts()),
        "unknown_words": unknown_words(ledger).to_dicts(),
        "refused_files": _refused_files(ledger, keys),
        "rows": rows,
        "records": records,
        "is_conserved": rows["read"] == rows["landed"] + rows["quarantined"]
        and records["read"] == records["used"] + records["refused"],
    }


def balance(ledger: Ledger) -> tuple[dict[str, int], dict[str, int]]:
    """Rows read, landed and quarantined; records read, used and refused."""
    batch, unit = tables.batch.c, tables.unit.c

    def total(column: sa.Column[Any], name: str) -> sa.Label[Any]:
        return sa.func.coalesce(sa.func.sum(column), 0).label(name)

    rows = sa.select(
        total(batch.rows_read, "read"),
        total(batch.rows_landed, "landed"),
        total(batch.rows_quarantined, "quarantined"),
    )
    records = sa.select(
        total(unit.records_read, "read"), total(unit.records_used, "used"), total(unit.records_refused, "refused")
    )
    return ledger.rows(rows)[0], ledger.rows(records)[0]


def _refused_files(ledger: Ledger, keys: Keys) -> list[dict[str, Any]]:
    return [
        {
            "tenant_id": row["tenant_id"],
            "feed": row["feed"],
            "code": problem_code(row["reason"]) or problem_code("file_refused"),
            "mark": row["mark"],
            "name": row["unit"],
            "position": row["position"],
            "problem": row["problem"],
            "remedy": row["remedy"],
            "acknowledged": None if row["acknowledged"] is None else sentence(row["acknowledged"]),
        }
        for row in refused_files(ledger, keys)
    ]
