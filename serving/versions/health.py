"""The state of a tenant's data as it was published: feeds, coverage, alerts, what was kept back, what matches nothing.

    published_health(home, version)   everything, for Data health and `clinicmart status`
    published_alerts(home, version)   which feeds stopped and what they bring: what every page must know of the others
    published_refusals(home, version) of which feeds files were refused, and what these bring
    published_gaps(home, version)     days without rows of a feed: what annotations of charts must know
    published_plausibility(home, version)   what feeds say that cannot be (`serving.plausibility` puts it into words)

Versions that were published before a table existed have it empty.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

import polars as pl

from foundation import duck
from foundation.home import Home
from foundation.keys import Keys
from serving.model import RECONCILIATION, RECONCILIATION_CHECK, Health, Version
from serving.versions.store import files_of

_TEXT, _COUNT, _DAY, _MONEY = pl.String, pl.Int64, pl.Date, pl.Decimal(18, 4)
# Columns of the tables that older versions may lack.
_LATER: dict[str, dict[str, pl.DataType | type[pl.DataType]]] = {
    "feed_coverage": {
        "feed": _TEXT,
        "day": _DAY,
        "expected": _COUNT,
        "low": _COUNT,
        "high": _COUNT,
        "received": _COUNT,
        "status": _TEXT,
    },
    "feed_alert": {"feed": _TEXT, "kind": _TEXT, "since": _DAY, "newest_day": _DAY, "message": _TEXT},
    "feed_rhythm": {"feed": _TEXT, "rhythm": _TEXT, "period_days": _COUNT, "usual_rows": _COUNT, "newest_day": _DAY},
    "notice_reason": {"feed": _TEXT, "reason": _TEXT, "detail": _TEXT, "rows": _COUNT, "first_position": _TEXT},
    "unknown_word": {
        "feed": _TEXT,
        "entity": _TEXT,
        "column_name": _TEXT,
        "field": _TEXT,
        "word": _TEXT,
        "became": _TEXT,
        "rows": _COUNT,
        "profile_key": _TEXT,
        "first_position": _TEXT,
    },
    "unmatched_reference": {
        "feed": _TEXT,
        "entity": _TEXT,
        "column_name": _TEXT,
        "referenced_entity": _TEXT,
        "rows_with_reference": _COUNT,
        "unmatched_rows": _COUNT,
        "unmatched_ids": _COUNT,
    },
    "remittance_match": {
        "feed": _TEXT,
        "level": _TEXT,
        "match_method": _TEXT,
        "is_matched": pl.Boolean,
        "records": _COUNT,
        "billed_amount": _MONEY,
        "payer_paid_amount": _MONEY,
    },
    "source_conflict": {
        "entity": _TEXT,
        "column_name": _TEXT,
        "record_feed": _TEXT,
        "other_feed": _TEXT,
        "keys_in_conflict": _COUNT,
    },
    "encounter_match": {"match_rule": _TEXT, "outcome": _TEXT, "encounters": _COUNT},
    "plausibility": {
        **dict.fromkeys(("code", "feed", "other_feed", "entity", "title", "meaning", "remedy", "touches"), _TEXT),
        "found_rows": _COUNT,
        "found_amount": _MONEY,
        **dict.fromkeys(("first_day", "last_day"), _DAY),
    },
    "plausibility_row": {
        **dict.fromkeys(("code", "feed", "other_feed", "entity"), _TEXT),
        "row_rank": _COUNT,
        "source_position": _TEXT,
        "found_day": _DAY,
        "found_rows": _COUNT,
        "found_amount": _MONEY,
    },
    "reconciliation": dict(RECONCILIATION),
    "reconciliation_check": dict(RECONCILIATION_CHECK),
    "deleted_record": {"feed": _TEXT, "entity": _TEXT, "found_by": _TEXT, "records": _COUNT},
}


@contextmanager
def _tables(home: Home, version: Version) -> Iterator[Callable[[str], pl.DataFrame]]:
    """Reads tables of a version's health file, without the tenant's column."""
    path = files_of(home, version.tenant_id, version.version).health
    key = Keys.of(home).derive_all_hex("published", version.tenant_id)
    with duck.session(home) as connection:
        duck.attach(connection, path, alias="warehouse", key=key, read_only=True)
        tables = connection.execute(
            "select table_name from duckdb_tables() where database_name = 'warehouse' and schema_name = 'health'"
        ).fetchall()
        there = {name for (name,) in tables}

        def table(name: str) -> pl.DataFrame:
            if name not in there and name in _LATER:
                return pl.DataFrame(schema=_LATER[name])
            return connection.execute(
                f"select * exclude (tenant_id) from warehouse.health.{name} where tenant_id = $tenant order by all",
                {"tenant": version.tenant_id},
            ).pl()

        yield table


def published_health(home: Home, version: Version) -> Health:
    """The state of the feeds in a published version: counts and reasons, never a record."""
    with _tables(home, version) as table:
        return Health(
            feeds=table("feed_status"),
            batches=table("batch"),
            refused_units=table("refused_unit"),
            quarantine=table("quarantine_reason"),
            coverage=table("feed_coverage"),
            alerts=table("feed_alert"),
            rhythms=table("feed_rhythm"),
            notices=table("notice_reason"),
            unknown_words=table("unknown_word").select(*_LATER["unknown_word"]),
            unmatched_references=table("unmatched_reference"),
            remittance_matches=table("remittance_match"),
            conflicts=table("source_conflict").select(*_LATER["source_conflict"]),
            deleted=table("deleted_record"),
            visits=table("encounter_match").select(*_LATER["encounter_match"]),
            plausibility_rows=table("plausibility_row").select(*_LATER["plausibility_row"]),
            reconciliation=table("reconciliation"),
            reconciliation_checks=table("reconciliation_check"),
        )


def published_alerts(home: Home, version: Version) -> pl.DataFrame:
    """Alerts with `entities`: the sorted names of the entities that the feed has brought so far."""
    with _tables(home, version) as table:
        alerts = table("feed_alert")
        if alerts.is_empty():
            return alerts.with_columns(pl.lit(None, dtype=pl.List(pl.String)).alias("entities"))
        return alerts.join(_brought(table("batch")), on="feed", how="left").sort("feed")


def published_refusals(home: Home, version: Version) -> pl.DataFrame:
    """feed, files, entities: the number of refused files of a feed, and the sorted names of the entities that it has brought so far."""
    with _tables(home, version) as table:
        refused = table("refused_unit").group_by("feed").agg(pl.col("unit").n_unique().alias("files"))
        return refused.join(_brought(table("batch")), on="feed", how="left").sort("feed")


def published_gaps(home: Home, version: Version) -> pl.DataFrame:
    """Gaps of feeds: feed, kind, first_day, last_day, entities.

    `kind` is `stopped` or `short` for an alert that lasts, up to the last day that the data reach, and `missing` for days without a row
    in the last eight weeks; closed days between missing ones belong to the gap.
    """
    with _tables(home, version) as table:
        lasting = table("feed_alert").filter(pl.col("kind").is_in(["stopped", "short"]) & pl.col("since").is_not_null())
        gaps = pl.concat([_lasting(lasting, version.data_as_of), _missing(table("feed_coverage"), lasting)])
        if gaps.is_empty():
            return gaps.with_columns(pl.lit(None, dtype=pl.List(pl.String)).alias("entities"))
        return gaps.join(_brought(table("batch")), on="feed", how="left").sort("first_day", "feed")


def _lasting(alerts: pl.DataFrame, as_of: date | None) -> pl.DataFrame:
    last_day = pl.max_horizontal("since", pl.lit(as_of, dtype=pl.Date))
    return alerts.select("feed", "kind", pl.col("since").alias("first_day"), last_day.alias("last_day"))


def _missing(coverage: pl.DataFrame, alerts: pl.DataFrame) -> pl.DataFrame:
    """Silences that ended: those of a feed that stopped are in its alert."""
    in_gap = pl.col("status").is_in(["missing", "closed_day"])
    return (
        coverage.sort("feed", "day")
        .with_columns((~in_gap).cum_sum().over("feed").alias("silence"))
        .filter(pl.col("status") == "missing")
        .group_by("feed", "silence")
        .agg(pl.col("day").min().alias("first_day"), pl.col("day").max().alias("last_day"))
        .join(alerts.group_by("feed").agg(pl.col("since").min()), on="feed", how="left")
        .filter(pl.col("since").is_null() | (pl.col("first_day") < pl.col("since")))
        .select("feed", pl.lit("missing").alias("kind"), "first_day", "last_day")
    )


def published_plausibility(home: Home, version: Version) -> tuple[pl.DataFrame, dict[str, list[str]]]:
    """The table `plausibility`, and feed to the sorted names of the entities that it has brought so far."""
    with _tables(home, version) as table:
        checks = table("plausibility")
        brought = {} if checks.is_empty() else dict(_brought(table("batch")).iter_rows())
        return checks, brought


def _brought(batches: pl.DataFrame) -> pl.DataFrame:
    """(feed, entities): the sorted names of the entities of which rows landed."""
    landed = batches.filter(pl.col("rows_landed") > 0)
    return landed.group_by("feed").agg(pl.col("entity").unique().sort().alias("entities"))
