"""A feed with a server, the whole way: received, landed, accounted for, killed at every request, kept and removed."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dagster import DagsterInstance, DagsterRunStatus, RunRequest, build_sensor_context, job
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dagster_project.triggers import exports_under_way
from dagster_project.workspace import Workspace
from foundation import duck
from foundation.config import Config, load_config
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.accounts.status import status
from ingest.inbox.inbox import Inbox
from ingest.landing.land_feed import FeedReport, land_feed
from ingest.ledger import Ledger, now
from ingest.load.raw_tables import load_warehouse
from tests.receive.bulk_server import BulkServer, capability_statement, outcome
from tests.receive.conftest import Maker, Site, people, resource
from tests.support import ROOT, clinicmart_here


@dataclass
class House:
    """A home whose tenants' feeds ask the test's server."""

    home: Home
    keys: Keys
    ledger: Ledger
    config: Config
    runs: int = 0

    def land(self, tenant: str = "harbor", *, full_refresh: bool = False) -> FeedReport:
        self.runs += 1
        (feed,) = self.config.tenant(tenant).feeds
        return land_feed(self.home, self.keys, self.ledger, feed, f"run-{self.runs}", full_refresh=full_refresh)

    def inbox(self, tenant: str = "harbor") -> Inbox:
        return Inbox.of(self.home, self.keys, self.config.tenant(tenant).feeds[0])

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        load_warehouse(self.home, self.keys, self.ledger, self.config)
        with duck.session(self.home) as connection:
            key = self.keys.derive_hex("warehouse")
            duck.attach(connection, self.home.warehouse, alias="warehouse", key=key, read_only=True)
            return connection.execute(sql).fetchall()


Build = Callable[..., House]


@pytest.fixture
def house(tmp_path: Path) -> Build:
    def build(*sites: Site, **server: Any) -> House:
        tenants = {}
        for site in sites:
            of = site.feed.server
            assert of is not None
            asked = {"url": of.url, "client_id": of.client_id, "key": str(of.key)} | server
            feed = {"name": "ehr", "kind": "fhir", "profile": "r4", "server": asked}
            tenants[site.feed.tenant_id] = {
                "name": site.feed.tenant_id,
                "time_zone": "America/New_York",
                "feeds": [feed],
            }
        file = tmp_path / "clinicmart.yaml"
        file.write_text(json.dumps({"tenants": tenants}), encoding="utf-8")
        home = Home.at(tmp_path / "home")
        return House(home, Keys.of(home), Ledger(home), load_config(file))

    return build


def _visits(number: int) -> list[dict[str, Any]]:
    """Patients and finished encounters that keep their contracts."""
    found = people(number)
    for item in found:
        if item["resourceType"] == "Encounter":
            item |= {
                "class": {"code": "AMB"},
                "period": {"start": "2026-10-01T09:00:00-04:00", "end": "2026-10-01T09:30:00-04:00"},
            }
    return found


def test_what_a_server_gives_is_landed_once(make_site: Maker, house: Build) -> None:
    home = house(make_site(_visits(12)))
    first, second = home.land(), home.land()
    assert (first.outcome, first.problems, first.records_read) == ("landed", [], 24)
    assert (second.outcome, second.problems, second.rows_landed) == ("unchanged", [], 0)
    assert home.query("select count(*), count(distinct encounter_id) from warehouse.raw.encounter") == [(12, 12)]
    assert status(home.ledger, home.keys)["is_conserved"]


def test_a_change_replaces_and_a_deletion_removes(make_site: Maker, house: Build) -> None:
    site = make_site(_visits(4))
    home = house(site)
    home.land()
    changed = next(r for r in site.client.resources if r["id"] == "e1")
    changed |= {"status": "cancelled", "meta": {"lastUpdated": "2026-11-20T20:00:00Z"}}
    site.client.deleted.append(("Encounter", "e2"))
    site.client.resources = [r for r in site.client.resources if r["id"] != "e2"]
    assert home.land().problems == []
    rows = dict(home.query("select encounter_id, status from warehouse.raw.encounter order by 1"))
    assert set(rows) == {"e0", "e1", "e3"}
    assert (rows["e0"], rows["e1"]) == ("finished", "cancelled")


def test_references_find_what_an_earlier_delivery_brought(make_site: Maker, house: Build) -> None:
    npi = {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}
    site = make_site([*_visits(1), resource("Practitioner", "dr", identifier=[npi], name=[{"family": "Doe"}])])
    home = house(site)
    home.land()
    late = _visits(1)[1] | {
        "id": "late",
        "meta": {"lastUpdated": "2026-11-20T20:00:00Z"},
        "participant": [{"individual": {"reference": "Practitioner/dr"}}],
    }
    site.client.resources.append(late)
    home.land()
    sql = "select provider_id from warehouse.raw.encounter where encounter_id = 'late'"
    assert home.query(sql) == [("1234567893",)]


def test_two_tenants_on_one_server_with_the_same_ids_stay_apart(make_site: Maker, house: Build) -> None:
    ours = make_site(_visits(3), tenant="harbor")
    theirs = make_site(_visits(5), tenant="ridge", algorithm="RS384")
    home = house(ours, theirs)
    assert home.land("harbor").problems == home.land("ridge").problems == []
    sql = "select tenant_id, count(*) from warehouse.raw.encounter group by 1 order by 1"
    assert home.query(sql) == [("harbor", 3), ("ridge", 5)]
    tokens = "select count(distinct patient_id) from warehouse.raw.patient"
    assert home.query(tokens) == [(8,)], "the same id is another person's token in another tenant"


def test_a_server_that_is_down_does_not_keep_earlier_files_from_landing(
    make_site: Maker, house: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(_visits(3))
    home = house(site)
    (feed,) = home.config.tenant("harbor").feeds
    before = replace(site, feed=feed, inbox=home.inbox())
    assert before.run().problems == []
    monkeypatch.setattr("ingest.receive.fhir.pace.backoff", lambda _failures: 0.0)
    monkeypatch.setattr("ingest.receive.fhir.http.backoff", lambda _failures: 0.0)
    site.server.fail("", 503, times=999)
    site.server.fail("", 503, times=999, method="POST")
    report = home.land()
    assert report.outcome == "partly"
    assert report.rows_landed > 0
    assert all(problem.startswith("harbor/ehr: server: ") for problem in report.problems)
    (refused, *_) = status(home.ledger, home.keys)["refused_files"]
    assert (refused["name"], refused["mark"]) == ("server", "server")
    assert "status 503" in refused["problem"]


def test_what_was_odd_is_a_notice_of_the_feed(make_site: Maker, house: Build) -> None:
    site = make_site(_visits(2))
    site.client.errors = [outcome("processing"), outcome("processing")]
    home = house(site)
    home.land()
    home.land()
    found = {row["reason"]: row["rows"] for row in status(home.ledger, home.keys)["notices"]}
    assert found["export_outcome"] == 4, "two of each export"
    rows = home.ledger.rows(sa.select(tables.notice.c.detail))
    assert all("Smith" not in row["detail"] for row in rows)


def test_nothing_that_came_lies_in_clear(make_site: Maker, house: Build) -> None:
    site = make_site([*_visits(2), resource("Patient", "px", name=[{"family": "Zebrowski"}])])
    site.client.errors = [outcome("processing", text="Zebrowski")]
    home = house(site)
    home.land()
    for path in home.home.path.rglob("*"):
        if path.is_file() and "extensions" not in path.parts:
            assert b"Zebrowski" not in path.read_bytes(), path
    assert any(home.inbox().folder.rglob("Patient.0000.ndjson.sealed"))


def test_landed_files_are_removed_when_they_were_kept_long_enough(make_site: Maker, house: Build) -> None:
    npi = {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}
    site = make_site([*_visits(2), resource("Practitioner", "dr", identifier=[npi])])
    home = house(site, keep_days=10)
    home.land()
    with home.ledger.write() as connection:
        connection.execute(sa.update(tables.unit).values(read_at=now() - timedelta(days=11)))
    again = home.land()
    assert (again.problems, again.outcome) == ([], "unchanged")
    left = sorted(path.name for path in home.inbox().files((".ndjson",)))
    assert left == ["Practitioner.0000.ndjson.sealed"], "later deliveries may refer to it"
    home.land(full_refresh=True)
    with home.ledger.write() as connection:
        connection.execute(sa.update(tables.unit).values(read_at=now() - timedelta(days=11)))
    home.land()
    names = [path.parent.name for path in home.inbox().files((".ndjson",)) if path.name.startswith("Practitioner")]
    assert len(names) == 1, "a whole export replaced it"
    assert home.query("select count(*) from warehouse.raw.encounter") == [(2,)]


def test_a_full_refresh_brings_everything_again_and_changes_nothing(make_site: Maker, house: Build) -> None:
    home = house(make_site(_visits(3)))
    home.land()
    before = home.query("select encounter_id, status from warehouse.raw.encounter order by 1")
    report = home.land(full_refresh=True)
    assert (report.problems, report.records_read) == ([], 6)
    assert home.query("select encounter_id, status from warehouse.raw.encounter order by 1") == before


def test_sources_check_says_what_is_missing_and_reads_a_page(make_site: Maker, house: Build) -> None:
    site = make_site(_visits(4))
    site.server.capability = capability_statement(types=["Patient", "Encounter", "Appointment"])
    home = house(site)
    ran = clinicmart_here("sources", "check", "--config", home.config.file)
    assert ran.code == 0, ran.err
    assert re.search(r"harbor\s+ehr\s+fhir\s+1\s+4\s+", ran.out)
    assert "harbor/ehr: the server does not list Slot, which profile r4 searches" in ran.err
    assert not home.inbox().files((".ndjson",))
    assert site.server.asked(r"\$export") == []


def test_sources_check_names_a_server_that_lets_nobody_in(make_site: Maker, house: Build) -> None:
    site = make_site(_visits(1))
    home = house(site)
    site.server.clients.clear()
    ran = clinicmart_here("sources", "check", "--config", home.config.file)
    assert ran.code == 1
    assert "harbor/ehr: signing in at 127.0.0.1: status 400: invalid_client" in ran.err


def test_an_export_under_way_starts_a_run_until_it_is_fetched(make_site: Maker, house: Build) -> None:
    site = make_site(_visits(2))
    home = house(site, wait_minutes=1)
    workspace = Workspace(home.home, home.config)
    sensor = exports_under_way(workspace)
    with DagsterInstance.ephemeral() as instance:

        def starts() -> bool:
            return isinstance(sensor(build_sensor_context(instance=instance)), RunRequest)

        assert not starts()
        site.server.fail("/jobs/", 202, headers={"Retry-After": "3600"})
        (problem,) = home.land().problems
        assert "is under way" in problem
        assert starts()
        instance.create_run_for_job(_job, status=DagsterRunStatus.STARTED)
        assert not starts(), "the run that is under way may fetch it"
    with DagsterInstance.ephemeral() as instance:
        assert starts()
        assert home.land().problems == []
        assert not starts()


@job
def _job() -> None:
    """Any job."""


# Killed


def _kill(server: BulkServer, at: int) -> list[int]:
    """Kills the process whose id is put into the list when its request of this number has been worked on: halfway through
    the answer where that is a file."""
    process: list[int] = []
    seen = iter(range(1, 1_000_000))

    def answer(request: Request, response: Response) -> Response:
        if next(seen) != at or not process:
            return response
        if not request.url.path.startswith("/files/"):
            os.kill(process[0], signal.SIGKILL)
            return response

        async def half() -> AsyncIterator[bytes]:
            yield bytes(response.body)[: len(response.body) // 2]
            os.kill(process[0], signal.SIGKILL)
            yield bytes(response.body)[len(response.body) // 2 :]

        return StreamingResponse(half())

    server.faults.clear()
    for method in ("GET", "POST", "DELETE"):
        server.fail("", method=method, times=10_000, answer=answer)
    return process


@pytest.mark.slow
def test_a_client_killed_at_every_request_loses_and_doubles_nothing(make_site: Maker, house: Build) -> None:
    site = make_site([*_visits(60), *(resource("Slot", f"s{n}") for n in range(120))])
    site.server.per_file, site.server.files_per_page, site.server.polls = 25, 2, 1
    home = house(site)
    script = textwrap.dedent(f"""
        import sys
        from foundation.config import load_config
        from foundation.home import Home
        from foundation.keys import Keys
        from ingest.inbox.inbox import Inbox
        from ingest.receive.fhir.server import receive
        from ingest.receive.fhir.pace import Pace
        home = Home.at({str(home.home.path)!r})
        (feed,) = load_config({str(home.config.file)!r}).tenants[0].feeds
        sys.stdin.readline()
        received = receive(feed, Inbox.of(home, Keys.of(home), feed), pace=Pace(60, sleep=lambda _: None))
        print(*received.problems)
    """)
    killed = 0
    for number in range(1, 200):
        process = _kill(site.server, number)
        client = subprocess.Popen(
            [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        process.append(client.pid)
        printed, _ = client.communicate("go\n")
        if client.returncode == 0:
            assert printed.strip() == ""
            break
        assert client.returncode == -signal.SIGKILL
        killed += 1
    assert killed >= 12, "it was killed while signing in, asking, polling, fetching and searching"
    assert not list(home.inbox().folder.rglob(".*.sealed.*")), "half-written files are gone"
    site.server.faults.clear()
    report = home.land()
    assert report.problems == []
    for entity, expected in (("encounter", 60), ("patient", 60)):
        sql = f"select count(*), count(distinct source_record_id) from warehouse.raw.{entity}"
        assert home.query(sql) == [(expected, expected)]
    rows = home.ledger.rows(sa.select(tables.unit.c.name, tables.unit.c.records_read))
    exported = [row["name"].rpartition("/")[2] for row in rows if "-export/" in row["name"]]
    assert len(exported) == 6, "three files of patients and three of encounters"
    assert status(home.ledger, home.keys)["is_conserved"]
