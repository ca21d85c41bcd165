"""A payment that comes again: which of its rows are new, which came before, and which contradict earlier rows.

Readers name a payment by payer, trace, amount and date and its claims by what they say (`ingest.sources.x12.remittance_ids`).
A transaction of a payment that is known already is compared with what is known of it:

    comes again    it brings nothing new: no row of it lands; notice payment_came_again
    in parts       it brings claims that are missing to the payment: those land; notice payment_in_parts
    contradicts    a claim that is known comes with other money, or the payment was whole and no longer adds up:
                   all its rows are held, with reason payment_contradicts, until a person releases them

The first delivery stands: a payment that is made again on a later day does not move its claims to that day.

BPR02 = sum of CLP04 - sum of PLB is checked on all that is known of a payment. Where it does not hold there is one notice,
payment_out_of_balance; it goes when a later part completes the payment.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import polars as pl

from ingest.interface import Chunk, Notice
from ingest.landing.payment_memory import PaymentMemory, PaymentPart
from ingest.sources.x12.elements import MONEY
from ingest.sources.x12.remittance_ids import claim_of_mark, old_style_marks

CONTRADICTS = "payment_contradicts"
OUT_OF_BALANCE = "payment_out_of_balance"
PAYMENT = "remittance"
# Entities whose rows belong to a payment.
ENTITIES = ("remittance", "remittance_claim", "remittance_line", "remittance_adjustment", "provider_adjustment")
CONTRADICTS_DETAIL = "the same payment (payer, trace, amount, date) arrived before with other money for its claims"
_CAME_AGAIN = "the same payment (payer, trace, amount, date) arrived before; it counts once"
_IN_PARTS = (
    "the payment arrived in several transactions with the same payer, trace, amount and date; it counts as one payment"
)


@dataclass(kw_only=True)
class Taken:
    """The result for a chunk: `rows` to land, `withheld` rows for the quarantine, by entity, and notices. `settled` are notices
    of earlier transactions, by unit and position, that a part of this chunk ends."""

    rows: dict[str, pl.DataFrame]
    withheld: dict[str, pl.DataFrame] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    settled: list[tuple[int, str]] = field(default_factory=list)


def take(memory: PaymentMemory, unit_id: int, chunk: Chunk) -> Taken:
    """Compares the payments of a chunk with the known ones, and records the new ones."""
    rows = {entity: chunk.rows[entity] for entity in ENTITIES if entity in chunk.rows}
    names = rows[PAYMENT]["remittance_id"].to_list()
    old_names = (
        rows[PAYMENT].select(old_name()).to_series().to_list() if memory.knows_old_style() else [""] * len(names)
    )
    remembered = memory.recall([*names, *filter(None, old_names)])
    repeated = {name for name, times in Counter(names).items() if times > 1}
    doubtful = repeated | {
        name for name, old in zip(names, old_names, strict=True) if name in remembered or old in remembered
    }
    parts = _parts(rows, without=doubtful)
    notices = _balance_notices(rows[PAYMENT], parts, unit_id)
    memory.keep(unit_id, parts.items())
    taken = _compare(memory, unit_id, rows, remembered, doubtful) if doubtful else Taken(rows=rows)
    taken.notices += notices
    taken.rows |= {entity: frame for entity, frame in chunk.rows.items() if entity not in rows}
    return taken


def _compare(
    memory: PaymentMemory,
    unit_id: int,
    rows: dict[str, pl.DataFrame],
    remembered: dict[str, PaymentPart],
    doubtful: set[str],
) -> Taken:
    """Goes through the transactions of payments in doubt, one after the other."""
    placed = _placed(rows)
    dropped: dict[str, list[pl.DataFrame]] = {}
    held: list[int] = []
    renamed: dict[int, str] = {}
    taken = Taken(rows={})
    for txn, name, old, amount, place in (
        placed[PAYMENT]
        .filter(pl.col("remittance_id").is_in(list(doubtful)))
        .select(
            "_txn", "remittance_id", old_name(), pl.col("payment_amount").cast(MONEY, strict=False), "source_position"
        )
        .iter_rows()
    ):
        mine = {entity: frame.filter(pl.col("_txn") == txn) for entity, frame in placed.items()}
        before = remembered.get(name) or remembered.get(old)
        if before is None:
            remembered[name] = _part(name, mine, is_old_style=False)
            taken.notices += _balance_notices(mine[PAYMENT], remembered, unit_id)
            memory.keep(unit_id, [(name, remembered[name])])
            continue
        verdict = _judge(before, mine, amount or Decimal(0))
        if verdict.contradicts:
            held.append(txn)
            continue
        if verdict.came_again:
            taken.notices.append(Notice(position=place, reason="payment_came_again", detail=_CAME_AGAIN))
        if verdict.fresh.claims or verdict.fresh.adjustments:
            taken.notices.append(Notice(position=place, reason="payment_in_parts", detail=_IN_PARTS))
            taken.settled += before.open_at
            before.open_at = []
            before.add(verdict.fresh)
            taken.notices += _balance_notices(mine[PAYMENT], {name: before}, unit_id)
            verdict.fresh.open_at = before.open_at
            memory.keep(unit_id, [(name if name in remembered else old, verdict.fresh)])
        if before.remittance_id != name:
            renamed[txn] = before.remittance_id
        for entity, frame in verdict.repeated.items():
            dropped.setdefault(entity, []).append(frame)
        dropped.setdefault(PAYMENT, []).append(mine[PAYMENT])
    for entity, frame in placed.items():
        gone = pl.concat(dropped[entity])["_row"] if entity in dropped else pl.Series(dtype=pl.Int64)
        kept = frame.filter(~pl.col("_row").is_in(gone.implode()) & ~pl.col("_txn").is_in(held))
        taken.rows[entity] = _renamed(kept, renamed).drop("_row", "_txn")
        if held:
            withheld = frame.filter(pl.col("_txn").is_in(held)).drop("_row", "_txn")
            if withheld.height:
                taken.withheld[entity] = withheld
    return taken


@dataclass(kw_only=True)
class _Verdict:
    """The comparison of a transaction with a known payment: `repeated` rows by entity came before, `fresh` are the new rows."""

    contradicts: bool = False
    came_again: bool = False
    fresh: PaymentPart
    repeated: dict[str, pl.DataFrame] = field(default_factory=dict)


def _judge(before: PaymentPart, mine: dict[str, pl.DataFrame], amount: Decimal) -> _Verdict:
    now = _part(before.remittance_id, mine, is_old_style=before.is_old_style)
    claims, adjustments = _marked_claims(mine, before.is_old_style), _marked_adjustments(mine)
    fresh_claims = claims.filter(~pl.col("_mark").is_in(list(before.claims)))
    fresh_adjustments = adjustments.filter(~pl.col("_mark").is_in(list(before.adjustments)))
    fresh = PaymentPart(
        remittance_id=before.remittance_id,
        claims=now.claims - before.claims,
        adjustments=now.adjustments - before.adjustments,
        paid=_sum(fresh_claims, "payer_paid_amount"),
        adjusted=_sum(fresh_adjustments, "adjustment_amount"),
        is_old_style=before.is_old_style,
    )
    was_whole = before.paid - before.adjusted == amount
    is_whole = before.paid + fresh.paid - before.adjusted - fresh.adjusted == amount
    if _differ(before.claims, now.claims) or (was_whole and not is_whole):
        return _Verdict(contradicts=True, fresh=fresh)
    repeated_claims = claims.filter(pl.col("_mark").is_in(list(before.claims)))
    repeated = {
        "remittance_claim": repeated_claims,
        "provider_adjustment": adjustments.filter(pl.col("_mark").is_in(list(before.adjustments))),
    }
    for entity in ("remittance_line", "remittance_adjustment"):
        if entity in mine:
            repeated[entity] = mine[entity].join(
                repeated_claims.select("remittance_claim_id"), on="remittance_claim_id", how="semi"
            )
    repeated = {entity: frame.select("_row") for entity, frame in repeated.items() if frame.height}
    is_empty = not fresh.claims and not fresh.adjustments
    return _Verdict(came_again=is_empty or bool(repeated), fresh=fresh, repeated=repeated)


def _differ(before: set[str], now: set[str]) -> bool:
    """Whether a claim is in both with other money. If one has all rows of the other for this number, and more,
    the payment is only more complete."""
    of_claim: dict[str, tuple[set[str], set[str]]] = {}
    for side, marks in enumerate((before, now)):
        for mark in marks:
            of_claim.setdefault(claim_of_mark(mark), (set(), set()))[side].add(mark)
    return any(first and other and not first <= other and not other <= first for first, other in of_claim.values())


def old_name() -> pl.Expr:
    """The name of a payment whose rows an earlier release landed, without TRN03."""
    amount = pl.coalesce(pl.col("payment_amount").cast(MONEY, strict=False).cast(pl.String), pl.lit(""))
    parts = (
        pl.col("payer_id").str.strip_chars().fill_null(""),
        pl.col("trace_number").str.strip_chars().fill_null(""),
        amount,
        pl.col("payment_date").cast(pl.String).fill_null(""),
    )
    # Without a trace number such a payment has no name; no real name contains a line feed.
    return (
        pl.when(pl.col("trace_number").is_not_null())
        .then(pl.concat_str(*parts, separator="\x1f"))
        .otherwise(pl.lit("\n"))
        .alias("old_name")
    )


def _balance_notices(payments: pl.DataFrame, parts: Mapping[str, PaymentPart], unit_id: int) -> list[Notice]:
    """A notice for each payment whose claims and adjustments do not add up to its amount; its part keeps the place."""
    notices = []
    amounts = payments.select("remittance_id", pl.col("payment_amount").cast(MONEY, strict=False), "source_position")
    for name, amount, place in amounts.iter_rows():
        part = parts.get(name)
        if part is None or part.paid - part.adjusted == amount:
            continue
        sent = "not given" if amount is None else f"{amount:.4f}"
        detail = f"claim payments {part.paid:.4f} less provider adjustments {part.adjusted:.4f} is not payment {sent}"
        notices.append(Notice(position=place, reason=OUT_OF_BALANCE, detail=detail))
        part.open_at.append((unit_id, place))
    return notices


def _parts(rows: dict[str, pl.DataFrame], *, without: set[str]) -> dict[str, PaymentPart]:
    """The rows of each payment with one transaction in the frames; `without` some payments."""
    parts = {name: PaymentPart(remittance_id=name) for name in rows[PAYMENT]["remittance_id"] if name not in without}
    for name, marks, paid in _grouped(rows, "remittance_claim", "payer_paid_amount"):
        if name in parts:
            parts[name].claims, parts[name].paid = set(marks), paid or Decimal(0)
    for name, marks, adjusted in _grouped(rows, "provider_adjustment", "adjustment_amount"):
        if name in parts:
            parts[name].adjustments, parts[name].adjusted = set(marks), adjusted or Decimal(0)
    return parts


def _grouped(
    rows: dict[str, pl.DataFrame], entity: str, amount: str
) -> Iterator[tuple[str, list[str], Decimal | None]]:
    """By payment: the marks of the rows of an entity, and their sum."""
    if entity in rows:
        money = pl.col(amount).cast(MONEY, strict=False).sum()
        yield from rows[entity].group_by("remittance_id").agg(_mark(f"{entity}_id"), money).iter_rows()


def _part(name: str, mine: dict[str, pl.DataFrame], *, is_old_style: bool) -> PaymentPart:
    """The rows of one transaction."""
    claims, adjustments = _marked_claims(mine, is_old_style), _marked_adjustments(mine)
    return PaymentPart(
        remittance_id=name,
        claims=set(claims["_mark"]),
        adjustments=set(adjustments["_mark"]),
        paid=_sum(claims, "payer_paid_amount"),
        adjusted=_sum(adjustments, "adjustment_amount"),
        is_old_style=is_old_style,
    )


def _mark(column: str) -> pl.Expr:
    """The part of an id behind the id of its payment."""
    return pl.col(column).str.strip_prefix(pl.format("{}-", "remittance_id")).alias("_mark")


_NO_CLAIMS = {"_mark": pl.String, "_row": pl.Int64, "payer_paid_amount": pl.String, "remittance_claim_id": pl.String}
_NO_ADJUSTMENTS = {"_mark": pl.String, "_row": pl.Int64, "adjustment_amount": pl.String}


def _marked_claims(mine: dict[str, pl.DataFrame], is_old_style: bool) -> pl.DataFrame:
    if "remittance_claim" not in mine:
        return pl.DataFrame(schema=_NO_CLAIMS)
    claims = mine["remittance_claim"]
    return claims.with_columns(old_style_marks(claims).alias("_mark") if is_old_style else _mark("remittance_claim_id"))


def _marked_adjustments(mine: dict[str, pl.DataFrame]) -> pl.DataFrame:
    if "provider_adjustment" not in mine:
        return pl.DataFrame(schema=_NO_ADJUSTMENTS)
    return mine["provider_adjustment"].with_columns(_mark("provider_adjustment_id"))


def _sum(frame: pl.DataFrame, column: str) -> Decimal:
    total = frame[column].cast(MONEY, strict=False).sum()
    return Decimal(total or 0)


def _placed(rows: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The frames of payments with `_row` and `_txn`, the number of the transaction in the chunk: rows say which segment they are,
    and a transaction begins where its payment's row does."""
    segment = pl.col("source_position").str.extract(r"\(segment (\d+)\)$").cast(pl.Int64)
    begins = rows[PAYMENT].select(segment=segment).sort("segment")
    begins = begins.with_columns(_txn=pl.int_range(pl.len(), dtype=pl.Int64))
    return {
        entity: frame.with_columns(_row=pl.int_range(pl.len(), dtype=pl.Int64), segment=segment)
        .sort("segment", maintain_order=True)
        .join_asof(begins, on="segment", strategy="backward")
        .drop("segment")
        .sort("_row")
        for entity, frame in rows.items()
    }


def _renamed(frame: pl.DataFrame, names: dict[int, str]) -> pl.DataFrame:
    """The frame with the id that an earlier release gave the payments of some transactions."""
    if not names or "remittance_id" not in frame.columns:
        return frame
    new_names = pl.col("_txn").replace_strict(names, default=None, return_dtype=pl.String)
    return frame.with_columns(pl.coalesce(new_names, "remittance_id").alias("remittance_id"))
