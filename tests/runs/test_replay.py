"""A day before more feeds came, rebuilt beside the home that goes on: its marts and figures are those that were published then."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clinicmart.replaying import apart
from dagster_project.workspace import load_checked_config
from foundation import key_files
from foundation.home import Home
from foundation.key_masters import GRANTS
from foundation.keys import Keys
from serving.model import MetricQuery
from serving.people.principal import PLATFORM
from serving.people.store import AccessStore
from serving.reader import Reader, open_reader
from serving.versions.retention import kept_versions, version_served_at
from serving.versions.same_rows import compare_versions
from serving.versions.store import current_version
from tests.runs.site import Site
from tests.support import Ran, clinicmart, clinicmart_here

pytestmark = pytest.mark.slow

# The tenant to which a takeback is delivered before the second run; the other has the same identifiers and gets nothing.
CHANGED, UNCHANGED = "harbor", "iris"


def day_one(site: Site) -> str:
    """The moment at which the last tenant was published by the first run."""
    home = Home.at(site.home)
    return max(kept_versions(home, tenant)[0].published_at for tenant in home.published_tenants()).isoformat()


@pytest.fixture(scope="module")
def replayed(second: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, dict[str, Any]]]:
    """The home of the first day, replayed from the home after the second, and what the command printed."""
    folder = tmp_path_factory.mktemp("replay")
    with pytest.MonkeyPatch.context() as patched:
        # The running home's: a replay must not write into it.
        patched.setenv("CLINICMART_AUDIT_ANCHOR", str(folder / "anchor"))
        ran = clinicmart(
            "replay", "--home", second.home, "--out", folder / "home", "--as-of", day_one(second), "--json"
        )
        assert ran.code == 0, ran.out + ran.err
    assert len((folder / "anchor").read_text("utf-8").splitlines()) == 1
    yield Site(folder), json.loads(ran.out)
    shutil.rmtree(folder)


def test_every_mart_of_every_tenant_is_that_of_the_day_and_today_it_is_not(
    first: Site, second: Site, replayed: tuple[Site, dict[str, Any]]
) -> None:
    site, facts = replayed
    tenants = Home.at(first.home).published_tenants()
    assert [item["tenant_id"] for item in facts["tenants"]] == sorted(tenants, key=_order(second))
    for item in facts["tenants"]:
        assert (item["problem"], item["rows_differing"], item["marts_and_columns_of_one_side"]) == (None, {}, [])
        assert item["marts_compared"] > 30
    # With the home in which nothing else ever came, and, as a control, with today.
    for tenant in tenants:
        assert _same(site.home, first.home, tenant).equal
    assert _same(site.home, second.home, CHANGED).rows_differing["fct_takebacks"] == 1
    assert _same(site.home, second.home, UNCHANGED).equal


def _order(site: Site) -> Any:
    """The place of a tenant in the configuration."""
    text = site.config.read_text("utf-8")
    return lambda tenant: text.index(f"\n  {tenant}:")


def _same(one: Path, other: Path, tenant: str) -> Any:
    homes = (Home.at(one), Home.at(other))
    versions = [current_version(home, tenant) for home in homes]
    assert versions[0] is not None
    assert versions[1] is not None
    return compare_versions(homes[0], versions[0], homes[1], versions[1])


def test_every_figure_by_month_and_unit_is_that_which_the_day_showed(
    second: Site, replayed: tuple[Site, dict[str, Any]]
) -> None:
    site, _ = replayed
    home = Home.at(second.home)
    version = version_served_at(home, CHANGED, _moment(second))
    assert version is not None
    then = open_reader(home, AccessStore.open(home).principal(CHANGED, f"admin@{CHANGED}"), as_of=version.version)
    today, ours = second.reader(CHANGED), site.reader(CHANGED)
    with_values, changed = 0, 0
    for metric in ours.metrics():
        by = ("service_unit",) if "service_unit" in metric.dimensions else ()
        query = MetricQuery(metrics=[metric.name], by=by, grain="month")
        answers = [_rows(reader, query) for reader in (ours, then, today)]
        assert answers[0] == answers[1], metric.name
        with_values += bool(answers[0])
        changed += answers[0] != answers[2]
    assert with_values > 20
    assert changed > 0


def _moment(site: Site) -> Any:
    home = Home.at(site.home)
    return max(kept_versions(home, tenant)[0].published_at for tenant in home.published_tenants())


def _rows(reader: Reader, query: MetricQuery) -> list[dict[str, Any]]:
    return reader.query(query).to_dicts()


def test_what_came_in_one_load_is_said(replayed: tuple[Site, dict[str, Any]]) -> None:
    _, facts = replayed
    loads = [load for item in facts["tenants"] for load in item["first_loads"]]
    assert loads
    assert all(load["share"] == 1 and load["rows"] == load["first_rows"] > 0 for load in loads)
    assert facts["configuration"] == {"file": facts["configuration"]["file"], "is_of_today": True}


def test_the_new_home_opens_nothing_of_the_other_and_holds_no_source_and_nobody_of_it(
    second: Site, replayed: tuple[Site, dict[str, Any]]
) -> None:
    site, facts = replayed
    ours, theirs = Keys.of(Home.at(site.home)), Keys.of(Home.at(second.home))
    assert ours.master != theirs.master
    for grant in GRANTS:
        held = [
            key_files.read(key_files.path_of(keys.home, grant, CHANGED), keys.masters[grant]) for keys in (ours, theirs)
        ]
        assert held[0] is not None
        assert held[1] is not None
        assert held[0].fingerprint != held[1].fingerprint
    assert not [
        name for name in ("vault", "inbox", "quarantine", "index", "messages", "payments") if _has(site.home, name)
    ]
    with sqlite3.connect(site.home / "access.sqlite") as people:
        users = people.execute("select email from user order by email").fetchall()
    people.close()
    assert users == [(f"admin@{tenant}",) for tenant in sorted(facts["one_time_passwords"])]
    # Each home's log names the other, and is whole.
    for home, name, other in ((site.home, "from", second.home), (second.home, "to", site.home)):
        store = AccessStore.open(Home.at(home))
        (row,) = store.audit_rows(PLATFORM, action="replay", limit=1)
        assert row.detail[name] == str(other)


def _has(home: Path, name: str) -> bool:
    return any(path.is_file() for path in (home / name).rglob("*"))


def test_it_takes_no_feeds_and_status_and_doctor_work_in_it(
    second: Site, replayed: tuple[Site, dict[str, Any]]
) -> None:
    site, _ = replayed
    ran = clinicmart_here("run", "--config", second.config, "--home", site.home)
    assert (ran.code, "takes no feeds" in ran.err) == (2, True)
    ran = clinicmart_here("listen", "--config", second.config, "--home", site.home)
    assert ran.code == 2
    assert clinicmart_here("status", "--home", site.home).code == 0
    doctor = clinicmart_here("doctor", "--home", site.home)
    assert "is damaged" not in doctor.out


def test_a_replay_uses_no_server_of_the_running_home(
    first: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CONTROL", "postgresql://clinicmart:secret@127.0.0.1:5432/people")
    file = tmp_path / "clinicmart.yaml"
    more = (
        'control_database: {postgres: "${CONTROL}"}\n'
        "lineage: {file: lineage.ndjson}\n"
        "mail: {host: smtp.example.org, sender: reports@harbor.example, pages: https://clinics.example}\n"
    )
    file.write_text(first.config.read_text("utf-8") + more, encoding="utf-8")
    config = load_checked_config(file)
    assert None not in (config.control_database, config.lineage, config.mail)
    chosen = apart(config, ["harbor"])
    assert (chosen.control_database, chosen.lineage, chosen.mail) == (None, None, None)
    assert [item.tenant_id for item in chosen.tenants] == ["harbor"]


def asked(site: Site, target: Path, as_of: str, *more: str) -> Ran:
    return clinicmart_here("replay", "--home", site.home, "--out", target, "--as-of", as_of, *more)


def test_what_cannot_be_replayed_is_said_in_one_sentence_and_leaves_nothing(first: Site, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    for target, as_of, words in (
        (there, day_one(first), "is there already; name a new folder"),
        (first.home / "replay", day_one(first), "is in the home"),
        (tmp_path / "new", "2020-01-01", "nothing had landed by 2020-01-01"),
        (tmp_path / "new", "2999-01-01", "is still to come"),
        (tmp_path / "new", "yesterday", "is not a day such as"),
    ):
        ran = asked(first, target, as_of)
        assert (ran.code, len(ran.err.strip().splitlines())) == (2, 1), ran.err
        assert words in ran.err
    assert list(tmp_path.iterdir()) == [there]
    assert list(there.iterdir()) == []


def test_a_landed_file_that_is_gone_is_named_and_nothing_is_left(first: Site, tmp_path: Path) -> None:
    copy = Site(tmp_path / "copy")
    shutil.copytree(first.folder, copy.folder, symlinks=True)
    (copy.home / "config.json").write_text(json.dumps({"format": 1, "file": str(copy.config), "target": "duckdb"}))
    gone = next(copy.home.glob("landing/harbor/*/*.parquet"))
    gone.unlink()
    ran = asked(copy, tmp_path / "new", day_one(first), "--tenant", "harbor")
    assert ran.code == 1
    assert "1 landed files of harbor/" in ran.err
    assert gone.relative_to(copy.home).as_posix() in ran.err
    assert {path.name for path in tmp_path.iterdir()} == {"copy"}
