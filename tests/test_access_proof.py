"""`clinicmart audit prove`: no way crosses, every role is tried, and each hole made on purpose is found and named."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from clinicmart.proof.report import report_of, signing_key, text_of, verified, write_report
from clinicmart.proof.run import WAYS, run_ways
from clinicmart.proof.server import COMMAND
from clinicmart.proof.site import PEOPLE, Site, make_site
from clinicmart.proof.trials import Trial
from foundation.errors import ConfigurationError
from foundation.home import Home
from serving.open_files import close_all
from serving.people.rights import TENANT_ROLES
from tests.leaks import HOLES, IN_SERVER, hole
from tests.support import clinicmart_here

pytestmark = pytest.mark.slow
# One tenant attacks, which holds the stricter rule of de-identification; the command tries both.
ATTACKERS = ("alder",)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("proof"))


@pytest.fixture(scope="module")
def trials(site: Site) -> list[Trial]:
    return list(run_ways(site, tenants=ATTACKERS))


@pytest.fixture
def own_site(site: Site, tmp_path: Path) -> Iterator[Site]:
    """A copy of the place, in which nothing was opened yet."""
    shutil.copytree(
        site.home.path, tmp_path / "home", ignore=shutil.ignore_patterns("extensions", "scopes", "by_scope")
    )
    (tmp_path / "home" / "extensions").symlink_to(site.home.extensions)
    close_all()
    yield Site(home=Home.at(tmp_path / "home"), feeds=site.feeds, run_output=site.run_output)
    close_all()


def test_no_way_crosses_and_every_control_holds(trials: list[Trial]) -> None:
    assert [trial for trial in trials if not trial.passed] == []


def test_every_way_and_every_role_is_tried(trials: list[Trial]) -> None:
    assert {way.key for way in WAYS} <= {trial.way for trial in trials}
    assert {person.role for person in PEOPLE} == set(TENANT_ROLES)
    assert set(TENANT_ROLES) <= {trial.role for trial in trials}


@pytest.mark.parametrize("name", HOLES)
def test_a_hole_made_on_purpose_is_found_and_named(own_site: Site, name: str) -> None:
    _, ways, names = HOLES[name]
    people = [person for person in PEOPLE if person.name in names]
    # As a module: a script has its own folder before all others, and folders in `tests` have the names of our packages.
    serve = (sys.executable, "-m", "tests.leaks", name) if name in IN_SERVER else COMMAND
    # A hole in the server is made in its process alone.
    with nullcontext() if name in IN_SERVER else hole(name):
        own_site.access.audit(ATTACKERS[0], people[0].email, "tried")
        found = list(run_ways(own_site, only=ways, tenants=ATTACKERS, people=people, serve=serve))
    crossings = [trial for trial in found if trial.leaked]
    assert {trial.way for trial in crossings} == set(ways)
    report = report_of(found, is_quick=True)
    assert report["passed"] is False
    assert all(trial.tried in text_of(report) and trial.leaked in text_of(report) for trial in crossings)


def test_the_report_verifies_offline_and_no_changed_one_does(site: Site, trials: list[Trial], tmp_path: Path) -> None:
    key = signing_key(site.home)
    file = write_report(tmp_path / "out", report_of(trials, is_quick=True), key)
    report = verified(file)
    assert report["passed"]
    assert len(report["trials"]) == len(trials)
    shown = clinicmart_here("audit", "prove", "--public-key", "--home", site.home.path).out.strip()
    assert clinicmart_here("audit", "verify-report", file, "--public-key", shown).code == 0
    assert clinicmart_here("audit", "verify-report", file, "--public-key", "ab" * 32).code == 2
    signed = json.loads(file.read_text("utf-8"))
    for change in ({"passed": False}, {"trials": []}, {"made_at": "2026-01-01"}):
        file.write_text(json.dumps({**signed, "report": signed["report"] | change}), encoding="utf-8")
        with pytest.raises(ConfigurationError, match="changed"):
            verified(file)
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="not a report"):
        verified(file)
