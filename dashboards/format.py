"""How figures, dates and changes read. Pure: no Streamlit, no data access.

A null is a dash and means "no denominator", never 0. Percent values arrive as fractions (0.124).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from dashboards.chance import Verdict

DASH = "\u2013"
NARROW = "\u00a0"  # a no-break space, so that a number never parts from its unit

STEADY_POINTS = Decimal("0.005")
STEADY_RELATIVE = Decimal("0.02")

Number = Decimal | float | int

UNIT_WORDS = {
    "days": "days",
    "minutes": "min",
    "hours": "hours",
    "count": "",
    "ratio": "",
    "usd": "",
    "percent": "%",
    "work_rvus": "wRVU",
}


@dataclass(frozen=True)
class Parts:
    """A value as a tile shows it: the number large, the unit small beside it."""

    number: str
    unit: str = ""

    @property
    def text(self) -> str:
        return f"{self.number}{NARROW}{self.unit}" if self.unit else self.number


def decimal(value: Number) -> Decimal:
    """The value as Decimal, floats by their shortest text so that 0.1 stays 0.1."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def rounded(value: Number, places: int) -> Decimal:
    """Half up, as people round; never minus zero."""
    result = decimal(value).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return abs(result) if result == 0 else result


def grouped(value: Number, places: int = 0) -> str:
    """1,204 or 1,204.50, with a plain hyphen as sign."""
    return f"{rounded(value, places):,}"


def _large(value: Decimal) -> tuple[str, str] | None:
    """Three significant figures with M or B, from one million on."""
    # 999.5 M would round to 1,000 M, and 999,999.50 to $1,000,000: both belong to the next letter.
    for least, limit, letter in (("999500000", 10**9, "B"), ("999999.5", 10**6, "M")):
        if abs(value) >= Decimal(least):
            shown = value / limit
            places = 2 if abs(shown) < 10 else 1 if abs(shown) < 100 else 0
            return grouped(shown, places), letter
    return None


def _signed_money(text: str) -> str:
    return f"-${text[1:]}" if text.startswith("-") else f"${text}"


def parts(value: Number | None, unit: str) -> Parts:
    """A value for a tile: `$1.24` `M`, `12.4` `%`, `3.2` `days`, `1,204`."""
    if value is None:
        return Parts(DASH)
    amount = decimal(value)
    if unit == "percent":
        return Parts(grouped(amount * 100, 1), "%")
    if unit in ("usd", "count"):
        large = _large(amount)
        number, letter = large if large else (grouped(amount, 0), "")
        return Parts(_signed_money(number) if unit == "usd" else number, letter)
    if unit == "minutes":
        return Parts(grouped(amount, 0 if abs(amount) >= 10 else 1), "min")
    if unit == "ratio":
        return Parts(grouped(amount, 2))
    return Parts(grouped(amount, 1), UNIT_WORDS.get(unit, unit))


def short(value: Number | None, unit: str) -> str:
    """The tile's value as one text: `$1.24 M`."""
    return parts(value, unit).text


def exact(value: Number | None, unit: str) -> str:
    """A value for tables and hovers: money to the cent, counts whole, one decimal rule a unit."""
    if value is None:
        return DASH
    amount = decimal(value)
    if unit == "usd":
        return _signed_money(grouped(amount, 2))
    if unit == "count":
        return grouped(amount, 0 if amount == amount.to_integral_value() else 2)
    if unit == "percent":
        return f"{grouped(amount * 100, 1)}{NARROW}%"
    if unit == "ratio":
        return grouped(amount, 2)
    word = UNIT_WORDS.get(unit, unit)
    return f"{grouped(amount, 1)}{NARROW}{word}" if word else grouped(amount, 1)


def day(value: date | datetime | None) -> str:
    """12 Mar 2026."""
    return DASH if value is None else f"{value.day} {value:%b %Y}"


def month(value: date) -> str:
    """Mar 2026."""
    return f"{value:%b %Y}"


def moment(value: datetime | None, time_zone: str = "UTC") -> str:
    """12 Mar 2026, 06:05 EDT: the local time of `time_zone`, an IANA name. A time without a zone is in UTC."""
    if value is None:
        return DASH
    local = _local(value, time_zone)
    return f"{day(local)}, {local:%H:%M %Z}"


def local_date(value: datetime, time_zone: str) -> date:
    """The day of a moment in `time_zone`, an IANA name. A time without a zone is in UTC."""
    return _local(value, time_zone).date()


def _local(value: datetime, time_zone: str) -> datetime:
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(ZoneInfo(time_zone))


def sentence(text: str) -> str:
    """A message as a sentence: a capital first, a full stop last."""
    text = text.strip()
    return text if not text else f"{text[0].upper()}{text[1:].rstrip('.')}."


def unbroken(text: str) -> str:
    """The same text, which no line break parts."""
    return text.replace(" ", "\u00a0")


def lower_first(text: str) -> str:
    """A label or title inside a sentence. `A/R over 90 days` and `E/M level` keep their capitals."""
    is_word = text[1:2].islower() or text[1:2] in ("", " ")
    return f"{text[:1].lower()}{text[1:]}" if is_word else text


def plural(count: int, singular: str, many: str | None = None) -> str:
    """1 row, 1,204 rows."""
    return f"{count:,} {singular if count == 1 else many or singular + 's'}"


@dataclass(frozen=True)
class Change:
    """A change against a comparison. `tone` is good, bad, neutral or none (nothing to compare with).

    `amount` is signed and in the unit that people use: points for percentages, per cent of the earlier value for
    amounts and counts, the unit itself for days and minutes. `arrow` is up, down or flat.
    """

    amount: str
    words: str
    tone: str
    arrow: str

    @property
    def text(self) -> str:
        return f"{self.amount}, {self.words}" if self.amount else self.words


def is_steady(now: Number, before: Number, unit: str) -> bool:
    """Whether a change is too small to be called one: under half a point, or under two per cent of the earlier value."""
    gap = abs(decimal(now) - decimal(before))
    if unit == "percent":
        return gap < STEADY_POINTS
    return gap < STEADY_RELATIVE * abs(decimal(before)) if before else gap == 0


def _signed(text: str) -> str:
    return text if text.startswith("-") else f"+{text}"


def _difference(now: Decimal, before: Decimal, unit: str) -> str | None:
    """The change with its sign, or None where it rounds to nothing."""
    gap = now - before
    if unit == "percent":
        shown = rounded(gap * 100, 1)
        return f"{_signed(f'{shown:,}')} {'point' if abs(shown) == 1 else 'points'}" if shown else None
    if unit in ("days", "minutes", "hours", "ratio"):
        shown = rounded(gap, 2 if unit == "ratio" else 1)
        return f"{_signed(f'{shown:,}')} {UNIT_WORDS[unit]}".strip() if shown else None
    if before == 0:
        return _signed(short(gap, unit)) if gap else None
    shown = rounded(gap / abs(before) * 100, 1)
    return f"{_signed(f'{shown:,}')}{NARROW}%" if shown else None


def change(
    now: Number | None,
    before: Number | None,
    unit: str,
    direction: str,
    against: str,
    *,
    verdict: Verdict = Verdict.REAL,
) -> Change:
    """The change from `before` to `now` in words, for example `+2.1 points, worse than Q2 2026`.

    `direction` is `higher`, `lower` (which of them is better) or `neutral`. `against` names the comparison.
    Only a change whose `verdict` is real is called better or worse.
    """
    if now is None:
        return Change("", "Nothing to count in this period", "none", "flat")
    if before is None:
        return Change("", f"Nothing to compare with in {against}", "none", "flat")
    amount = _difference(decimal(now), decimal(before), unit)
    if amount is None:
        return Change("", f"Same as {against}", "neutral", "flat")
    rose = decimal(now) > decimal(before)
    arrow = "up" if rose else "down"
    if is_steady(now, before, unit):
        return Change(amount, f"about the same as {against}", "neutral", arrow)
    if verdict is Verdict.FEW:
        return Change(amount, f"too few to compare with {against}", "neutral", arrow)
    if verdict is Verdict.CHANCE:
        return Change(amount, f"no real change from {against}", "neutral", arrow)
    if direction == "neutral" or verdict is Verdict.UNTESTED:
        return Change(amount, f"{'more' if rose else 'less'} than {against}", "neutral", arrow)
    better = rose == (direction == "higher")
    return Change(amount, f"{'better' if better else 'worse'} than {against}", "good" if better else "bad", arrow)
