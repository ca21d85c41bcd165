"""Counts, sums, means and shares by dimension, exactly: whole numbers inside, decimal text outside."""

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import numpy as np

PLACES = Decimal("0.000001")


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """Group of each element: an index of `labels`, -1 for none."""

    name: str
    codes: np.ndarray
    labels: list[str]

    def of(self, chosen: np.ndarray) -> "Dimension":
        """The dimension of chosen elements."""
        return Dimension(name=self.name, codes=self.codes[chosen], labels=self.labels)


def money(cents: int) -> str:
    """Cents as dollars with two places."""
    return str(Decimal(cents).scaleb(-2).quantize(Decimal("0.01")))


def quotient(numerator: int | Fraction, denominator: int | Fraction) -> str | None:
    """A rate or mean to six places; None where the denominator is nothing."""
    if denominator == 0:
        return None
    value = Fraction(numerator) / Fraction(denominator)
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    return str(exact.quantize(PLACES, ROUND_HALF_EVEN))


def sums(codes: np.ndarray, values: np.ndarray, size: int) -> list[int]:
    """Whole-number sums by code; negative codes are left out."""
    shown = codes >= 0
    sums_by_code = np.bincount(codes[shown], weights=values[shown], minlength=size)
    return [round(value) for value in sums_by_code.tolist()]


@dataclass
class Tally:
    """Collects figures: `totals[metric]`, and `by[dimension][metric][label]`."""

    totals: dict[str, str | None] = field(default_factory=dict)
    by: dict[str, dict[str, dict[str, str | None]]] = field(default_factory=dict)

    def total(self, name: str, values: np.ndarray, dimensions: list[Dimension], *, in_cents: bool = False) -> None:
        """A sum (or, of a mask, a count). Groups without any element are left out."""
        text = money if in_cents else str
        self.totals[name] = text(round(float(values.sum())) if values.dtype.kind == "f" else int(values.sum()))
        for dimension in dimensions:
            size = len(dimension.labels)
            totals = sums(dimension.codes, values.astype(np.int64), size)
            present = sums(dimension.codes, np.ones(len(values)), size)
            self._put(dimension, name, {i: text(totals[i]) for i in range(size) if present[i]})

    def ratio(
        self, name: str, above: np.ndarray, below: np.ndarray, dimensions: list[Dimension], *, unit: int = 1
    ) -> None:
        """Sum of `above` over sum of `below`, divided by `unit` (seconds to minutes, days, ...)."""
        self.totals[name] = quotient(int(above.sum()), int(below.sum()) * unit)
        for dimension in dimensions:
            size = len(dimension.labels)
            top = sums(dimension.codes, above.astype(np.int64), size)
            bottom = sums(dimension.codes, below.astype(np.int64), size)
            self._put(dimension, name, {i: quotient(top[i], bottom[i] * unit) for i in range(size) if bottom[i]})

    def median(self, name: str, values: np.ndarray, *, unit: int = 1) -> None:
        """The median, the mean of the middle two for an even number."""
        if len(values) == 0:
            self.totals[name] = None
            return
        middle = np.sort(values)[[(len(values) - 1) // 2, len(values) // 2]]
        self.totals[name] = quotient(int(middle.sum()), 2 * unit)

    def distinct(self, name: str, values: np.ndarray, dimensions: list[Dimension]) -> None:
        """Number of different values (not negative)."""
        self.totals[name] = str(len(np.unique(values)))
        for dimension in dimensions:
            size = len(dimension.labels)
            pairs = np.unique(values * size + np.maximum(dimension.codes, 0))
            counts = np.bincount(pairs % size, minlength=size)
            self._put(dimension, name, {i: str(counts[i]) for i in range(size) if counts[i]})

    def _put(self, dimension: Dimension, name: str, figures: dict[int, str | None]) -> None:
        self.by.setdefault(dimension.name, {})[name] = {dimension.labels[i]: value for i, value in figures.items()}
