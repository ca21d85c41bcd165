"""OpenLineage events: valid by the official schemas, complete, and without anything of a patient, a file or a host."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from dagster_project.lineage_datasets import tell_dbt, tell_landing, tell_load, tell_publish
from dagster_project.lineage_events import RUN, Emitter, Told, run_id_of
from foundation.config import Config, Feed, load_config
from foundation.home import Home
from foundation.keys import Keys
from foundation.lineage_target import LineageTarget
from ingest.landing.land_feed import FeedReport, land_feed
from ingest.ledger import Ledger, run
from serving.model import TenantOutcome
from tests.ingest.test_landing import remittance

SCHEMAS = Path(__file__).parent / "openlineage"
RUN_ID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


@pytest.fixture(scope="module")
def check() -> Any:
    """Checks an event against the schema of events, and each facet against the schema it names."""
    documents = [json.loads(path.read_text("utf-8")) for path in sorted(SCHEMAS.glob("*.json"))]
    registry: Registry = Registry().with_resources([(item["$id"], Resource.from_contents(item)) for item in documents])

    def against(url: str, value: Any) -> None:
        validator = Draft202012Validator({"$ref": url}, registry=registry, format_checker=FormatChecker())
        validator.validate(value)

    def checked(event: dict[str, Any]) -> None:
        against(event["schemaURL"], event)
        sets = [*event["inputs"], *event["outputs"]]
        holders = [event["run"], event["job"], *sets]
        facets = [facet for holder in holders for facet in holder.get("facets", {}).values()]
        facets += [
            facet for item in sets for key in ("inputFacets", "outputFacets") for facet in item.get(key, {}).values()
        ]
        for facet in facets:
            # A facet of a schema that is not here would fail to resolve: none goes unchecked.
            (value,) = [facet]
            against(facet["_schemaURL"], value)

    return checked


def emitter_to(file: Path) -> Emitter:
    return Emitter(LineageTarget(file=file))


def told_in(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.fixture
def landed(tmp_path: Path) -> tuple[Home, Ledger, FeedReport, Config]:
    """A feed of which one file lands and one, named after a patient, is refused."""
    folder = tmp_path / "835"
    folder.mkdir()
    (folder / "a.835").write_text(remittance(1, [("C1", "100.00", "80.00")]))
    (folder / "weaver_sofia.835").write_text("this is no remittance of Sofia Weaver")
    file = tmp_path / "clinicmart.yaml"
    file.write_text(
        "tenants:\n  harbor: {name: Harbor, time_zone: UTC, feeds: [{name: remits, kind: x12, path: 835}]}\n",
        encoding="utf-8",
    )
    home, config = Home.at(tmp_path / "home"), load_config(file)
    ledger = Ledger(home)
    ledger.start_run(RUN_ID, str(file))
    report = land_feed(home, Keys.of(home), ledger, config.tenants[0].feeds[0], RUN_ID)
    return home, ledger, report, config


def test_landing_tells_rows_bytes_and_fields_and_no_name_of_a_file(
    landed: tuple[Home, Ledger, FeedReport, Config], tmp_path: Path, check: Any
) -> None:
    home, ledger, report, _ = landed
    file = tmp_path / "lineage.ndjson"
    emitter = emitter_to(file)
    with emitter.job(RUN_ID, "harbor/land/remits", about="Reads remits") as told:
        tell_landing(emitter, told, home, ledger, RUN_ID, report)
    with emitter.job(RUN_ID, "load", about="Loads") as told:
        tell_load(emitter, told, ledger, RUN_ID)
    events = told_in(file)
    assert [event["eventType"] for event in events] == ["START", "COMPLETE", "START", "COMPLETE"]
    for event in events:
        check(event)
        assert event["run"]["facets"]["parent"]["run"]["runId"] == RUN_ID
    landing = events[1]
    assert [item["name"] for item in landing["inputs"]] == ["harbor/feed/remits"]
    outputs = {item["name"]: item for item in landing["outputs"]}
    lines = outputs["harbor/landing/remittance_line"]["outputFacets"]["outputStatistics"]
    assert lines["rowCount"] == 1
    assert lines["size"] > 0
    fields = [field["name"] for field in outputs["harbor/landing/remittance_line"]["facets"]["schema"]["fields"]]
    assert "payer_paid_amount" in fields
    assert "`clinicmart status` shows the names" in landing["run"]["facets"]["errorMessage"]["message"]
    loads = {item["name"]: item for item in events[3]["inputs"]}
    rules = loads["harbor/landing/remittance_line"]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert rules
    assert all(rule["success"] for rule in rules)
    assert "warehouse.raw.remittance_line" in {item["name"] for item in events[3]["outputs"]}
    said = file.read_text("utf-8").lower()
    for secret in ("weaver", "sofia", ".835", str(tmp_path).lower(), "jane", "doe"):
        assert secret not in said, secret


def test_a_feed_of_which_nothing_can_be_read_fails_its_job(tmp_path: Path, check: Any) -> None:
    feed = Feed(tenant_id="harbor", name="remits", kind="x12", path="/nowhere/weaver_sofia")
    emitter = emitter_to(tmp_path / "lineage.ndjson")
    home = Home.at(tmp_path / "home")
    with emitter.job(RUN_ID, "harbor/land/remits", about="Reads remits") as told:
        report = FeedReport(feed=feed, outcome="unreadable", problems=["no such file at /nowhere/weaver_sofia"])
        tell_landing(emitter, told, home, Ledger(home), RUN_ID, report)
    events = told_in(tmp_path / "lineage.ndjson")
    check(events[1])
    assert events[1]["eventType"] == "FAIL"
    assert "weaver" not in json.dumps(events)


def test_an_error_fails_its_job_by_kind_alone_and_goes_on(tmp_path: Path, check: Any) -> None:
    emitter = emitter_to(tmp_path / "lineage.ndjson")
    with pytest.raises(ValueError, match="Weaver"), emitter.job(RUN_ID, RUN, about="A run", parent=None):
        raise ValueError("cannot cast 'Weaver, Sofia'")
    events = told_in(tmp_path / "lineage.ndjson")
    for event in events:
        check(event)
    assert [(event["eventType"], event["run"]["runId"]) for event in events] == [("START", RUN_ID), ("FAIL", RUN_ID)]
    assert "ValueError" in events[1]["run"]["facets"]["errorMessage"]["message"]
    assert "Weaver" not in json.dumps(events)


def test_publication_names_marts_and_rows(tmp_path: Path, check: Any) -> None:
    emitter = emitter_to(tmp_path / "lineage.ndjson")
    line = TenantOutcome(tenant_id="harbor", outcome="published", version="v", rows=7, seconds=1.0)
    with emitter.job(RUN_ID, "harbor/publish", about="Publishes") as told:
        tell_publish(emitter, told, line, ["marts.fct_claims"])
    event = told_in(tmp_path / "lineage.ndjson")[1]
    check(event)
    assert [item["name"] for item in event["inputs"]] == ["warehouse.marts.fct_claims"]
    assert event["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 7


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "told" / "lineage.ndjson"
    with emitter_to(file).job(RUN_ID, RUN, about="A run", parent=None):
        pass
    assert file.stat().st_mode & 0o077 == 0
    assert len(told_in(file)) == 2


def test_run_ids_are_those_of_the_run_and_stay_the_same() -> None:
    assert run_id_of(RUN_ID, RUN) == RUN_ID
    assert run_id_of(RUN_ID, "dbt") == run_id_of(RUN_ID, "dbt") != run_id_of(RUN_ID, "load")


class _Collector(BaseHTTPRequestHandler):
    answer = 201

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers.get("Authorization"), json.loads(body)))  # type: ignore[attr-defined]
        self.send_response(self.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Collector)
    server.got = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_events_are_posted_with_the_key_as_a_bearer_token(collector: HTTPServer, check: Any) -> None:
    url = f"http://127.0.0.1:{collector.server_port}"
    with Emitter(LineageTarget(url=url, api_key="s3cret")).job(RUN_ID, RUN, about="A run", parent=None):
        pass
    got = collector.got  # type: ignore[attr-defined]
    assert [(path, key, event["eventType"]) for path, key, event in got] == [
        ("/api/v1/lineage", "Bearer s3cret", "START"),
        ("/api/v1/lineage", "Bearer s3cret", "COMPLETE"),
    ]
    for _, _, event in got:
        check(event)


@pytest.mark.parametrize("place", ["address", "file"])
def test_what_cannot_be_sent_is_said_once_and_fails_nothing(
    place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("clinicmart.progress"), "propagate", True)
    (tmp_path / "taken").write_text("a file where a folder is wanted")
    # Port 9 (discard) on this machine: nothing listens.
    target = (
        LineageTarget(url="http://127.0.0.1:9/secret", api_key="s3cret")
        if place == "address"
        else LineageTarget(file=tmp_path / "taken" / "lineage.ndjson")
    )
    emitter, done = Emitter(target), []
    with caplog.at_level(logging.WARNING, "clinicmart.progress"):
        for name in ("load", "dbt"):
            with emitter.job(RUN_ID, name, about="Something"):
                done.append(name)
    assert done == ["load", "dbt"]
    # A record that handlers of two loggers saw is one all the same.
    said = {id(item): item for item in caplog.records if item.name == "clinicmart.progress"}
    (record,) = said.values()
    assert "check the section lineage" in record.getMessage()
    assert "secret" not in record.getMessage().replace("section", "")
    assert "s3cret" not in record.getMessage()


def test_a_mistake_in_telling_is_said_and_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("clinicmart.progress"), "propagate", True)
    emitter = emitter_to(tmp_path / "lineage.ndjson")
    with caplog.at_level(logging.WARNING, "clinicmart.progress"), emitter.job(RUN_ID, "load", about="Loads") as told:
        tell_load(emitter, told, None, RUN_ID)  # type: ignore[arg-type]
    assert "please report it" in caplog.text


@pytest.mark.slow
def test_every_model_of_a_run_tells_its_columns_and_tests(demo_home: Path, tmp_path: Path, check: Any) -> None:
    emitter = emitter_to(tmp_path / "lineage.ndjson")
    told = Told()
    tell_dbt(emitter, told, RUN_ID, demo_home / "dbt" / "target")
    assert emitter.is_on
    assert told.problem == ""
    events = told_in(tmp_path / "lineage.ndjson")
    for event in events:
        check(event)
    done = {event["job"]["name"]: event for event in events if event["eventType"] == "COMPLETE"}
    started = {event["job"]["name"] for event in events if event["eventType"] == "START"}
    assert set(done) == started
    lines = done["dbt/fct_charge_lines"]
    assert lines["run"]["facets"]["parent"]["job"]["name"] == "dbt"
    (output,) = lines["outputs"]
    below = output["facets"]["columnLineage"]["fields"]["payer_paid_amount"]["inputFields"]
    inputs = {item["name"] for item in lines["inputs"]}
    assert {item["name"] for item in below} <= inputs
    assert "warehouse.intermediate.int_line_events" in {item["name"] for item in below}
    assert {"payer_paid_amount", "tenant_id"} <= {field["name"] for field in output["facets"]["schema"]["fields"]}
    (tested,) = done["dbt/test/fct_charge_lines"]["inputs"]
    assertions = tested["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert all(item["success"] for item in assertions)
    assert "rows_hold" in {item["assertion"] for item in assertions}


@pytest.mark.slow
def test_the_demo_s_landing_tells_every_feed_without_a_name_of_a_file(
    demo_home: Path, tmp_path: Path, check: Any
) -> None:
    home, file = Home.at(demo_home), tmp_path / "lineage.ndjson"
    ledger, emitter = Ledger(home), emitter_to(file)
    (first,) = ledger.rows(sa.select(run.c.run_id).order_by(run.c.started_at).limit(1))
    config = load_config(json.loads((demo_home / "config.json").read_text("utf-8"))["file"])
    names = set()
    for tenant in config.tenants:
        for feed in tenant.feeds:
            told, report = Told(), FeedReport(feed=feed, outcome="landed", units_landed=1)
            tell_landing(emitter, told, home, ledger, first["run_id"], report)
            emitter.ended(RUN_ID, f"{tenant.tenant_id}/land/{feed.name}", told, about="Reads a feed")
            names.add(f"{tenant.tenant_id}/feed/{feed.name}")
    events = told_in(file)
    for event in events:
        check(event)
        assert event["outputs"], event["job"]["name"]
    assert {item["name"] for event in events for item in event["inputs"]} == names
    said = file.read_text("utf-8")
    assert str(demo_home) not in said
    assert ".835" not in said
