"""Findings of plausibility: their words, and the metrics that rest on what they touch."""

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from types import SimpleNamespace

import pytest

from foundation.errors import ConfigurationError
from serving.lineage.columns import Field, Lineage, counted_keys, metric_fields
from serving.lineage.metric import metric_entities
from serving.plausibility import Finding, published_findings
from serving.publish.publish import current_version
from serving.reader import Reader
from serving.versions.store import files_of
from tests.serving.small_warehouse import change

FOUND = (
    "insert into warehouse.health.plausibility select * from (values "
    "('harbor', 'CM-PLAUS-001', 'pm', 'claims', 'charge', 'Billed twice', 'Means this.', 'Do this.', 'charge,claim', 2, "
    "cast(-12.5 as decimal(18, 4)), date '2026-02-01', date '2026-02-03'), "
    "('harbor', 'CM-PLAUS-009', 'pm', '', '', 'Of a time to come', 'Means that.', 'Do that.', '', 1, null, null, null))"
)


def finding(**changes: object) -> Finding:
    values = {
        "code": "CM-PLAUS-001",
        "title": "Billed twice",
        "meaning": "",
        "remedy": "",
        "feed": "pm",
        "other_feed": "",
        "entity": "charge",
        "rows": 1,
        "amount": None,
        "first_day": None,
        "last_day": None,
        "entities": (),
        "metrics": (),
    }
    return Finding(**values | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({}, "Billed twice: feed pm, 1 row"),
        ({"rows": 1200, "amount": Decimal("59.94")}, "Billed twice: feed pm, 1,200 rows, $59.94"),
        ({"amount": Decimal("-1500")}, "Billed twice: feed pm, 1 row, -$1,500.00"),
        ({"other_feed": "claims", "first_day": date(2026, 2, 1), "last_day": date(2026, 2, 1)},
         "Billed twice: feed pm against feed claims, 1 row, on 1 Feb 2026"),
        ({"first_day": date(2026, 2, 1), "last_day": date(2026, 12, 31)}, "Billed twice: feed pm, 1 row, 1 Feb 2026 to 31 Dec 2026"),
    ],
)  # fmt: skip
def test_a_headline_names_feeds_rows_money_and_days(changes: dict[str, object], headline: str) -> None:
    assert finding(**changes).headline() == headline


def test_a_period_before_the_first_doubtful_day_is_not_touched() -> None:
    assert finding().touches_period(date(2020, 1, 1))
    late = finding(first_day=date(2026, 2, 1), last_day=date(2026, 3, 1))
    assert not late.touches_period(date(2026, 1, 31))
    assert late.touches_period(date(2026, 2, 1))


@pytest.fixture
def doubted(place: SimpleNamespace) -> SimpleNamespace:
    """A version of harbor with two findings; its charges come from the entity charge, its visits from encounter."""
    change(place.home, FOUND)
    place.publish()
    return place


def _lineage(place: SimpleNamespace) -> None:
    """Lays a lineage beside the version: every column of a mart comes from one entity."""
    version = current_version(place.home, "harbor")
    files = files_of(place.home, "harbor", version.version)
    semantic = json.loads(files.semantic_manifest.read_bytes())
    entities = {"fct_charges": "charge", "fct_visits": "encounter", "fct_balances": "remittance"}
    columns: dict[str, dict[str, tuple[Field, ...]]] = {}
    for model in semantic["semantic_models"]:
        table = model["node_relation"]["alias"]
        if table in entities:
            names = [item.get("expr") or item["name"] for item in (*model["entities"], *model["measures"])]
            columns[table] = dict.fromkeys(names, (Field(f"raw.{entities[table]}", "value"),))
    files.lineage.write_bytes(Lineage(columns=columns, inputs={}).to_json())


def test_where_all_is_plausible_there_are_no_findings(doubted: SimpleNamespace) -> None:
    assert published_findings(doubted.home, current_version(doubted.home, "mesa")) == ()


def test_a_finding_touches_the_metrics_that_rest_on_its_entities(
    doubted: SimpleNamespace, reader: Callable[[str], Reader]
) -> None:
    _lineage(doubted)
    billed, times = published_findings(doubted.home, current_version(doubted.home, "harbor"))
    assert (billed.rows, billed.amount, billed.entities) == (2, Decimal("-12.5000"), ("charge", "claim"))
    semantic = _semantic(doubted)
    assert set(billed.metrics) == _resting_on(semantic, "fct_charges")
    # A finding about a whole feed touches what the feed has brought: no claim and no charge landed.
    assert times.entities == ("appointment", "encounter")
    assert set(times.metrics) == _resting_on(semantic, "fct_visits")
    # Everybody who sees figures learns of it.
    assert [found.code for found in reader("doctor@harbor").findings()] == ["CM-PLAUS-001", "CM-PLAUS-009"]


def test_without_a_lineage_a_finding_touches_every_metric(doubted: SimpleNamespace) -> None:
    billed, _ = published_findings(doubted.home, current_version(doubted.home, "harbor"))
    assert set(billed.metrics) == {metric["name"] for metric in _semantic(doubted)["metrics"]}


def test_what_counts_rows_rests_on_the_key_of_its_rows(doubted: SimpleNamespace) -> None:
    semantic = _semantic(doubted)
    counting = [m["name"] for m in semantic["metrics"] if counted_keys(semantic, m["name"])]
    summing = [m["name"] for m in semantic["metrics"] if not counted_keys(semantic, m["name"])]
    assert counting
    assert summing
    keys = {at.relation: ("id",) for name in counting for at in counted_keys(semantic, name)}
    columns = {
        table: {at.column: (Field("raw.slot", "slot_id"),) for name in counting for at in counted_keys(semantic, name)}
        for table in keys
    }
    lineage = Lineage(columns=columns, inputs={})
    assert {metric_entities(lineage, semantic, name) for name in counting} == {frozenset({"slot"})}
    with pytest.raises(ConfigurationError, match="no metric"):
        metric_entities(lineage, semantic, "no_such")


def _semantic(place: SimpleNamespace) -> dict:  # type: ignore[type-arg]
    version = current_version(place.home, "harbor")
    return json.loads(files_of(place.home, "harbor", version.version).semantic_manifest.read_bytes())


def _resting_on(semantic: dict, table: str) -> set[str]:  # type: ignore[type-arg]
    names = {metric["name"] for metric in semantic["metrics"]}
    return {name for name in names if table in {at.relation for at in metric_fields(semantic, name)}}
