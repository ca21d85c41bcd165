"""How figures, dates and changes read."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from dashboards import format as fmt

SPACE = "\u00a0"


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (Decimal("1243000"), "usd", f"$1.24{SPACE}M"),
        (Decimal("12430000"), "usd", f"$12.4{SPACE}M"),
        (Decimal("1243000000"), "usd", f"$1.24{SPACE}B"),
        (Decimal("82410.40"), "usd", "$82,410"),
        (Decimal("-1200"), "usd", "-$1,200"),
        (Decimal("999999.60"), "usd", f"$1.00{SPACE}M"),
        (Decimal("999499.40"), "usd", "$999,499"),
        (Decimal("-0.20"), "usd", "$0"),
        (0.124, "percent", f"12.4{SPACE}%"),
        (0.0, "percent", f"0.0{SPACE}%"),
        (3.24, "days", f"3.2{SPACE}days"),
        (1204, "count", "1,204"),
        (2_500_000, "count", f"2.50{SPACE}M"),
        (54.6, "minutes", f"55{SPACE}min"),
        (4.26, "minutes", f"4.3{SPACE}min"),
        (1.5, "ratio", "1.50"),
        (None, "usd", "\u2013"),
        (None, "percent", "\u2013"),
    ],
)
def test_a_tile_shows_few_figures_and_its_unit(value, unit, shown):
    assert fmt.short(value, unit) == shown


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (Decimal("1243000.5"), "usd", "$1,243,000.50"),
        (Decimal("-1200.005"), "usd", "-$1,200.01"),
        (0.12449, "percent", f"12.4{SPACE}%"),
        (1204, "count", "1,204"),
        (Decimal("3.25"), "days", f"3.3{SPACE}days"),
        (None, "count", "\u2013"),
    ],
)
def test_a_table_shows_exact_values(value, unit, shown):
    assert fmt.exact(value, unit) == shown


def test_half_a_cent_rounds_up_whatever_binary_says():
    assert fmt.exact(2.675, "usd") == "$2.68"


def test_dates_and_moments_read_day_first():
    assert fmt.day(date(2026, 3, 12)) == "12 Mar 2026"
    assert fmt.month(date(2026, 3, 1)) == "Mar 2026"
    assert fmt.moment(datetime(2026, 3, 12, 6, 5, tzinfo=UTC)) == "12 Mar 2026, 06:05 UTC"
    assert fmt.day(None) == fmt.moment(None) == "\u2013"


@pytest.mark.parametrize(
    ("now", "before", "unit", "direction", "text", "tone"),
    [
        (0.145, 0.124, "percent", "lower", "+2.1 points, worse than Q2 2026", "bad"),
        (0.103, 0.124, "percent", "lower", "-2.1 points, better than Q2 2026", "good"),
        (0.134, 0.124, "percent", "higher", "+1.0 point, better than Q2 2026", "good"),
        (110, 100, "count", "higher", f"+10.0{SPACE}%, better than Q2 2026", "good"),
        (Decimal(90), Decimal(100), "usd", "neutral", f"-10.0{SPACE}%, less than Q2 2026", "neutral"),
        (3.4, 2.2, "days", "lower", "+1.2 days, worse than Q2 2026", "bad"),
        (101, 100, "count", "higher", f"+1.0{SPACE}%, about the same as Q2 2026", "neutral"),
        (0.1244, 0.124, "percent", "lower", "Same as Q2 2026", "neutral"),
        (5, 0, "count", "lower", "+5, worse than Q2 2026", "bad"),
        (5, None, "count", "lower", "Nothing to compare with in Q2 2026", "none"),
        (None, 0.1, "percent", "lower", "Nothing to count in this period", "none"),
    ],
)
def test_a_change_says_sign_amount_judgement_and_comparison(now, before, unit, direction, text, tone):
    change = fmt.change(now, before, unit, direction, "Q2 2026")
    assert change.text == text
    assert change.tone == tone


def test_plural_counts_one_row_as_one():
    assert fmt.plural(1, "row") == "1 row"
    assert fmt.plural(1204, "row") == "1,204 rows"


@pytest.mark.parametrize(
    ("text", "within"),
    [
        ("Visits seen", "visits seen"),
        ("A file was refused", "a file was refused"),
        ("A/R over 90 days", "A/R over 90 days"),
        ("E/M level, mean", "E/M level, mean"),
        ("", ""),
    ],
)
def test_a_label_within_a_sentence_keeps_its_abbreviations(text, within):
    assert fmt.lower_first(text) == within
