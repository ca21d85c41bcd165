"""The home of this folder, made once, by the test process that comes first."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from tests.runs import (
    test_claims,
    test_closed_month,
    test_file_names,
    test_issuers,
    test_payments,
    test_plausibility,
    test_remittances,
    test_unknown_words,
    test_visits,
)
from tests.runs.site import Configuration, Site
from tests.support import made_once, shared_folder

PARTS = (
    test_claims,
    test_closed_month,
    test_file_names,
    test_issuers,
    test_payments,
    test_plausibility,
    test_remittances,
    test_unknown_words,
    test_visits,
)

# A problem of a feed, as a run prints it.
PROBLEM = re.compile(r"clinicmart: (?!ALERT)[a-z0-9-]+/")


def _first(site: Site) -> None:
    tenants: Configuration = {}
    for part in PARTS:
        added = part.deliver(site.folder)
        assert not tenants.keys() & added.keys(), "two files name a tenant alike"
        tenants |= added
    site.configure(tenants)


def _second(site: Site) -> None:
    tenants = yaml.safe_load(site.config.read_text("utf-8"))["tenants"]
    for part in PARTS:
        if hasattr(part, "deliver_more"):
            part.deliver_more(site, tenants)
    site.configure(tenants)


def _made(base: Path, name: str, prepare: Callable[[Site], None], *, copy_of: Site | None = None) -> Site:
    """A site after its run; it is prepared and run by the process that comes first."""
    site = Site(base / name)
    with made_once(base, name) as is_mine:
        if is_mine:
            shutil.rmtree(site.folder, ignore_errors=True)
            if copy_of is None:
                site.folder.mkdir()
            else:
                shutil.copytree(copy_of.folder, site.folder, symlinks=True)
            prepare(site)
            (site.folder / "printed.json").write_text(json.dumps(asdict(site.run())), encoding="utf-8")
    printed = site.printed
    assert "Published." in printed.out, printed.out + printed.err
    # One file is refused on purpose, so that the run exits with 1.
    problems = [line for line in printed.err.splitlines() if PROBLEM.match(line)]
    assert printed.code == 1
    assert [line for line in problems if not line.startswith(f"clinicmart: {test_file_names.TENANT}/")] == []
    return site


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """All tenants after the first run."""
    return _made(shared_folder(tmp_path_factory, "runs"), "first", _first)


@pytest.fixture(scope="session")
def second(first: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A copy of it, to which more was delivered, after the second run."""
    return _made(shared_folder(tmp_path_factory, "runs"), "second", _second, copy_of=first)
