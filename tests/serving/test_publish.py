"""Publishing: whole versions or none, only what changed, and never the wrong tenant's."""

import os
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from foundation.errors import AccessError, ConfigurationError, PublishError
from serving.model import MetricQuery
from serving.publish import publish as publishing
from serving.publish.publish import current_version, leave, outcome, record_outcome
from serving.versions import retention
from serving.versions.store import files_of, tenant_folder
from tests.serving.small_warehouse import change

ADD_VISIT = """
insert into warehouse.marts.fct_visits
select * replace ('new' as visit_id) from warehouse.marts.fct_visits where tenant_id = 'harbor' and visit_id = 'v0'
"""


def visits(reader, tenant="harbor"):
    return reader(f"admin@{tenant}").query(MetricQuery(metrics=["visits"]))["visits"][0]


def folders(place, tenant="harbor"):
    return sorted(path.name for path in tenant_folder(place.home, tenant).iterdir() if path.is_dir())


def test_only_the_tenant_whose_data_changed_gets_a_new_version(place, reader):
    before = {tenant: current_version(place.home, tenant).version for tenant in ("harbor", "mesa")}
    assert visits(reader) == 270
    change(place.home, ADD_VISIT)
    report = place.publish()
    assert report.published == ("harbor",)
    assert current_version(place.home, "mesa").version == before["mesa"]
    assert current_version(place.home, "harbor").version > before["harbor"]
    assert (visits(reader), visits(reader, "mesa")) == (271, 90)
    assert outcome(place.home, "mesa").outcome == "unchanged"
    assert outcome(place.home, "harbor").run_id == "run-2"


def test_a_changed_value_a_swap_and_a_doubled_row_are_changes(place):
    for sql in (
        "update warehouse.marts.fct_charges set billed_amount = billed_amount + 1 where tenant_id = 'mesa' and charge_id = 'c1'",
        "insert into warehouse.marts.fct_visits select * from warehouse.marts.fct_visits where tenant_id = 'mesa' and visit_id = 'v1'",
        "update warehouse.marts.dim_payers set name = 'Renamed' where tenant_id = 'mesa' and payer_id = 'aetna'",
    ):
        change(place.home, sql)
        assert place.publish().published == ("mesa",), sql
    assert place.publish().published == ()


def test_new_definitions_are_published_with_unchanged_data(place):
    semantic = place.dbt_target / "semantic_manifest.json"
    semantic.write_text(semantic.read_text().replace("What visits means.", "What visits mean now."))
    assert place.publish().published == ("harbor", "mesa")


def test_when_only_the_read_times_changed_the_data_files_are_shared_with_the_old_version(place, reader):
    reader("analyst@harbor")
    old = current_version(place.home, "harbor")
    change(place.home, "update warehouse.health.feed_status set last_read_at = timestamp '2026-04-02 05:00:00'")
    assert place.publish().published == ("harbor", "mesa")
    new = current_version(place.home, "harbor")
    files = [files_of(place.home, "harbor", item.version) for item in (old, new)]
    assert files[0].base.stat().st_ino == files[1].base.stat().st_ino
    assert [path.name for path in files[0].scopes.glob("*.duckdb")] == [
        path.name for path in files[1].scopes.glob("*.duckdb")
    ]
    assert str(reader("admin@harbor").health().feeds["last_read_at"][0]).startswith("2026-04-02")
    assert visits(reader) == 270


def test_a_failed_audit_publishes_nothing_says_why_and_leaves_the_last_version(place, reader):
    old = current_version(place.home, "harbor").version
    change(place.home, ADD_VISIT)
    report = place.publish(audit_failures={"harbor": ["charges do not balance", "two visits overlap"]})
    assert report.stopped == ("harbor",)
    assert current_version(place.home, "harbor").version == old
    assert visits(reader) == 270
    last = outcome(place.home, "harbor")
    assert (last.outcome, last.reason) == ("stopped", "charges do not balance; two visits overlap")
    assert place.publish().published == ("harbor",)
    assert visits(reader) == 271


def test_a_reader_that_is_open_goes_on_reading_its_version(place, reader):
    before = reader("admin@harbor")
    change(place.home, ADD_VISIT)
    place.publish()
    assert before.query(MetricQuery(metrics=["visits"]))["visits"][0] == 270
    assert visits(reader) == 271


KILLED = """
import os, sys
from pathlib import Path
from foundation.home import Home
from serving.publish import publish as publishing
from serving.versions import retention
step, home, target = sys.argv[1:]

def killed(*_, **__):
    os._exit(9)

if step == "copying":
    real = publishing._copy
    def half(source, tenant, path, tables):
        real(source, tenant, path, tables[:2])
        os._exit(9)
    publishing._copy = half
else:
    setattr(publishing, step, killed)
publishing.publish(Home.at(home), dbt_target=Path(target), run_id="killed", tenants=["harbor"])
"""


@pytest.mark.parametrize("step", ["copying", "version_to_json", "_flush", "switch", "record_outcome"])
def test_a_publish_that_is_killed_leaves_a_whole_version_served(place, reader, step):
    old = current_version(place.home, "harbor").version
    change(place.home, ADD_VISIT)
    root = Path(publishing.__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), step, place.home.path, place.dbt_target],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert ran.returncode == 9
    switched = step == "record_outcome"
    assert visits(reader) == (271 if switched else 270)
    assert (current_version(place.home, "harbor").version != old) == switched
    # The next run cleans up and publishes.
    assert place.publish().published == (() if switched else ("harbor",))
    assert visits(reader) == 271
    assert not [name for name in folders(place) if name.startswith(".building")]
    served = current_version(place.home, "harbor").version
    assert max(folders(place)) == served


def test_an_error_while_publishing_is_noted_and_raised(place, monkeypatch, reader):
    change(place.home, ADD_VISIT)
    monkeypatch.setattr(publishing, "_copy", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        place.publish()
    assert outcome(place.home, "harbor").outcome == "failed"
    assert visits(reader) == 270


def test_old_versions_go_when_they_are_neither_among_the_last_three_nor_to_be_kept(place, monkeypatch):
    for number in range(4):
        change(place.home, ADD_VISIT.replace("'new'", f"'new{number}'"))
        place.publish()
    assert len(folders(place)) == 5
    monkeypatch.setattr(retention, "GRACE", timedelta(0))
    place.publish()
    assert len(folders(place)) == 5
    place.publish(keep_days=0)
    kept = folders(place)
    assert len(kept) == 3
    assert kept[-1] == current_version(place.home, "harbor").version


def test_a_tenant_the_warehouse_does_not_know_and_absent_manifests_are_errors(place, tmp_path):
    with pytest.raises(PublishError, match="atlantis"):
        place.publish(tenants=["atlantis"])
    with pytest.raises(ConfigurationError, match=r"manifest\.json"):
        publishing.publish(place.home, dbt_target=tmp_path / "nowhere", run_id="x")
    change(place.home, "drop table warehouse.marts.fct_balances")
    with pytest.raises(PublishError, match="fct_balances"):
        place.publish()


def test_a_table_without_tenant_is_not_published_unless_it_is_shared(place):
    change(place.home, "alter table warehouse.marts.fct_balances drop column tenant_id")
    with pytest.raises(PublishError, match="tenant_id"):
        place.publish()


def test_paths_are_made_of_tenant_ids_alone(place):
    for name in ("../mesa", "Harbor", "", "harbor/../mesa"):
        with pytest.raises(AccessError):
            current_version(place.home, name)
        with pytest.raises(AccessError):
            record_outcome(place.home, name, run_id="x", outcome="failed", reason="")


def test_published_files_are_for_their_owner_alone_and_say_when(place):
    version = current_version(place.home, "harbor")
    files = files_of(place.home, "harbor", version.version)
    for path in (files.base, files.health):
        assert path.stat().st_mode & 0o077 == 0
    assert timedelta(0) <= datetime.now(UTC) - version.published_at < timedelta(hours=1)
    assert version.rows > 300


def test_marts_that_were_built_from_the_same_are_not_read_to_find_out_and_new_definitions_are_published_all_the_same(
    place, reader
):
    first, then = {"harbor": "state 1", "mesa": "state 1"}, {"harbor": "state 2", "mesa": "state 1"}
    change(place.home, ADD_VISIT)
    assert place.publish(built_from=first).published == ("harbor",)
    change(place.home, ADD_VISIT.replace("'new'", "'newer'"))
    assert place.publish(built_from=first).published == ()
    assert visits(reader) == 271
    assert place.publish(built_from=then).published == ("harbor",)
    assert visits(reader) == 272
    assert place.publish(built_from=then).published == ()
    # A caller that does not name the inputs reads the marts.
    change(place.home, ADD_VISIT.replace("'new'", "'newest'"))
    assert place.publish().published == ("harbor",)
    semantic = place.dbt_target / "semantic_manifest.json"
    semantic.write_text(semantic.read_text().replace("What visits means.", "What visits mean now."))
    assert place.publish(built_from=then).published == ("harbor", "mesa")
    assert visits(reader) == 273


def test_a_version_is_left_where_it_is_whole_and_old_ones_go(place):
    change(place.home, ADD_VISIT)
    assert place.publish().published == ("harbor",)
    served = current_version(place.home, "harbor")
    assert leave(place.home, "harbor", run_id="later")
    assert current_version(place.home, "harbor") == served
    last = outcome(place.home, "harbor")
    assert (last.run_id, last.outcome) == ("later", "unchanged")
    files_of(place.home, "harbor", served.version).health.unlink()
    assert not leave(place.home, "harbor", run_id="latest")
    assert outcome(place.home, "harbor") == last
    assert not leave(place.home, "nobody", run_id="latest")
