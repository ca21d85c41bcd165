"""Control totals: what a batch moves, counted again at every station, so that money is conserved as rows are.

Amounts are the contract's columns that end in `_amount`. They are summed as `decimal(38,4)` from the rows as their reader gave
them, before the gate; from the rows that landed; and from what quarantine holds. The first must be the sum of the others. A
value that is not an amount counts as 0 in all three: it is the reason why its row is held. The ledger keeps sums as decimal text.

A `Stated` is what the source itself says it sent (the count and the sum of CLP segments, a COUNT and SUM of the database): it
is worked out beside the rows, not from them, and must be what the reader gave.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import polars as pl

from data_contracts import Contract

MONEY = pl.Decimal(18, 4)
ROWS = "rows"
# The column of a quarantined row that holds the values as the reader gave them, as JSON.
PAYLOAD = "_payload"
_SUFFIX = "_amount"
_NOTHING = Decimal("0.0000")


class MoneyMismatch(RuntimeError):
    """Money that was read neither landed nor is held: a defect of this product, never of the data."""


def amount_columns(entity_contract: Contract) -> tuple[str, ...]:
    """Names of the contract's columns that hold an amount of money."""
    return tuple(c.name for c in entity_contract.columns if c.logical_type == "number" and c.name.endswith(_SUFFIX))


def amounts(values: pl.Series) -> pl.Series:
    """Values as the gate casts them; null where one is no amount."""
    if values.dtype == pl.String():
        values = values.str.strip_chars()
    return values.cast(MONEY, strict=False)


def total(values: pl.Series) -> Decimal:
    """The sum of a column's amounts, 0 for none."""
    summed = amounts(values).sum()
    return Decimal(summed).quantize(_NOTHING) if summed is not None else _NOTHING


def totals(entity_contract: Contract, frames: Iterable[pl.DataFrame]) -> dict[str, Decimal]:
    """Amount column to its sum over frames that may lack it."""
    sums = dict.fromkeys(amount_columns(entity_contract), _NOTHING)
    for frame in frames:
        for name in sums:
            if name in frame.columns:
                sums[name] += total(frame[name])
    return sums


def payload_totals(entity_contract: Contract, bad: pl.DataFrame) -> dict[str, Decimal]:
    """Amount column to its sum over rows that the gate held back, read out of what quarantine keeps of them."""
    names = amount_columns(entity_contract)
    if not names or bad.is_empty():
        return dict.fromkeys(names, _NOTHING)
    shape = pl.Struct(dict.fromkeys(names, pl.String))
    return totals(entity_contract, [bad.select(pl.col(PAYLOAD).str.json_decode(shape)).unnest(PAYLOAD)])


def conserved(
    entity_contract: Contract, read: Mapping[str, Decimal], landed: Mapping[str, Decimal], held: Mapping[str, Decimal]
) -> list[dict[str, str]]:
    """A row of the ledger for each amount column. Raises MoneyMismatch where read is not landed + held."""
    rows = []
    for name in amount_columns(entity_contract):
        if read[name] != landed[name] + held[name]:
            raise MoneyMismatch(
                f"{entity_contract.name}.{name}: {read[name]} were read, {landed[name]} landed and {held[name]} are held"
            )
        rows.append(
            {
                "entity": entity_contract.name,
                "measure": name,
                "read_amount": str(read[name]),
                "landed_amount": str(landed[name]),
                "quarantined_amount": str(held[name]),
            }
        )
    return rows
