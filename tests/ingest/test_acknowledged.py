"""A refused file that an operator acknowledged is no problem of later runs, until it changes or another one comes."""

import json
from pathlib import Path

import pytest

from dagster_project.run import _outcome
from foundation.errors import ConfigurationError
from ingest.accounts.acknowledged import acknowledge, withdraw
from ingest.accounts.status import status
from ingest.landing.land_feed import FeedReport
from serving.people.store import AccessStore
from tests.ingest.test_landing import Site, remittance, site  # noqa: F401
from tests.support import clinicmart_here

BROKEN = "this is not an interchange"


def land(place: Site) -> FeedReport:
    """A run that reads the remittances."""
    place.ledger.start_run(f"run-{place.runs + 1}", "clinicmart.yaml")
    return place.land("remits")


def exit_code(place: Site) -> int:
    """Of the run that `land` made, had it published."""
    run_id = f"run-{place.runs}"
    place.ledger.end_run(run_id, "unchanged")
    return _outcome(place.ledger, run_id, True, None, {}).exit_code


def mark(place: Site, name: str = "broken.835") -> str:
    (file,) = [file for file in status(place.ledger, place.keys)["refused_files"] if Path(file["name"]).name == name]
    return str(file["mark"])


def test_an_acknowledged_file_ends_no_run_with_an_error_until_a_new_problem_comes(site: Site) -> None:  # noqa: F811
    (site.remits / "good.835").write_text(remittance(1, [("C1", "100.00", "80.00")]))
    (site.remits / "broken.835").write_text(BROKEN)
    assert (land(site).outcome, exit_code(site)) == ("partly", 1)

    acknowledge(site.ledger, site.keys, "harbor", mark(site), reason="a test file of the sender", by="root")
    report = land(site)
    assert (report.outcome, report.problems, report.units_refused, report.units_acknowledged) == ("unchanged", [], 1, 1)
    assert exit_code(site) == 0
    (file,) = status(site.ledger, site.keys)["refused_files"]
    assert file["acknowledged"].endswith("by root: a test file of the sender")
    # What Data health shows beside the file.
    assert file["remedy"] == file["acknowledged"]

    (site.remits / "other.835").write_text(BROKEN + " either")
    report = land(site)
    assert (len(report.problems), exit_code(site)) == (1, 1)
    (site.remits / "other.835").unlink()
    assert land(site).problems == []
    (site.remits / "broken.835").write_text(BROKEN + ", and has changed")
    assert len(land(site).problems) == 1
    assert exit_code(site) == 1


def test_an_acknowledgement_is_withdrawn_and_a_wrong_mark_is_named(site: Site) -> None:  # noqa: F811
    (site.remits / "broken.835").write_text(BROKEN)
    assert land(site).outcome == "unreadable"
    shown = mark(site)
    acknowledge(site.ledger, site.keys, "harbor", shown.removeprefix("file ")[:10], reason="known", by="root")
    assert land(site).problems == []
    withdraw(site.ledger, site.keys, "harbor", shown)
    assert len(land(site).problems) == 1
    for tenant, wrong in (("harbor", "0123456789.835"), ("mesa", shown)):
        with pytest.raises(ConfigurationError, match=f"the last read of {tenant} refused no file"):
            acknowledge(site.ledger, site.keys, tenant, wrong, reason="known", by="root")


def test_the_command_acknowledges_with_an_audit_row(site: Site) -> None:  # noqa: F811
    (site.remits / "broken.835").write_text(BROKEN)
    land(site)
    store = AccessStore.open(site.home)
    store.ensure_tenant("harbor", "Harbor")
    words = (
        "quarantine",
        "acknowledge",
        mark(site).removeprefix("file "),
        "--home",
        site.home.path,
        "--tenant",
        "harbor",
    )
    assert clinicmart_here(*words).code == 2
    assert clinicmart_here(*words, "--reason", "  ").code == 2
    ran = clinicmart_here(*words, "--reason", "a test file of the sender", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["acknowledged"] is True
    (row,) = store.audit_rows("harbor", action="refused file acknowledged")
    assert row.detail == {"feed": "remits", "mark": mark(site), "reason": "a test file of the sender"}
    assert land(site).problems == []
    assert "is not acknowledged any more" in clinicmart_here(*words, "--withdraw").out
    assert len(store.audit_rows("harbor", action="acknowledgement withdrawn")) == 1
    assert len(land(site).problems) == 1
