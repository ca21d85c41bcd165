"""A small site: four tenants with a file each, and their home after one run. It is made once; each file of tests works on a copy."""

import shutil
from pathlib import Path

import pytest

from clinicmart.pipeline import new_administrators
from dagster_project.run import run_pipeline
from dagster_project.workspace import Workspace, load_checked_config
from foundation.home import Home
from ingest.load import landed_rows
from tests.ingest.test_landing import remittance
from tests.runs.test_claims import claim, claims_837

# Tenants with one 835 of two claims. `CLAIMS` has one 837 with one claim.
REMITTANCES, CLAIMS = ("harbor", "iris", "mesa"), "juniper"
CONFIG, HOME = "clinicmart.yaml", "home"


def make(folder: Path) -> None:
    """Writes the files and the configuration, and runs the pipeline once: everything agrees and every tenant is published."""
    lines = ["tenants:"]
    for number, tenant in enumerate((*REMITTANCES, CLAIMS), start=1):
        (folder / tenant).mkdir()
        if tenant == CLAIMS:
            file, text = "a.837", claims_837(claim("C1", 100, "20260105"))
        else:
            file, text = "a.835", remittance(number, [("C1", "100.00", "80.00"), ("C2", "50.25", "7.00")])
        (folder / tenant / file).write_text(text, encoding="utf-8")
        feeds = f"[{{name: remits, kind: x12, path: {tenant}}}]"
        lines.append(f"  {tenant}: {{name: {tenant.capitalize()}, time_zone: America/Denver, feeds: {feeds}}}")
    (folder / CONFIG).write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = load_checked_config(folder / CONFIG)
    with pytest.MonkeyPatch.context() as patched:
        # As if no two rows fitted into memory.
        patched.setattr(landed_rows, "ROWS_AT_ONCE", 1)
        ran = run_pipeline(Home.at(folder / HOME), config)
    assert (ran.outcome, ran.stopped, ran.problems) == ("published", (), ())
    # As the command does at its end.
    new_administrators(Home.at(folder / HOME), config)


def copy_site(site: Path, folder: Path) -> Workspace:
    """A copy of the site in a new folder, with its home."""
    shutil.copytree(site, folder, symlinks=True)
    workspace = Workspace(Home.at(folder / HOME), load_checked_config(folder / CONFIG))
    workspace.remember()
    return workspace
