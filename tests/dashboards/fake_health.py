"""What the fake reader says of its feeds: Data health, findings, alerts and refused files."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl

from serving.model import Health
from serving.plausibility import Finding
from tests.dashboards.fake_visits import AS_OF


def health(*, stopped: bool, doubted: bool) -> Health:
    """What four feeds delivered. `stopped`: the feed of remittances stopped; `doubted`: a finding of plausibility has rows."""
    at = datetime(2026, 11, 15, 5, 58, tzinfo=UTC)
    feeds = [
        ("pm", "pm_database", "clinicmart", "landed", 30210, 30180, 30, 0, None),
        ("ehr", "fhir", "synthea", "landed", 18044, 18044, 0, 0, None),
        ("remits", "x12", None, "partly", 9120, 9100, 20, 1, "1 of 14 files refused"),
        ("adt", "hl7v2", None, "landed", 4410, 4402, 8, 0, None),
    ]
    return Health(
        feeds=pl.DataFrame(
            [
                {
                    "feed": f,
                    "kind": k,
                    "profile": p,
                    "last_read_at": at,
                    "outcome": o,
                    "units_read": 10,
                    "units_refused": u,
                    "records_read": r,
                    "records_landed": la,
                    "records_quarantined": q,
                    "rows_landed": la * 2,
                    "rows_quarantined": q,
                    "newest_record_at": at - timedelta(hours=9),
                    "problem": problem,
                }
                for f, k, p, o, r, la, q, u, problem in feeds
            ]
        ),
        batches=pl.DataFrame(
            [
                {
                    "feed": f[0],
                    "entity": e,
                    "batch_id": f"b{n}",
                    "run_id": "r1",
                    "landed_at": at,
                    "rows_read": 900 + n,
                    "rows_landed": 897 + n,
                    "rows_quarantined": 3,
                }
                for n, (f, e) in enumerate((f, e) for f in feeds for e in ("appointment", "claim", "encounter"))
            ]
        ),
        refused_units=pl.DataFrame(
            [
                {
                    "feed": "remits",
                    "unit": "file 51571bd6c9.835",
                    "position": "segment 412",
                    "code": "CM-X12-041",
                    "problem": "The interchange ends in the middle of a claim.",
                    "remedy": "Ask the clearinghouse to send the file again.",
                    "refused_at": at,
                }
            ]
        ),
        quarantine=pl.DataFrame(
            [
                {
                    "feed": "pm",
                    "entity": "appointment",
                    "reason": "starts before 1990",
                    "column_name": "starts_at",
                    "rows": 30,
                },
                {
                    "feed": "remits",
                    "entity": "remittance_claim",
                    "reason": "the claim does not balance",
                    "column_name": "paid_amount",
                    "rows": 20,
                },
                {
                    "feed": "adt",
                    "entity": "encounter",
                    "reason": "no visit number",
                    "column_name": "encounter_id",
                    "rows": 8,
                },
            ]
        ),
        coverage=_coverage(stopped),
        alerts=alerts(stopped=stopped).drop("entities"),
        rhythms=pl.DataFrame(
            [
                ("pm", "daily", None, 900, AS_OF),
                ("ehr", "daily", None, 500, AS_OF),
                ("remits", "daily", None, 160, date(2026, 11, 5) if stopped else AS_OF),
                ("adt", "unknown", None, None, AS_OF),
            ],
            schema={"feed": str, "rhythm": str, "period_days": int, "usual_rows": int, "newest_day": date},
            orient="row",
        ),
        notices=pl.DataFrame(
            [
                (
                    "remits",
                    "balance_does_not_hold",
                    "paid and adjusted do not make the charge",
                    14,
                    "unit 3: CLP 2",
                ),
                ("ehr", "reference_unresolved", "Encounter.subject names no Patient", 6, "unit 1: line 40"),
                ("ehr", "reference_unresolved", "Encounter.location names no Location", 2, "unit 1: line 90"),
                ("acks", "transaction_accepted", "transaction 837 was accepted", 900, "unit 4: segment 3"),
                ("adt", "something_new", "a word nobody explained", 1, "unit 2: segment 9"),
            ],
            schema=["feed", "reason", "detail", "rows", "first_position"],
            orient="row",
        ),
        unknown_words=pl.DataFrame(
            [
                (
                    "adt",
                    "appointment",
                    "status",
                    "SCH-25",
                    "BUMPED",
                    "unknown",
                    31,
                    "appointment_statuses",
                    "unit 2: message 9",
                ),
                (
                    "remits",
                    "remittance_claim",
                    "claim_status_code",
                    "CLP02",
                    "99",
                    "",
                    4,
                    "claim_statuses",
                    "unit 3: CLP 7",
                ),
            ],
            schema=[
                "feed",
                "entity",
                "column_name",
                "field",
                "word",
                "became",
                "rows",
                "profile_key",
                "first_position",
            ],
            orient="row",
        ),
        unmatched_references=pl.DataFrame(
            [("ehr", "appointment", "provider_id", "provider", 18000, 240, 3)],
            schema=[
                "feed",
                "entity",
                "column_name",
                "referenced_entity",
                "rows_with_reference",
                "unmatched_rows",
                "unmatched_ids",
            ],
            orient="row",
        ),
        remittance_matches=pl.DataFrame(
            [
                ("remits", "claim", "claim_id", True, 5000, Decimal("900000.00"), Decimal("500000.00")),
                ("remits", "claim", "none", False, 12, Decimal("4100.00"), Decimal("2210.50")),
                ("remits", "line", "line_control_number", True, 9000, Decimal("890000.00"), Decimal("495000.00")),
                ("remits", "line", "claim", False, 31, Decimal("7000.00"), Decimal("3000.00")),
            ],
            schema=[
                "feed",
                "level",
                "match_method",
                "is_matched",
                "records",
                "billed_amount",
                "payer_paid_amount",
            ],
            orient="row",
        ),
        conflicts=pl.DataFrame(
            [("encounter", "status", "pm", "ehr", 7)],
            schema=["entity", "column_name", "record_feed", "other_feed", "keys_in_conflict"],
            orient="row",
        ),
        visits=pl.DataFrame(
            {"match_rule": ["appointment", "time"], "outcome": ["matched", "ambiguous"], "encounters": [312, 4]}
        ),
        plausibility_rows=pl.DataFrame(
            [
                (
                    "CM-PLAUS-001",
                    "adt",
                    "claims",
                    "charge",
                    1,
                    "unit 7: message 2",
                    date(2026, 10, 5),
                    1,
                    Decimal("200.00"),
                )
            ]
            if doubted
            else [],
            schema={
                "code": pl.String,
                "feed": pl.String,
                "other_feed": pl.String,
                "entity": pl.String,
                "row_rank": pl.Int64,
                "source_position": pl.String,
                "found_day": pl.Date,
                "found_rows": pl.Int64,
                "found_amount": pl.Decimal(18, 4),
            },
            orient="row",
        ),
        deleted=pl.DataFrame(
            [("pm", "appointment", "reported", 3)], schema=["feed", "entity", "found_by", "records"], orient="row"
        ),
    )


def finding() -> Finding:
    """Two feeds that bill the same services."""
    return Finding(
        code="CM-PLAUS-001",
        title="Two feeds bill the same services",
        meaning="No number links them, so the services may be counted twice.",
        remedy="Ask the sender for the visit number.",
        feed="adt",
        other_feed="claims",
        entity="charge",
        rows=12,
        amount=Decimal("2400.00"),
        first_day=date(2026, 8, 5),
        last_day=date(2026, 11, 2),
        entities=("charge", "claim", "claim_line"),
        metrics=("billed_amount", "net_collection_rate", "open_balance"),
    )


def refusals(*, refused: bool) -> pl.DataFrame:
    """Feeds with refused files, as `Reader.refusals`."""
    rows = [{"feed": "remits", "files": 1, "entities": ["remittance", "remittance_adjustment", "remittance_claim"]}]
    schema = {"feed": pl.String, "files": pl.Int64, "entities": pl.List(pl.String)}
    return pl.DataFrame(rows if refused else [], schema=schema)


def alerts(*, stopped: bool) -> pl.DataFrame:
    """Feeds that stopped, as `Reader.alerts`."""
    rows = [
        {
            "feed": "remits",
            "kind": "stopped",
            "since": date(2026, 11, 6),
            "newest_day": date(2026, 11, 5),
            "message": "Feed remits stopped: no rows have arrived for 6 Nov 2026 or any later day; about 160 rows a day are usual.",
            "entities": ["remittance", "remittance_claim", "remittance_line"],
        }
    ]
    schema = {"feed": pl.String, "kind": pl.String, "since": pl.Date, "newest_day": pl.Date, "message": pl.String}
    return pl.DataFrame(rows if stopped else [], schema=schema | {"entities": pl.List(pl.String)})


def _coverage(stopped: bool) -> pl.DataFrame:
    """Eight weeks of four feeds; remits stops on 6 November, adt is not known yet."""
    rng = random.Random(3)
    rows = []
    for feed, usual in (("pm", 900), ("ehr", 500), ("remits", 160), ("adt", 40)):
        for ago in range(55, -1, -1):
            day = AS_OF - timedelta(days=ago)
            is_open = day.isoweekday() <= 5
            received = int(rng.gauss(usual, usual * 0.06)) if is_open else 0
            status = "as_expected" if is_open else "closed_day"
            expected = usual if is_open else 0
            if feed == "remits" and stopped and day >= date(2026, 11, 6):
                received, status = 0, "missing" if is_open else "closed_day"
            known = feed != "adt"
            rows.append(
                {
                    "feed": feed,
                    "day": day,
                    "expected": expected if known else None,
                    "low": int(expected * 0.75) if known else None,
                    "high": int(expected * 1.25) + 4 if known else None,
                    "received": received,
                    "status": status if known else "not_yet_known",
                }
            )
    return pl.DataFrame(rows)
