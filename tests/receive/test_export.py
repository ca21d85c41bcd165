"""The Bulk Data client against a server that misbehaves in the ways servers do. Afterwards exactly the server's resources lie
in the inbox: none twice, none missing."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from ingest.receive.fhir.server import confirm
from ingest.sources.fhir.reader import SOURCE
from tests.receive.bulk_server import capability_statement, cut_off, outcome
from tests.receive.conftest import Maker, Site, people, resource

SECRET = "Smith"


def assert_whole(site: Site, number: int) -> None:
    """Every patient and encounter of `people(number)` once."""
    assert site.ids("Patient") == sorted(f"p{index}" for index in range(number))
    assert site.ids("Encounter") == sorted(f"e{index}" for index in range(number))


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
@pytest.mark.parametrize("export", ["system", "patient", "group"])
def test_an_export_brings_every_resource_once(make_site: Maker, algorithm: str, export: str) -> None:
    site = make_site(people(7), algorithm=algorithm, export=export, group="g.1/2" if export == "group" else None)
    site.server.per_file = 3
    received = site.run()
    assert received.problems == []
    assert_whole(site, 7)
    assert "Patient.0002.ndjson" in site.files()
    (kick_off,) = site.server.asked(r"\$export$")
    paths = {"system": "/r4/$export", "patient": "/r4/Patient/$export", "group": "/r4/Group/g.1/2/$export"}
    assert kick_off[1] == paths[export]
    assert "_since" not in kick_off[2]
    assert site.slept[0] == 1, "Retry-After is obeyed"
    assert len(site.server.asked("/jobs/", "DELETE")) == 1
    assert site.server.jobs == {}


def test_a_second_run_asks_for_what_changed_since_the_first(make_site: Maker) -> None:
    site = make_site(people(3))
    site.run()
    first = site.server.clock
    site.client.resources.append(resource("Patient", "late", "2026-11-20T23:00:00Z"))
    site.client.deleted.append(("Encounter", "e1"))
    assert site.run().problems == []
    second = site.server.asked(r"\$export$")[1][2]
    assert datetime.fromisoformat(second["_since"]) == first
    assert site.ids("Patient") == ["late", "p0", "p1", "p2"]
    assert site.files()[-1] == "deleted/Bundle.0000.ndjson"
    folders = sorted({path.relative_to(site.inbox.folder).parts[0] for path in site.inbox.files((".ndjson",))})
    assert [name[:15] for name in folders] == ["20261120T100100", "20261120T100200"]


def test_files_bear_the_time_of_their_content(make_site: Maker) -> None:
    site = make_site(people(1))
    site.run()
    units = SOURCE.discover(site.feed, site.inbox)
    assert {unit.modified_at for unit in units} == {site.server.clock}


def test_a_full_refresh_asks_for_everything(make_site: Maker) -> None:
    site = make_site(people(2))
    site.run()
    site.run(full_refresh=True)
    assert ["_since" in item[2] for item in site.server.asked(r"\$export$")] == [False, False]


def test_the_reader_takes_the_inbox_as_it_takes_files(make_site: Maker) -> None:
    site = make_site(people(5))
    site.client.resources.append(resource("Practitioner", "x", identifier=[{"value": "1"}]))
    site.run()
    rows: dict[str, int] = {}
    for unit in SOURCE.discover(site.feed, site.inbox):
        for chunk in SOURCE.read(unit):
            for entity, frame in chunk.rows.items():
                rows[entity] = rows.get(entity, 0) + frame.height
    assert (rows["patient"], rows["encounter"], rows["provider"]) == (5, 5, 1)


@pytest.mark.parametrize("packing", ["encoding", "body"])
def test_gzip_is_undone(make_site: Maker, packing: str) -> None:
    site = make_site(people(4))
    site.server.packing = packing
    assert site.run().problems == []
    assert_whole(site, 4)


def test_several_pages_of_a_manifest_are_one_export(make_site: Maker) -> None:
    site = make_site(people(9))
    site.server.per_file, site.server.files_per_page = 2, 3
    assert site.run().problems == []
    assert len(site.server.asked("/page/")) == 3
    assert_whole(site, 9)


def test_a_token_that_expires_between_files_is_renewed(make_site: Maker) -> None:
    site = make_site(people(6))
    site.server.per_file = 2

    def expire(_request: Request, response: Response) -> Response:
        site.server.forget_tokens()
        return response

    site.server.fail("/files/.*/Patient/1", times=1, answer=expire)
    assert site.run().problems == []
    assert_whole(site, 6)
    assert len(site.server.asked("/auth/token", "POST")) == 2
    assert len(site.server.assertions) == 2
    assert site.server.refusals == []


def test_a_token_is_renewed_before_it_expires(make_site: Maker) -> None:
    site = make_site(people(2))
    site.server.token_seconds = 0.2
    site.server.fail("/jobs/", times=1, answer=lambda _request, response: _slowly(response))
    assert site.run().problems == []
    assert site.server.asked("/jobs/")[0][3]
    assert len(site.server.asked("/auth/token", "POST")) > 1


def _slowly(response: Response) -> Response:
    import time

    time.sleep(0.25)
    return response


@pytest.mark.parametrize("path", [r"\$export$", "/jobs/", "/files/", "/auth/token", "metadata", "smart-configuration"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_tried_again(make_site: Maker, path: str, status: int) -> None:
    site = make_site(people(2))
    method = "POST" if "token" in path else "GET"
    site.server.fail(path, status, times=2, method=method, headers={"Retry-After": "7"}, body=b"<html>busy</html>")
    assert site.run().problems == []
    assert_whole(site, 2)
    # A 500 of the export's status is for the client to judge; there it backs off by itself.
    assert site.slept.count(7) == 2 or (status == 500 and path == "/jobs/")
    assert site.server.refusals == []


def test_retry_after_may_be_a_date(make_site: Maker) -> None:
    site = make_site(people(1))
    now = datetime.now(UTC)
    headers = {
        "Retry-After": format_datetime(now + timedelta(seconds=90), usegmt=True),
        "Date": format_datetime(now, usegmt=True),
    }
    site.server.fail("/jobs/", 202, headers=headers)
    assert site.run().problems == []
    assert any(85 <= seconds <= 91 for seconds in site.slept)


def test_polling_backs_off_where_the_server_names_no_time(make_site: Maker) -> None:
    site = make_site(people(1))
    site.server.polls = 0
    site.server.fail("/jobs/", 202, times=8)
    assert site.run().problems == []
    assert site.slept[0] < 2
    assert 40 < site.slept[-1] < 80
    assert sorted(site.slept[:6]) == site.slept[:6]


def test_an_export_that_takes_too_long_is_left_to_the_next_run(make_site: Maker) -> None:
    site = make_site(people(3))
    site.server.fail("/jobs/", 202, headers={"Retry-After": "1800", "X-Progress": "12 of 90 files"})
    (problem,) = site.run(limit_seconds=600).problems
    assert "12 of 90 files" in str(problem)
    assert site.slept == []
    assert site.files() == []
    assert site.run().problems == []
    assert len(site.server.asked(r"\$export$")) == 1, "the same export is asked for further"
    assert_whole(site, 3)


def test_a_file_that_breaks_off_is_fetched_anew(make_site: Maker) -> None:
    site = make_site(people(50))
    site.server.fail("/files/.*/Patient", times=2, answer=cut_off)
    assert site.run().problems == []
    assert_whole(site, 50)


def test_a_file_cut_within_a_line_is_fetched_anew_though_its_length_is_right(make_site: Maker) -> None:
    site = make_site(people(20))
    half = lambda _request, response: Response(bytes(response.body)[:-30])  # noqa: E731
    site.server.fail("/files/.*/Patient", times=1, answer=half)
    assert site.run().problems == []
    assert_whole(site, 20)


def test_a_line_that_lies_cut_at_the_server_is_refused_by_the_reader_alone(make_site: Maker) -> None:
    site = make_site(people(20))
    half = lambda _request, response: Response(bytes(response.body)[:-30])  # noqa: E731
    site.server.fail("/files/.*/Patient", times=99, answer=half)
    assert site.run().problems == []
    (unit,) = [unit for unit in SOURCE.discover(site.feed, site.inbox) if "Patient" in unit.name]
    chunks = list(SOURCE.read(unit))
    assert [refusal.reason for chunk in chunks for refusal in chunk.refusals] == ["not_json"]
    assert sum(chunk.records_used for chunk in chunks) == 19


def test_a_file_that_breaks_off_every_time_is_named_and_the_rest_is_kept(make_site: Maker) -> None:
    site = make_site(people(5))
    site.server.fail("/files/.*/Patient", times=99, answer=cut_off)
    (problem,) = site.run().problems
    assert "Patient.0000.ndjson of the export broke off" in str(problem)
    assert site.files() == [], "an export is read whole or not at all"
    site.server.faults.clear()
    before = len(site.server.asked("/files/.*/Encounter"))
    assert site.run().problems == []
    assert len(site.server.asked("/files/.*/Encounter")) == before, "what lies here is not fetched again"
    assert_whole(site, 5)


def test_errors_of_the_server_are_counted_and_shown_without_their_text(make_site: Maker) -> None:
    site = make_site(people(2))
    site.client.errors = [outcome("processing"), outcome("processing"), outcome("not-found", "warning")]
    received = site.run()
    assert received.problems == []
    found = [(n.reason, n.detail, n.records) for n in received.notices if n.reason == "export_outcome"]
    assert found == [
        ("export_outcome", "the server reports: error processing", 2),
        ("export_outcome", "the server reports: warning not-found", 1),
    ]
    assert SECRET not in str(received)
    assert not list(site.inbox.folder.rglob("*outcomes*")), "outcomes may name patients: they are not kept"


def test_outcome_is_read_as_error_is(make_site: Maker) -> None:
    site = make_site(people(1))
    site.client.errors = [outcome("exception")]

    def renamed(manifest: dict[str, Any]) -> dict[str, Any]:
        return {("outcome" if name == "error" else name): value for name, value in manifest.items()}

    site.server.change_manifest = renamed
    assert [n.detail for n in site.run().notices] == ["the server reports: error exception"]


@pytest.mark.parametrize("status", [404, 410])
def test_a_manifest_that_expired_leads_to_a_new_export(make_site: Maker, status: int) -> None:
    site = make_site(people(3))
    site.server.fail("/jobs/", status)
    received = site.run()
    assert received.problems == []
    assert [n.reason for n in received.notices] == ["export_started_again"]
    assert len(site.server.asked(r"\$export$")) == 2
    assert_whole(site, 3)


def test_files_that_expired_lead_to_a_new_export(make_site: Maker) -> None:
    site = make_site(people(6))
    site.server.per_file = 2

    def expire(_request: Request, _response: Response) -> Response:
        site.server.jobs.clear()
        return Response(status_code=410)

    site.server.fail("/files/.*/Patient/1", answer=expire)
    assert site.run().problems == []
    assert len(site.server.asked(r"\$export$")) == 2
    assert_whole(site, 6)


def test_addresses_that_expired_are_asked_for_once_more(make_site: Maker) -> None:
    site = make_site(people(6))
    site.server.per_file = 2
    site.server.fail("/files/.*/Patient/1", 403, body=b"<Error>Request has expired</Error>")
    assert site.run().problems == []
    assert len(site.server.asked(r"\$export$")) == 1
    assert_whole(site, 6)


def test_a_server_that_always_forgets_is_named(make_site: Maker) -> None:
    site = make_site(people(1))
    site.server.fail("/jobs/", 404, times=99)
    (problem,) = site.run().problems
    assert "dropped 3 exports" in str(problem)
    assert site.files() == []


def test_a_failed_export_is_named_and_the_next_run_asks_anew(make_site: Maker) -> None:
    site = make_site(people(2))
    site.server.fail("/jobs/", 500, body=outcome("exception"))
    (problem,) = site.run().problems
    assert "status 500: error exception" in str(problem)
    assert SECRET not in str(problem)
    assert site.run().problems == []
    assert_whole(site, 2)


def test_a_transient_failure_of_the_status_is_no_failure_of_the_export(make_site: Maker) -> None:
    site = make_site(people(2))
    site.server.fail("/jobs/", 500, times=3, body=outcome("transient"))
    assert site.run().problems == []
    assert len(site.server.asked(r"\$export$")) == 1


def test_a_count_that_differs_is_shown(make_site: Maker) -> None:
    site = make_site(people(4))

    def wrong(manifest: dict[str, Any]) -> dict[str, Any]:
        for item in manifest["output"]:
            item["count"] += item["type"] == "Patient"
        return manifest

    site.server.change_manifest = wrong
    received = site.run()
    assert received.problems == []
    (notice,) = received.notices
    assert (notice.reason, notice.detail) == ("export_count_differs", "the manifest says 5 resources, but 4 arrived")
    assert_whole(site, 4)


def test_a_file_larger_than_allowed_is_refused_by_name(make_site: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(people(3))
    monkeypatch.setattr("ingest.receive.fhir.bulk_export.GIB", 1000)
    site.set(maximum_file_gib=1)
    site.client.resources[0]["text"] = {"div": "x" * 5000}
    (problem,) = site.run().problems
    assert "Patient.0000.ndjson of the export is larger than" in str(problem)
    assert "maximum_file_gib" in str(problem)
    assert not list(site.inbox.folder.rglob("*Patient*"))


def test_a_gzip_bomb_is_refused(make_site: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.receive.fhir.bodies.MAXIMUM_GZIP_RATIO", 20)
    site = make_site(people(2))
    bomb = gzip.compress(b"{}\n" * (8 << 20))
    site.server.fail("/files/.*/Patient", times=9, headers={"Content-Encoding": "gzip"}, body=bomb)
    (problem,) = site.run().problems
    assert "unpacks to more than 20 times its size" in str(problem)
    assert len(site.server.asked("/files/.*/Patient")) == 1, "a bomb is not fetched again"


@pytest.mark.parametrize("body", [b"<!doctype html><p>Please sign in", b"[1, 2]", b"Patient\tJohn Smith"])
def test_a_page_for_people_is_no_file(make_site: Maker, body: bytes) -> None:
    site = make_site(people(1))
    site.server.fail("/files/.*/Patient", times=9, body=body)
    (problem,) = site.run().problems
    assert "is not NDJSON" in str(problem)
    assert SECRET not in str(problem)


@pytest.mark.parametrize(
    "manifest",
    [[], {}, {"output": "x"}, {"output": [{"type": "Patient"}]}, {"output": [3]}, {"output": [{"url": 7}]}],
)
def test_what_is_no_manifest_is_refused(make_site: Maker, manifest: Any) -> None:
    site = make_site(people(1))
    site.server.polls = 0
    site.server.fail("/jobs/", 200, body=manifest)
    (problem,) = site.run().problems
    assert "manifest" in str(problem)


@pytest.mark.parametrize("url", ["https://[::1", "https://x:99999999/", "//[", "ftp://x/y", "https://\0/", "https://"])
def test_what_is_no_address_is_refused(make_site: Maker, url: str) -> None:
    site = make_site(people(1))
    site.server.change_manifest = lambda manifest: manifest | {"output": [{"type": "Patient", "url": url}]}
    assert len(site.run().problems) == 1
    site.server.change_manifest = lambda manifest: manifest | {"link": [{"relation": "next", "url": url}]}
    assert len(site.run(full_refresh=True).problems) == 1


@pytest.mark.parametrize(
    "time", ["yesterday", None, 7, "2026-11-20T10:00:00", "9999-01-01T00:00:00Z", "0001-01-01T00:00:00Z"]
)
def test_a_manifest_without_a_time_takes_that_of_the_kick_off(make_site: Maker, time: Any) -> None:
    site = make_site(people(2))
    site.server.change_manifest = lambda manifest: manifest | {"transactionTime": time}
    received = site.run()
    assert [n.reason for n in received.notices] == ["export_without_time"]
    assert_whole(site, 2)
    site.run()
    since = datetime.fromisoformat(site.server.asked(r"\$export$")[1][2]["_since"])
    assert timedelta(minutes=59) < datetime.now(UTC) - since < timedelta(minutes=70)


def test_a_type_name_cannot_lead_out_of_the_inbox(make_site: Maker) -> None:
    site = make_site(people(1))

    def hostile(manifest: dict[str, Any]) -> dict[str, Any]:
        for item in manifest["output"]:
            item["type"] = "../../../" + item["type"]
        return manifest

    site.server.change_manifest = hostile
    assert site.run().problems == []
    assert site.files() == ["Resource.0000.ndjson", "Resource.0001.ndjson"]


def test_manifest_pages_that_go_in_circles_end(make_site: Maker) -> None:
    site = make_site(people(9))
    site.server.per_file, site.server.files_per_page = 2, 3
    site.server.polls = 0

    def to_itself(request: Request, response: Response) -> Response:
        manifest = json.loads(bytes(response.body)) | {"link": [{"relation": "next", "url": str(request.url)}]}
        return Response(json.dumps(manifest))

    site.server.fail(r"/jobs/", times=99, answer=to_itself)
    (problem,) = site.run().problems
    assert "form a loop" in str(problem)


def test_an_export_that_is_refused_within_the_day_is_shown_and_no_failure(make_site: Maker) -> None:
    site = make_site(people(2))
    site.run()
    site.server.fail(r"\$export$", 400, body=outcome("business-rule"))
    received = site.run()
    assert received.problems == []
    assert [n.reason for n in received.notices] == ["export_refused"]


def test_a_refused_export_says_what_the_server_said(make_site: Maker) -> None:
    site = make_site(people(2))
    site.server.fail(r"\$export$", 400, body=outcome("invalid", text="_type: Coverage is not known here"))
    (problem,) = site.run().problems
    assert "error invalid (_type: Coverage is not known here)" in str(problem)
    assert "profile" in str(problem)


def test_a_new_type_in_the_profile_leads_to_a_whole_export(make_site: Maker, tmp_path: Path) -> None:
    site = make_site(people(2))
    profile = tmp_path / "ours.yaml"
    profile.write_text("kind: fhir\nextends: r4\nexport_types: [Patient]\n")
    site.feed = type(site.feed)(**{**vars(site.feed), "profile": str(profile)})
    site.run()
    site.feed = type(site.feed)(**{**vars(site.feed), "profile": "r4"})
    site.run()
    site.run()
    assert ["_since" in item[2] for item in site.server.asked(r"\$export$")] == [False, False, True]


def test_a_server_that_refuses_types_it_does_not_know_is_asked_for_those_it_lists(make_site: Maker) -> None:
    site = make_site(people(2))
    site.server.capability = capability_statement(types=["Patient", "Encounter"])

    def strict(request: Request, response: Response) -> Response:
        types = set(request.query_params["_type"].split(","))
        return response if types <= {"Patient", "Encounter"} else Response(json.dumps(outcome("invalid")), 400)

    site.server.fail(r"\$export$", times=99, answer=strict)
    received = site.run()
    assert received.problems == []
    assert "the server does not export Claim" in [n.detail for n in received.notices]
    assert_whole(site, 2)
    confirm(site.feed, site.inbox)
    again = site.run()
    assert (again.problems, again.notices) == ([], []), "what was said once is not said again"
    assert "_since" in site.server.asked(r"\$export$")[-1][2]


def test_two_tenants_on_one_server_with_the_same_ids_stay_apart(make_site: Maker) -> None:
    ours = make_site([resource("Patient", "p0", gender="male")], tenant="harbor")
    theirs = make_site([resource("Patient", "p0", gender="female")], tenant="ridge", algorithm="RS384")
    assert ours.run().problems == theirs.run().problems == []
    assert [r["gender"] for r in ours.resources()] == ["male"]
    assert [r["gender"] for r in theirs.resources()] == ["female"]


def test_a_server_of_another_version_is_refused(make_site: Maker) -> None:
    site = make_site(people(1))
    site.server.capability = capability_statement("5.0.0")
    (problem,) = site.run().problems
    assert "uses FHIR 5.0.0" in str(problem)
    assert site.server.asked(r"\$export$") == []


def test_what_the_server_does_not_list_is_shown_once_and_ends_nothing(make_site: Maker) -> None:
    site = make_site(people(1))
    site.server.capability = capability_statement(types=["Patient", "Appointment", "Schedule"])
    received = site.run()
    assert received.problems == []
    lines = [n.detail for n in received.notices if n.reason == "capability_missing"]
    assert any("Encounter" in line for line in lines)
    assert any("Slot" in line for line in lines)
    assert (len(site.server.asked("/Slot$")), len(site.server.asked("/Appointment$"))) == (0, 1)


def test_an_empty_export_moves_on(make_site: Maker) -> None:
    site = make_site([])
    assert site.run().problems == []
    site.run()
    assert "_since" in site.server.asked(r"\$export$")[1][2]
    assert site.files() == []
