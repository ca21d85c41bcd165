"""Why an amount or a rate changed: parts by volume, mix and rate that add up to the change exactly. Pure.

An amount (money denied) of a cell, such as one unit, payer and provider, is a product:

    amount = total volume x share of the unit x share of the payer in the unit x share of the provider in both x rate

where the volume is what the amount is a part of (money decided) and the rate is amount / volume. A rate (money denied / money
decided) is the same product without the total volume.

The change of a product is split by Shapley's value: each factor gets the mean of what it changes over all orders in which the factors
can go from their earlier to their later value. Nothing is left over, and no factor goes first. For two and three factors it is the
formula of Das Gupta (Standardization and Decomposition of Rates, U.S. Bureau of the Census, Current Population Reports P23-186,
1993); that it is the same is shown by Shorrocks (Journal of Economic Inequality 2013, 11:99).

A share or rate that a period does not have (nothing stands below its line) is taken to be that of the other period: a cell that comes
or goes changes the mix, not the rate.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from math import factorial

CENT = Decimal("0.01")
# A hundredth of a basis point: what a rate's parts are rounded to.
RATE_STEP = Decimal("0.000001")
_DIGITS = 40

Cell = tuple[str, ...]
# (volume, amount) of each cell: the amount is a part of the volume.
Cells = Mapping[Cell, tuple[Decimal, Decimal]]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a change, in the unit of the amount (or as a fraction, for a rate).

    `mix` has a part for each dimension of the cells, in their order: of units, of payers within units, and so on. `rate` has a part
    for each cell. `volume` is 0 for a rate. `change` = `volume` + all of `mix` + all of `rate`, to the last digit.
    """

    change: Decimal
    volume: Decimal
    mix: tuple[Decimal, ...]
    rate: Mapping[Cell, Decimal]

    def rate_by(self, *positions: int) -> dict[Cell, Decimal]:
        """The parts of the rate added up by some dimensions of the cells: `rate_by(0)` by the first."""
        added: dict[Cell, Decimal] = {}
        for cell, part in self.rate.items():
            name = tuple(cell[position] for position in positions)
            added[name] = added.get(name, Decimal(0)) + part
        return added


def explain(before: Cells, now: Cells, *, is_rate: bool = False, step: Decimal | None = None) -> Parts:
    """The parts of the change from `before` to `now`, rounded to `step` (a cent; RATE_STEP for a rate) so that they add up to the change.

    The change of amounts in cents is exact; that of a rate is rounded to the step. Parts do not depend on the order of the cells.
    Raises ValueError for cells of different lengths, and for a rate without volume in one of the periods.
    """
    cells = sorted({*before, *now})
    widths = {len(cell) for cell in cells}
    if len(widths) > 1:
        raise ValueError("all cells name the same dimensions")
    width = widths.pop() if widths else 0
    with localcontext() as context:
        context.prec = _DIGITS
        step = step or (RATE_STEP if is_rate else CENT)
        sides = [_Side(cells, side) for side in (before, now)]
        if is_rate and not all(side.volume for side in sides):
            raise ValueError("a rate needs a volume in both periods")
        exact = _exact_parts(cells, width, sides, is_rate=is_rate)
        change = sum(exact, Decimal(0)).quantize(step)
        rounded = _rounded(exact, change, step)
    return Parts(
        change=change,
        volume=rounded[0],
        mix=tuple(rounded[1 : 1 + width]),
        rate=dict(zip(cells, rounded[1 + width :], strict=True)),
    )


class _Side:
    """One period's volumes: of each cell, and of all cells that begin alike."""

    def __init__(self, cells: Sequence[Cell], values: Cells) -> None:
        nothing = (Decimal(0), Decimal(0))
        self.values = {cell: values.get(cell, nothing) for cell in cells}
        self.volumes: dict[Cell, Decimal] = {}
        for cell, (volume, _) in self.values.items():
            for length in range(len(cell) + 1):
                name = cell[:length]
                self.volumes[name] = self.volumes.get(name, Decimal(0)) + volume
        self.volume = self.volumes.get((), Decimal(0))

    def share(self, cell: Cell, length: int) -> Decimal | None:
        """The share of `cell[:length]` in `cell[:length - 1]`; None where that has no volume."""
        whole = self.volumes[cell[: length - 1]]
        return self.volumes[cell[:length]] / whole if whole else None

    def rate(self, cell: Cell) -> Decimal | None:
        volume, amount = self.values[cell]
        return amount / volume if volume else None


def _exact_parts(cells: Sequence[Cell], width: int, sides: Sequence[_Side], *, is_rate: bool) -> list[Decimal]:
    """Volume, the mix of each dimension, then the rate of each cell, unrounded."""
    earlier, later = sides
    shared = [Decimal(0)] * (1 + width)
    rates = []
    weights = _weights(width + (1 if is_rate else 2))
    for cell in cells:
        factors = [] if is_rate else [(earlier.volume, later.volume)]
        factors += [_both(earlier.share(cell, length), later.share(cell, length)) for length in range(1, width + 1)]
        factors.append(_both(earlier.rate(cell), later.rate(cell)))
        parts = _shapley(factors, weights)
        for place, part in enumerate(parts[:-1], start=1 if is_rate else 0):
            shared[place] += part
        # What is left, and not the last part itself: an amount without a volume is in no product.
        change = _amount(later, cell, is_rate=is_rate) - _amount(earlier, cell, is_rate=is_rate)
        rates.append(change - sum(parts[:-1], Decimal(0)))
    return [*shared, *rates]


def _amount(side: _Side, cell: Cell, *, is_rate: bool) -> Decimal:
    amount = side.values[cell][1]
    return amount / side.volume if is_rate else amount


def _both(earlier: Decimal | None, later: Decimal | None) -> tuple[Decimal, Decimal]:
    """A factor in both periods; if one period lacks it, it has the value of the other."""
    values = [value for value in (earlier, later) if value is not None]
    first = values[0] if values else Decimal(0)
    return (first if earlier is None else earlier, values[-1] if values else first)


def _weights(factors: int) -> list[Decimal]:
    """Shapley's weight of a coalition by its size: in how many of all orders exactly these factors have moved before."""
    whole = factorial(factors)
    return [Decimal(factorial(size) * factorial(factors - 1 - size)) / whole for size in range(factors)]


def _shapley(factors: Sequence[tuple[Decimal, Decimal]], weights: Sequence[Decimal]) -> list[Decimal]:
    """The contribution of each factor to the change of a product, as the mean over all orders."""
    parts = []
    for place, (earlier, later) in enumerate(factors):
        # By how many of the other factors have moved: the sum of the products of all such choices.
        products = [Decimal(1)]
        for other, (old, new) in enumerate(factors):
            if other != place:
                products = [
                    (products[size] * old if size < len(products) else Decimal(0))
                    + (products[size - 1] * new if size else Decimal(0))
                    for size in range(len(products) + 1)
                ]
        mean = sum((weight * product for weight, product in zip(weights, products, strict=True)), Decimal(0))
        parts.append((later - earlier) * mean)
    return parts


def _rounded(exact: Sequence[Decimal], change: Decimal, step: Decimal) -> list[Decimal]:
    """Each part as whole steps, by the largest remainders, so that they add up to the change."""
    steps = [int((part / step).to_integral_value(rounding="ROUND_FLOOR")) for part in exact]
    left = int(change / step) - sum(steps)
    by_remainder = sorted(range(len(exact)), key=lambda place: (steps[place] - exact[place] / step, place))
    for place in by_remainder[:left]:
        steps[place] += 1
    return [number * step for number in steps]


def largest(parts: Mapping[Cell, Decimal], most: int) -> tuple[list[tuple[Cell, Decimal]], Decimal]:
    """At most so many parts by size, the largest first, and the sum of the others."""
    ordered = sorted(parts.items(), key=lambda item: (-abs(item[1]), item[0]))
    kept = [item for item in ordered[:most] if item[1]]
    return kept, total(part for _, part in ordered) - total(part for _, part in kept)


def total(parts: Iterable[Decimal]) -> Decimal:
    """The exact sum of parts."""
    return sum(parts, Decimal(0))
