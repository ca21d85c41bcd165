"""The rows and records in quarantine, and how they are counted.

`SCHEMA` is the schema of the quarantine's files. `what`, `what_count` and `amount` are what a person counts: "payment", 1,
"80.00".
"""

import base64
from collections.abc import Sequence
from typing import Any

import polars as pl

from data_contracts import Contract
from ingest.control_totals import MONEY, PAYLOAD, amount_columns
from ingest.interface import Holding, Refusal
from ingest.landing.contract_gate import COLUMN, DETAIL, REASON
from ingest.landing.payments import CONTRADICTS, ENTITIES, PAYMENT

RECORD = "record"  # what quarantine calls a source record that gave no row
# The amount that is shown for a held row: the first of its entity.
_HELD_AMOUNTS = ("payment_amount", "payer_paid_amount", "billed_amount", "adjustment_amount")
SCHEMA = {
    "entity": pl.String,
    "source_record_id": pl.String,
    "source_position": pl.String,
    "reason": pl.String,
    "column_name": pl.String,
    "detail": pl.String,
    "records": pl.Int64,
    "payload": pl.String,
    "what": pl.String,
    "what_count": pl.Int64,
    "amount": pl.String,
}


def held_back(entity_contract: Contract, bad: pl.DataFrame) -> pl.DataFrame:
    """Rows that the gate held back, as rows of the quarantine. Columns of the vault are not kept here."""
    payload = pl.lit(None, dtype=pl.String) if entity_contract.store == "vault" else pl.col(PAYLOAD)
    return bad.select(
        pl.lit(entity_contract.name).alias("entity"),
        "source_record_id",
        "source_position",
        pl.col(REASON).alias("reason"),
        pl.col(COLUMN).alias("column_name"),
        pl.col(DETAIL).alias("detail"),
        pl.lit(1, dtype=pl.Int64).alias("records"),
        payload.alias("payload"),
        *_counted(entity_contract),
    )


def _counted(entity_contract: Contract) -> list[pl.Expr]:
    """The noun by which a held row is counted. If a payment is held whole, only the payment counts, not its claims and lines."""
    is_part = (pl.col(REASON) == CONTRADICTS) & pl.lit(
        entity_contract.name in ENTITIES and entity_contract.name != PAYMENT
    )
    amount = pl.lit(None, dtype=pl.String)
    names = amount_columns(entity_contract)
    name = next((wanted for wanted in _HELD_AMOUNTS if wanted in names), None)
    if name is not None:
        amount = pl.col(PAYLOAD).str.json_decode(pl.Struct({name: pl.String})).struct.field(name)
    what = pl.lit("payment" if entity_contract.name == PAYMENT else f"{entity_contract.name.replace('_', ' ')} row")
    return [
        pl.when(~is_part).then(what).alias("what"),
        pl.when(is_part).then(0).otherwise(1).cast(pl.Int64).alias("what_count"),
        pl.when(~is_part).then(amount).alias("amount"),
    ]


def refusal_rows(unit_id: int, refusals: Sequence[Refusal]) -> pl.DataFrame:
    """Refused records of a unit as rows of the quarantine."""
    return pl.DataFrame(
        [
            {
                "entity": RECORD,
                "source_record_id": None,
                "source_position": f"unit {unit_id}: {refusal.position}",
                "reason": refusal.reason,
                "column_name": "",
                "detail": refusal.detail,
                "records": refusal.records,
                "payload": base64.b64encode(refusal.payload).decode() if refusal.payload is not None else None,
            }
            | _holding(refusal)
            for refusal in refusals
        ],
        schema=SCHEMA,
    )


def _holding(refusal: Refusal) -> dict[str, Any]:
    """The noun by which a refusal is counted."""
    held = refusal.holding or Holding(what=RECORD, count=refusal.records)
    return {"what": held.what, "what_count": held.count, "amount": None if held.amount is None else str(held.amount)}


def entries(quarantined: pl.DataFrame) -> list[dict[str, Any]]:
    """Quarantined rows counted by entity, reason and column, with the first position of each, as rows of the ledger."""
    money = pl.col("amount").str.strip_chars().cast(MONEY, strict=False)
    counted = quarantined.group_by("entity", "reason", "column_name", "what", maintain_order=True).agg(
        pl.col("records").sum().alias("rows"),
        pl.col("source_position").first().fill_null("").alias("first_position"),
        pl.col("detail").first(),
        pl.col("what_count").sum(),
        pl.when(pl.col("amount").is_not_null().any()).then(money.sum()).cast(pl.String).alias("amount"),
    )
    return counted.to_dicts()
