"""Finds payments in the landed rows, for a home without a memory of payments: from an earlier release, or after the file was
lost.

Payments whose rows an earlier release landed keep their ids. Claims are recognised by number, status, day and amounts, and the
payment by payer, trace number, amount and date. Payments that an earlier release counted as two, because their text differed,
stay two.
"""

import re
from collections import defaultdict
from decimal import Decimal
from typing import Any

import polars as pl
import sqlalchemy as sa

from foundation import duck
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.landing.payment_memory import PaymentMemory, PaymentPart
from ingest.landing.payments import PAYMENT, old_name
from ingest.ledger import Ledger
from ingest.sources.x12.remittance_ids import old_style_marks, provider_adjustment_marks

_COLUMNS = {
    PAYMENT: ("remittance_id", "payer_id", "trace_number", "payment_amount", "payment_date", "source_position"),
    "remittance_claim": (
        "remittance_id",
        "remittance_claim_id",
        "claim_id",
        "claim_status_code",
        "payer_claim_control_number",
        "service_from_date",
        "billed_amount",
        "payer_paid_amount",
        "patient_responsibility_amount",
        "source_position",
    ),
    "provider_adjustment": (
        "remittance_id",
        "provider_adjustment_id",
        "provider_npi",
        "fiscal_period_date",
        "reason_code",
        "reference_number",
        "adjustment_amount",
        "source_position",
    ),
}
_MARK = re.compile(r"[0-9a-f]{10}-\d{10}(\.\d+)?")


def remember_landed(memory: PaymentMemory, home: Home, keys: Keys, ledger: Ledger, tenant_id: str) -> None:
    """Notes the payments that a tenant has landed from X12 feeds. Batches whose files are gone are left out."""
    payments = _landed(home, keys, ledger, tenant_id, PAYMENT)
    if payments.is_empty():
        return
    claims = _landed(home, keys, ledger, tenant_id, "remittance_claim").partition_by("remittance_id", as_dict=True)
    adjustments = _landed(home, keys, ledger, tenant_id, "provider_adjustment").partition_by(
        "remittance_id", as_dict=True
    )
    by_unit: dict[int, list[tuple[str, PaymentPart]]] = defaultdict(list)
    # An id of an earlier release is of one transaction: rows that came twice are the same rows.
    named = payments.with_columns(old_name()).unique("remittance_id", keep="first", maintain_order=True)
    for name, old, position in named.select("remittance_id", "old_name", "source_position").iter_rows():
        part = _part(name, claims.get((name,)), adjustments.get((name,)))
        by_unit[_unit(position)].append((old if part.is_old_style else name, part))
    for unit_id, parts in by_unit.items():
        memory.keep(unit_id, parts)


def _landed(home: Home, keys: Keys, ledger: Ledger, tenant_id: str, entity: str) -> pl.DataFrame:
    """Some columns of the landed rows of an entity, from feeds that were ever read as X12, one row an id."""
    batch, feed_run = tables.batch.c, tables.feed_run.c
    x12 = sa.select(feed_run.feed).where(feed_run.tenant_id == tenant_id, feed_run.kind == "x12")
    query = sa.select(batch.file).where(
        batch.tenant_id == tenant_id, batch.entity == entity, batch.file.is_not(None), batch.feed.in_(x12)
    )
    files = [home.path / row["file"] for row in ledger.rows(query.order_by(batch.batch_sequence))]
    listed = ", ".join(_COLUMNS[entity])
    with duck.session(home) as connection:
        name_of = duck.add_parquet_keys(connection, keys.derive_all("landing", tenant_id))
        reads = [f"select {listed} from {duck.parquet_of(file, name_of(file))}" for file in files if file.exists()]
        empty = ", ".join(f"null::varchar as {name}" for name in _COLUMNS[entity])
        rows = connection.execute(" union all ".join(reads) if reads else f"select {empty} where false").pl()
    key = "remittance_id" if entity == PAYMENT else f"{entity}_id"
    return rows.unique(key, keep="first", maintain_order=True)


def _part(name: str, claims: pl.DataFrame | None, adjustments: pl.DataFrame | None) -> PaymentPart:
    part = PaymentPart(remittance_id=name)
    if claims is not None:
        marks = [text.removeprefix(f"{name}-") for text in claims["remittance_claim_id"]]
        part.is_old_style = not all(map(_MARK.fullmatch, marks))
        part.claims = set(old_style_marks(claims)) if part.is_old_style else set(marks)
        part.paid = _total(claims["payer_paid_amount"])
    if adjustments is not None:
        of_payment = adjustments.with_columns(pl.lit(0).alias("txn"))
        part.adjustments = set(provider_adjustment_marks(of_payment))
        part.adjusted = _total(adjustments["adjustment_amount"])
    # Without a claim, the length of the mark shows the style.
    part.is_old_style |= claims is None and len(name.rpartition("-")[2]) != 8
    return part


def _total(amounts: pl.Series) -> Decimal:
    total: Any = amounts.sum()
    return Decimal(total or 0)


def _unit(position: str) -> int:
    """The unit in "unit 12: ISA 1 ..."; 0 where none is named."""
    unit = re.match(r"unit (\d+): ", position or "")
    return int(unit[1]) if unit else 0
