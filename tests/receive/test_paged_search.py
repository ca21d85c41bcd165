"""Paged search: what bulk export does not give."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.receive.bulk_server import BulkServer, outcome, running
from tests.receive.conftest import Maker, Site, people, resource


@pytest.fixture
def searching(make_site: Maker, tmp_path: Path) -> Any:
    """A feed whose profile searches as the test says."""

    def make(resources: list[dict[str, Any]], search: dict[str, list[str]], **server: Any) -> Site:
        import yaml

        file = tmp_path / "searching.yaml"
        nothing: dict[str, list[str]] = {"Appointment": [], "Schedule": [], "Slot": []}
        file.write_text(yaml.safe_dump({"kind": "fhir", "extends": "r4", "search": nothing | search}))
        site = make_site(resources, **server)
        site.feed = type(site.feed)(**{**vars(site.feed), "profile": str(file)})
        return site

    return make


def _appointments(number: int, updated: str = "2026-11-01T08:00:00Z") -> list[dict[str, Any]]:
    return [
        resource("Appointment", f"a{index}", updated, participant=[{"actor": {"reference": f"Patient/p{index % 3}"}}])
        for index in range(number)
    ]


def test_every_page_of_a_search_comes(make_site: Maker) -> None:
    site = make_site([*_appointments(123), resource("Slot", "s1"), resource("Schedule", "h1")], export="none")
    assert site.run().problems == []
    assert site.ids("Appointment") == sorted(f"a{index}" for index in range(123))
    assert (site.ids("Slot"), site.ids("Schedule")) == (["s1"], ["h1"])
    assert len(site.server.asked("/Appointment$")) == 3
    assert site.server.asked(r"\$export") == []


def test_a_later_search_asks_for_changes_with_an_overlap(searching: Any) -> None:
    site = searching(_appointments(3), {"Appointment": ["_lastUpdated=ge{since}"]}, export="none")
    site.run()
    before = datetime.now(UTC)
    site.client.resources += [resource("Appointment", "new", f"{before + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}")]
    site.run()
    first, second = (item[2]["_lastUpdated"] for item in site.server.asked("/Appointment$"))
    assert first == "ge1990-01-01T00:00:00Z"
    since = datetime.fromisoformat(second.removeprefix("ge"))
    assert timedelta(minutes=59) < before - since < timedelta(minutes=62)
    assert sorted(site.ids("Appointment")) == ["a0", "a1", "a2", "new"]


def test_date_windows_reach_back_and_ahead_as_configured(searching: Any) -> None:
    search = {"Appointment": ["date=ge{from}"], "Slot": ["start=ge{today}&start=le{until}"]}
    site = searching([resource("Slot", "s")], search, export="none", history_days=100, horizon_days=10)
    site.run()
    site.run()
    today = datetime.now(UTC).date()
    first, second = (
        date.fromisoformat(item[2]["date"].removeprefix("ge")) for item in site.server.asked("/Appointment$")
    )
    assert abs((today - timedelta(days=100) - first).days) <= 1
    assert abs((today - timedelta(days=35) - second).days) <= 1
    until = date.fromisoformat(site.server.asked("/Slot$")[0][2]["start"].removeprefix("le"))
    assert abs((today + timedelta(days=10) - until).days) <= 1


def test_a_search_by_patient_is_asked_for_each_that_the_export_brought(searching: Any) -> None:
    site = searching(people(3) + _appointments(9), {"Appointment": ["patient={Patient}&date=ge{from}"]})
    assert site.run().problems == []
    assert sorted(item[2]["patient"] for item in site.server.asked("/Appointment$")) == ["p0", "p1", "p2"]
    assert len(site.ids("Appointment")) == 9
    site.client.resources.append(resource("Patient", "later", "2026-11-20T23:00:00Z"))
    site.client.deleted.append(("Patient", "p1"))
    site.run()
    asked = sorted(item[2]["patient"] for item in site.server.asked("/Appointment$")[3:])
    assert asked == ["later", "p0", "p2"], "also those that an earlier export brought, and none that is gone"


def test_many_searches_run_at_once_and_none_is_lost_when_the_token_goes(searching: Any) -> None:
    site = searching(people(150), {"Appointment": ["patient={Patient}"]})
    site.client.resources += [
        resource("Appointment", f"a{n}", participant=[{"actor": {"reference": f"Patient/p{n % 150}"}}])
        for n in range(600)
    ]
    forget = iter(range(10_000))

    def lose_token(_request: Request, response: Response) -> Response:
        if next(forget) in (40, 90):
            site.server.forget_tokens()
        return response

    site.server.fail("/Appointment$", times=10_000, answer=lose_token)
    assert site.run().problems == []
    assert site.ids("Appointment") == sorted(f"a{n}" for n in range(600))
    assert len(site.server.asked("/auth/token", "POST")) == 3


def test_one_of_many_searches_that_fails_ends_them(searching: Any) -> None:
    site = searching(people(300) + _appointments(9), {"Appointment": ["patient={Patient}"]})
    site.server.fail("/Appointment$", 400, body=outcome("invalid"))
    (problem,) = site.run().problems
    assert "search of Appointment: status 400" in str(problem)
    assert site.ids("Appointment") == []
    assert len(site.server.asked("/Appointment$")) < 100


def test_a_search_may_name_what_a_search_before_it_brought(searching: Any) -> None:
    slots = [resource("Slot", f"s{index}", schedule={"reference": "Schedule/h1"}) for index in range(2)]
    search = {"Schedule": ["_count=10"], "Slot": ["schedule={Schedule}"]}
    site = searching([resource("Schedule", "h1"), *slots], search, export="none")
    assert site.run().problems == []
    assert [item[2]["schedule"] for item in site.server.asked("/Slot$")] == ["h1"]


def test_what_a_search_includes_lies_by_its_own_type(searching: Any) -> None:
    site = searching([resource("Slot", "s1")], {"Slot": ["start=ge{today}&_include=Slot:schedule"]}, export="none")

    def included(_request: Request, _response: Response) -> Response:
        entries = [
            {"resource": resource("Slot", "s1"), "search": {"mode": "match"}},
            {"resource": resource("Schedule", "h1"), "search": {"mode": "include"}},
            {"resource": outcome("informational", "information"), "search": {"mode": "outcome"}},
        ]
        return JSONResponse({"resourceType": "Bundle", "type": "searchset", "entry": entries})

    site.server.fail("/Slot$", answer=included)
    received = site.run()
    assert site.files() == ["Schedule.of-Slot.ndjson", "Slot.ndjson"]
    assert [(n.reason, n.detail) for n in received.notices] == [
        ("search_outcome", "the server reports: information informational")
    ]


def test_a_resource_on_two_pages_is_taken_once(searching: Any) -> None:
    site = searching(_appointments(60), {"Appointment": ["_count=50"]}, export="none")
    site.server.per_search_page = 50

    def shifted(request: Request, response: Response) -> Response:
        site.client.resources.insert(0, resource("Appointment", "inserted"))
        return response

    site.server.fail("/Appointment$", answer=shifted)
    site.run()
    ids = site.ids("Appointment")
    assert len(ids) == len(set(ids)) == 60


def test_a_next_page_on_another_host_is_refused(make_site: Maker) -> None:
    site = make_site(_appointments(2), export="none")
    with running() as stranger:
        page = {"relation": "next", "url": f"{stranger.origin}/r4/Appointment?page=2"}

        def elsewhere(_request: Request, _response: Response) -> Response:
            return JSONResponse({"resourceType": "Bundle", "link": [page], "entry": []})

        site.server.fail("/Appointment$", answer=elsewhere)
        (problem,) = site.run().problems
        assert "is on another host" in str(problem)
        assert stranger.requests == []
    assert site.ids("Appointment") == []


@pytest.mark.parametrize("is_clever", [False, True])
def test_pages_that_go_in_circles_end(make_site: Maker, is_clever: bool) -> None:
    site = make_site(_appointments(2), export="none")
    number = iter(range(10_000))

    def again(request: Request, response: Response) -> Response:
        url = request.url.include_query_params(_page=0, **({"session": next(number)} if is_clever else {}))
        entry = [{"resource": item} for item in _appointments(2)]
        return JSONResponse({"resourceType": "Bundle", "link": [{"relation": "next", "url": str(url)}], "entry": entry})

    site.server.fail("/Appointment$", times=10_000, answer=again)
    (problem,) = site.run().problems
    assert "form a loop" in str(problem)
    assert len(site.server.asked("/Appointment$")) < 100


def test_one_type_that_fails_leaves_the_others(make_site: Maker) -> None:
    site = make_site([*_appointments(2), resource("Slot", "s1"), resource("Schedule", "h1")], export="none")
    site.server.fail("/Slot$", 400, body=outcome("invalid"), times=9)
    (problem,) = site.run().problems
    assert "search of Slot: status 400: error invalid" in str(problem)
    assert "Smith" not in str(problem)
    assert (site.ids("Appointment"), site.ids("Slot"), site.ids("Schedule")) == (["a0", "a1"], [], ["h1"])
    site.server.faults.clear()
    assert site.run().problems == []
    assert site.ids("Slot") == ["s1"]


def test_a_page_that_fails_late_leaves_nothing_of_its_type(make_site: Maker) -> None:
    site = make_site(_appointments(120), export="none")
    passed = iter([True, False])

    def second_fails(_request: Request, response: Response) -> Response:
        return response if next(passed, False) else Response(status_code=400)

    site.server.fail("/Appointment$", times=9, answer=second_fails)
    assert len(site.run().problems) == 1
    assert site.ids("Appointment") == []
    site.server.faults.clear()
    site.run()
    assert len(site.ids("Appointment")) == 120


@pytest.mark.parametrize("status", [429, 503, 500])
def test_a_page_is_tried_again(make_site: Maker, status: int) -> None:
    site = make_site(_appointments(120), export="none")
    site.server.fail("/Appointment$", status, times=3, headers={"Retry-After": "11"})
    assert site.run().problems == []
    assert site.slept.count(11) == 3
    assert len(site.ids("Appointment")) == 120


def test_a_patient_that_the_server_no_longer_knows_is_counted(searching: Any) -> None:
    site = searching(people(3) + _appointments(3), {"Appointment": ["patient={Patient}"]})
    site.server.fail("/Appointment$", 404, body=outcome("not-found"))
    received = site.run()
    assert received.problems == []
    assert [(n.reason, n.records) for n in received.notices] == [("search_unanswered", 1)]
    assert len(site.ids("Appointment")) == 2


def test_what_is_no_bundle_is_refused(make_site: Maker, bulk_server: BulkServer) -> None:
    site = make_site(_appointments(1), export="none")
    bulk_server.fail("/Appointment$", body={"resourceType": "Patient", "name": "Smith"})
    (problem,) = site.run().problems
    assert "is not a FHIR Bundle" in str(problem)
    assert "Smith" not in str(problem)
