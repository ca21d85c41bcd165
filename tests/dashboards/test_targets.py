"""A figure's target on a page: for the period, from the right unit, in words."""

from datetime import date
from decimal import Decimal

import pytest

from dashboards import figures, period, targets
from dashboards import view as states

JANUARY = date(2026, 1, 1)
D = Decimal


def target_of(source, name, **params):
    view = states.parse(params, source.as_of)
    return targets.of(source, view, figures.load(source, view, [name])[name])


def test_a_rate_takes_the_target_of_a_unit_above_and_says_whose_it_is(source):
    source.reader.targets.set("no_show_rate", None, JANUARY, D("0.5"))
    source.reader.targets.set("no_show_rate", "behavioral", JANUARY, D("0.01"))
    whole, child, other = (target_of(source, "no_show_rate", place=unit) for unit in ("", "bayview", "elm"))
    assert (whole.value, whole.whose, whole.words) == (D("0.5"), "", "better than target")
    assert (child.value, child.words) == (D("0.01"), "worse than target of Harbor Behavioral")
    assert other.words == "better than target of Harbor Health"


def test_a_count_is_a_months_worth_and_is_not_the_target_of_a_part(source):
    source.reader.targets.set("completed_appointments", None, JANUARY, D(500))
    assert target_of(source, "completed_appointments", period="2026-07-01_2026-09-30").value == 1500
    assert target_of(source, "completed_appointments", place="bayview") is None


def test_no_target_for_a_provider_or_a_payer_or_before_its_first_day(source):
    source.reader.targets.set("no_show_rate", None, date(2026, 8, 1), D("0.05"))
    assert target_of(source, "no_show_rate", place="bayview", provider="bayview-1") is None
    assert target_of(source, "no_show_rate", payer="medicaid") is None
    assert target_of(source, "no_show_rate", period="2026-07-01_2026-07-31") is None
    assert target_of(source, "no_show_rate", period="2026-07-01_2026-08-31") is not None


def test_a_figure_that_still_moves_does_not_stand_against_its_target(source):
    source.reader.targets.set("denial_rate", None, JANUARY, D("0.5"))
    assert target_of(source, "denial_rate", period="last_month").standing == ""
    assert target_of(source, "denial_rate", period="2026-01-01_2026-03-31").standing == targets.BETTER


@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        (date(2026, 7, 1), date(2026, 9, 30), D(3)),
        (date(2026, 4, 1), date(2026, 4, 15), D("0.5")),
        (date(2026, 4, 16), date(2026, 5, 31), D("1.5")),
    ],
)
def test_a_part_of_a_month_counts_by_its_days(start, end, months):
    assert targets.months_in(period.Period(start, end, "")) == months


def test_two_values_that_read_alike_are_on_target(source):
    metric = source.metrics["no_show_rate"]
    assert targets.standing(metric, 0.0801, D("0.08")) == targets.EQUAL
    assert targets.standing(metric, 0.0806, D("0.08")) == targets.WORSE


def filled(test, metric, value):
    test.selectbox[0].set_value(metric)
    test.text_input[0].set_value(value)
    return test.button[0].click().run()


def test_a_target_is_set_in_the_browser_and_every_version_stays(page, markup_of, reader):
    test = page("targets")
    assert "No targets are set" in markup_of(test)
    for value, stands in (("6%", "6.0"), ("5 %", "5.0")):
        html = markup_of(filled(test, "no_show_rate", value))
        assert "Saved: No-show rate for Harbor Health" in html
        assert f"{stands}\u00a0%" in html
    assert "<h1>1 target set</h1>" in html
    assert "Every version" in html
    assert [target.value for target in reader.targets.kept] == [D("0.06"), D("0.05")]


def test_what_is_no_value_is_refused_in_a_sentence(page, markup_of, reader):
    html = markup_of(filled(page("targets"), "no_show_rate", "6"))
    assert "is not a share such as 6%." in html
    assert reader.targets.kept == []


def test_who_may_not_set_targets_reads_them(page, markup_of, reader):
    reader.targets.set("no_show_rate", None, JANUARY, D("0.06"))
    reader.targets.may_set = False
    test = page("targets")
    assert not test.selectbox
    assert not test.text_input
    assert "You can read targets" in markup_of(test)
    assert "1 target set" in markup_of(test)


def test_targets_are_opened_from_the_overview_and_stand_in_no_bar(page, markup_of):
    test = page("")
    assert 'data-do="page:targets?"' in markup_of(test)
    assert "Targets" not in [element.proto.label for element in test.main if element.type == "page_link"]
