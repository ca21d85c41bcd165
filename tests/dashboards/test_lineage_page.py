"""The page that says where a figure comes from: words first, then feeds, then fields; nothing unescaped."""

from datetime import date, datetime

import pytest

from dashboards import markup
from dashboards import view as state
from dashboards.pages import lineage
from serving.lineage.metric import FeedState, MartColumn, MetricLineage, SourceField
from serving.model import MetricDefinition

NOW = datetime(2026, 11, 21, 9, 0)
METRIC = MetricDefinition(
    name="net_collection_rate",
    label="Net collection rate",
    description="What was collected of what could be.",
    unit="percent",
    direction="higher",
    module="revenue_cycle",
)


def feed(name: str, *entities: str, read: datetime | None = NOW, **more: str) -> FeedState:
    return FeedState(
        feed=name,
        kind="x12",
        entities=entities,
        last_read_at=read,
        last_landed_at=read,
        newest_day=date(2026, 11, 20),
        rows_landed=1234,
        **more,
    )


def found(*feeds: FeedState, without: tuple[str, ...] = ()) -> MetricLineage:
    fields = (SourceField(entity="remittance_line", field="payer_paid_amount", feeds=("remits",)),)
    columns = (
        MartColumn(mart="fct_charge_lines", column="payer_paid_amount", fields=fields),
        MartColumn(mart="fct_claims", column="*", fields=()),
    )
    return MetricLineage(metric=METRIC.name, columns=columns, feeds=feeds, without_feed=without)


@pytest.mark.parametrize(
    ("feeds", "said"),
    [
        (
            (feed("pm", "charge"), feed("remits", "remittance_line", "remittance_claim")),
            "Net collection rate rests on charges from pm, remittances from remits (last read today)",
        ),
        (
            (feed("pm", "charge", "adjustment", read=datetime(2026, 11, 20, 23, 0)),),
            "Net collection rate rests on charges and adjustments from pm (last read yesterday)",
        ),
        (
            (feed("pm", "charge", read=datetime(2026, 10, 1, 5, 0)), feed("remits", "remittance_line")),
            "Net collection rate rests on charges from pm, remittances from remits (the oldest last read on 1 Oct 2026)",
        ),
        ((), "Net collection rate rests on feeds that have brought nothing yet"),
    ],
)
def test_the_heading_says_in_words_what_the_figure_rests_on(feeds: tuple[FeedState, ...], said: str) -> None:
    assert lineage.finding(METRIC, found(*feeds), NOW, "UTC") == said


def test_today_is_the_day_of_the_tenants_zone() -> None:
    after_midnight_in_utc = datetime(2026, 11, 21, 0, 25)
    figure = found(feed("pm", "charge", read=datetime(2026, 11, 20, 23, 42)))
    assert lineage.finding(METRIC, figure, after_midnight_in_utc, "America/New_York").endswith("(last read today)")
    assert lineage.finding(METRIC, figure, after_midnight_in_utc, "UTC").endswith("(last read yesterday)")


def test_many_feeds_are_named_in_part() -> None:
    feeds = [feed(f"feed{number}", "charge") for number in range(6)]
    assert "feed2 (" not in lineage.finding(METRIC, found(*feeds), NOW, "UTC")
    assert "3 more feeds (last read today)" in lineage.finding(METRIC, found(*feeds), NOW, "UTC")


def test_rows_are_counted_for_those_alone_who_see_the_state_of_the_feeds() -> None:
    lines = found(feed("remits", "remittance_line", alert="stopped", message="Feed remits stopped."))
    assert "1,234" in lineage.feeds_table(lines, counts=True, time_zone="UTC")
    assert "1,234" not in lineage.feeds_table(lines, counts=False, time_zone="UTC")
    assert "<td>stopped</td>" in lineage.feeds_table(lines, counts=False, time_zone="UTC")


def test_what_no_feed_brings_is_said() -> None:
    lines = found(feed("pm", "charge"), without=("contract_rate",))
    assert "No feed of this group brings contract rate." in lineage.feeds_table(lines, counts=True, time_zone="UTC")


def test_fields_stand_beside_their_columns_and_counts_of_rows_are_told_as_such() -> None:
    table = lineage.fields_table(found(feed("remits", "remittance_line")))
    assert "fct_charge_lines.payer_paid_amount</th><td>remittance_line.payer_paid_amount</td><td>remits" in table
    assert "fct_claims</th><td>a count of rows" in table


def test_names_are_escaped() -> None:
    hostile = "<img src=x onerror=alert(1)>"
    assert "<img" not in lineage.feeds_table(
        found(feed(hostile, hostile), without=(hostile,)), counts=True, time_zone="UTC"
    )


def test_a_definition_leads_to_the_page_and_the_url_names_the_figure() -> None:
    assert 'data-do="page:lineage?metric=net_collection_rate"' in markup.definition(METRIC)
    view = state.moved_by(state.parse({}, date(2026, 11, 20)), "metric=net_collection_rate")
    assert view.metric == "net_collection_rate"
    assert view.params()["metric"] == "net_collection_rate"
    assert "metric" not in view.params(shared_only=True)
    assert state.parse({"metric": "../x"}, date(2026, 11, 20)).metric is None
