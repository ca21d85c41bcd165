"""`clinicmart lineage` on the demo: every metric rests on fields of contracts, and on feeds that landed them."""

import json
from pathlib import Path

import pytest

from data_contracts import load_contracts
from serving.lineage.columns import ROWS, metric_fields, read_lineage
from serving.metrics.manifests import read_manifests
from tests.support import clinicmart_here

pytestmark = pytest.mark.slow


def asked(home: Path, metric: str, user: str = "admin@harbor") -> dict:
    ran = clinicmart_here("lineage", metric, "--home", home, "--tenant", "harbor", "--as", user, "--json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_a_figure_of_money_names_its_fields_and_their_feeds(demo_home: Path) -> None:
    found = asked(demo_home, "net_collection_rate")
    columns = {f"{item['mart']}.{item['column']}": item["fields"] for item in found["columns"]}
    paid = {
        (source["entity"], source["field"]): source["feeds"] for source in columns["fct_charge_lines.payer_paid_amount"]
    }
    assert paid["remittance_line", "payer_paid_amount"] == ["remits"]
    # Money that names only a claim goes to what is open on its lines: what patients paid of them decides where it stands.
    assert ("patient_payment", "payment_amount") in paid
    billed = {(source["entity"], source["field"]) for source in columns["fct_charge_lines.billed_amount"]}
    assert ("patient_payment", "payment_amount") not in billed
    feeds = {feed["feed"]: feed for feed in found["feeds"]}
    assert "remittance_line" in feeds["remits"]["entities"]
    assert feeds["remits"]["rows_landed"] > 0
    assert feeds["remits"]["last_read_at"]


def test_every_metric_rests_on_raw_tables_that_have_a_contract(demo_home: Path) -> None:
    target = demo_home / "dbt" / "target"
    manifest, semantic, _ = read_manifests(target)
    lineage, contracts = read_lineage(target, manifest), load_contracts()
    for metric in semantic["metrics"]:
        fields = metric_fields(semantic, metric["name"])
        assert fields, metric["name"]
        for field in fields:
            assert field.column in (*lineage.columns[field.relation], ROWS), (metric["name"], field)
            assert lineage.entities(field.relation), field
            for relation, column in lineage.sources(*field):
                entity = relation.removeprefix("raw.")
                if entity in contracts and column not in ("batch_sequence", "*"):
                    assert column in contracts[entity].by_name, (metric["name"], relation, column)


def test_a_metric_that_is_not_there_names_close_ones(demo_home: Path) -> None:
    ran = clinicmart_here("lineage", "no_show_rat", "--home", demo_home, "--tenant", "harbor", "--as", "admin@harbor")
    assert ran.code == 2
    assert "similar names: no_show_rate" in ran.err
