"""Figures name the version of the denial ruleset that tells them, and every version can be asked for again."""

import csv

import yaml

from tests.marts.building import PROJECT


def rules() -> list[dict[str, str]]:
    """The rows of the seed."""
    with (PROJECT / "seeds" / "denial_ruleset.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def version_in_use() -> int:
    """What the dbt project says."""
    return int(yaml.safe_load((PROJECT / "dbt_project.yml").read_text("utf-8"))["vars"]["denial_ruleset_version"])


def test_every_metric_that_rests_on_the_ruleset_names_the_version_in_use() -> None:
    named = set()
    for path in sorted((PROJECT / "models" / "marts").rglob("metrics_*.yml")):
        for metric in yaml.safe_load(path.read_text("utf-8"))["metrics"]:
            source = str(((metric.get("config") or {}).get("meta") or {}).get("source", ""))
            if "ruleset" in source:
                assert f"denial ruleset version {version_in_use()}" in source, metric["name"]
                named.add(metric["name"])
    assert {"denial_rate", "denial_mix", "denial_rate_hfma", "denied_billed_amount"} <= named


def test_the_version_in_use_is_in_the_seed_and_versions_begin_with_a_rule_for_all_reasons() -> None:
    versions = {int(row["ruleset_version"]) for row in rules()}
    assert version_in_use() in versions
    assert versions == set(range(1, max(versions) + 1))
    first = [row for row in rules() if row["ruleset_version"] == "1"]
    assert [row["category"] for row in first if (row["group_code"], row["reason_code"]) == ("*", "*")] == ["other"]
