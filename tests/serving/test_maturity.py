"""When figures have settled, as the project's own metrics say it."""

from pathlib import Path

import pytest
import yaml

from foundation.errors import ConfigurationError
from serving.metrics import manifests
from serving.model import MATURITIES

CLAIMS = {"name": "claims", "dimensions": [{"name": "decision_date", "type": "time"}]}
MEASURE = {"name": "denied"}
RATE = {"name": "rate", "type": "simple", "type_params": {"measure": {"name": "denied"}}}
MODELS = Path(__file__).parents[2] / "dbt" / "models"


def metrics():
    found = {}
    for path in sorted(MODELS.rglob("*.yml")):
        document = yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader) or {}
        found |= {metric["name"]: metric for metric in document.get("metrics", [])}
    return found


def meta(metric):
    return metric.get("config", {}).get("meta") or {}


@pytest.mark.parametrize("name", ["denial_rate", "net_collection_rate", "underpayment_rate", "payer_lag_days"])
def test_what_payers_still_answer_says_when_it_has_settled(name):
    found = meta(metrics()[name])
    assert found["matures_after_days"] > 0
    assert found["matures_by"] in MATURITIES


def test_a_ratio_has_not_settled_before_what_it_counts():
    """Below the line may stand what never settles alone (claims sent); above it what payers decide."""
    found = metrics()
    for name, metric in found.items():
        above = metric["type_params"].get("numerator") if metric["type"] == "ratio" else None
        days = meta(found[above]).get("matures_after_days") if isinstance(above, str) and above in found else None
        if days and meta(metric).get("unit"):
            assert (meta(metric).get("matures_after_days") or 0) >= days, name


def test_a_rate_is_counted_from_a_metric_that_there_is():
    found = metrics()
    named = {name: meta(metric)["out_of"] for name, metric in found.items() if meta(metric).get("out_of")}
    assert {"no_show_rate", "late_cancel_rate", "fill_rate"} <= set(named)
    assert set(named.values()) <= set(found)


def test_what_is_compared_at_equal_age_names_a_day_of_its_fact():
    keeping = {name: meta(metric)["known_on"] for name, metric in metrics().items() if meta(metric).get("known_on")}
    assert {"denial_rate", "denied_claims", "remitted_claims", "payer_lag_days"} <= set(keeping)
    of_authorizations = {day for name, day in keeping.items() if "authorization" in name}
    assert of_authorizations == {"decision_known_date"}
    assert {day for name, day in keeping.items() if "authorization" not in name} == {"decision_date"}
    manifest = manifests._Metrics({"metrics": [RATE], "semantic_models": [{**CLAIMS, "measures": [MEASURE]}]})
    assert manifests._known_on({"known_on": "decision_date"}, manifest, "rate") == "decision_date"
    with pytest.raises(ConfigurationError, match="rate: known_on 'paid_date' is not a day of claims"):
        manifests._known_on({"known_on": "paid_date"}, manifest, "rate")


def test_an_unknown_way_to_settle_is_refused_with_the_metrics_name():
    with pytest.raises(ConfigurationError, match="denial_rate: matures_by 'hope' is not one of answers, money"):
        manifests._maturity({"matures_by": "hope"}, "denial_rate")
