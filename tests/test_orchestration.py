"""The orchestrator's definitions, a run in process, and an audit that fails."""

import json
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from dagster import (
    AssetCheckEvaluation,
    AssetCheckSeverity,
    DagsterEventType,
    DagsterInstance,
    RunsFilter,
    SkipReason,
    build_schedule_context,
    build_sensor_context,
)

import dagster_project.workspace as workspace_module
from clinicmart.main import cli
from dagster_project.definitions import BUILDING_JOB, READING_JOB, build_definitions
from dagster_project.landing_assets import COVERAGE
from dagster_project.run import RunOutcome, run_pipeline
from dagster_project.run_history import remove_old_runs
from dagster_project.triggers import JOB, TENANTS_TAG
from dagster_project.workspace import DBT_PROJECT, RUN_TAG, Build, Workspace, load_checked_config
from foundation.errors import ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.run_lock import alone, is_held
from ingest.ledger import Ledger, received
from ingest.ledger import run as ledger_run
from serving.publish.publish import DATA, current_version, outcome
from serving.versions.health import published_alerts
from tests.ingest.test_landing import remittance
from tests.support import CLINICMART

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two tenants with the same feed; tests run in it one after the other, each on what the one before left."""
    tmp_path = tmp_path_factory.mktemp("orchestrated")
    for folder in (tmp_path / "835", tmp_path / "mesa_835"):
        folder.mkdir()
        (folder / "a.835").write_text(remittance(1, [("C1", "100.00", "80.00")]))
    file = tmp_path / "clinicmart.yaml"
    file.write_text(
        "tenants:\n"
        "  harbor: {name: Harbor, time_zone: America/New_York, feeds: [{name: remits, kind: x12, path: 835}]}\n"
        "  mesa: {name: Mesa, time_zone: America/Denver, feeds: [{name: remits, kind: x12, path: mesa_835}]}\n"
        "lineage: {file: lineage.ndjson}\n",
        encoding="utf-8",
    )
    return Workspace(Home.at(tmp_path / "home"), load_checked_config(file))


def test_every_feed_model_and_tenant_is_an_asset(workspace: Workspace) -> None:
    graph = build_definitions(workspace).resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert {"harbor/landing/remits", "mesa/landing/remits", "harbor/published", "mesa/published"} <= keys
    manifest = json.loads(workspace.manifest.read_text("utf-8"))
    models = {node["name"] for node in manifest["nodes"].values() if node["resource_type"] in ("model", "seed")}
    assert models <= {key.split("/")[-1] for key in keys}
    published = next(key for key in graph.get_all_asset_keys() if key.to_user_string() == "mesa/published")
    above = {key.to_user_string() for key in graph.get(published).parent_keys}
    assert above
    assert all(key.startswith("warehouse/") for key in above)


def test_a_feed_has_checks_for_reading_for_contracts_and_for_coverage(workspace: Workspace) -> None:
    checks = build_definitions(workspace).resolve_asset_graph().asset_check_keys
    names = {key.name for key in checks if key.asset_key.to_user_string() == "harbor/landing/remits"}
    assert names == {"feed_is_readable", "rows_keep_their_contracts", "feed_brings_what_it_should"}


def test_a_feed_that_stopped_warns_in_the_orchestrator_is_told_by_the_run_and_reaches_the_published_version(
    workspace: Workspace,
) -> None:
    def feed_run(alert: bool) -> tuple[RunOutcome, AssetCheckEvaluation]:
        found = run_pipeline(workspace.home, workspace.config)
        with DagsterInstance.from_config(str(workspace.home.dagster)) as instance:
            entries = instance.all_logs(found.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)
        checks = [entry.dagster_event.asset_check_evaluation_data for entry in entries if entry.dagster_event]
        (check,) = [item for item in checks if item.check_name == COVERAGE and item.asset_key.path[0] == "harbor"]
        assert check.passed == (not alert)
        return found, check

    fine, _ = feed_run(alert=False)
    assert (fine.outcome, fine.alerts) == ("published", ())
    _told_as_lineage(workspace, fine.run_id)
    # A feed that brought rows on every working day for half a year, as the ledger counts them, up to four weeks ago.
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=ago) for ago in range(28, 200) if (today - timedelta(days=ago)).weekday() < 5]
    common = {"batch_id": "b", "entity": "claim", "tenant_id": "harbor", "feed": "remits", "rows": 120}
    ledger = Ledger(workspace.home)
    with ledger.write() as connection:
        connection.execute(sa.insert(received), [common | {"day": day, "arrived_on": day} for day in days])
    ledger.close()
    of_mesa = current_version(workspace.home, "mesa")
    marts = (workspace.dbt_target / "run_results.json").stat().st_mtime_ns
    found, check = feed_run(alert=True)
    # No row came: the accounts of feeds were built, and no mart.
    assert (workspace.dbt_target / "run_results.json").stat().st_mtime_ns == marts
    accounts = json.loads((workspace.home.path / "dbt" / "accounts" / "run_results.json").read_text("utf-8"))["results"]
    models = {item["unique_id"].split(".")[2] for item in accounts if item["unique_id"].startswith("model.")}
    assert "feed_alert" in models
    assert not {name for name in models if name.startswith(("fct_", "dim_", "int_", "stg_"))}
    assert check.severity == AssetCheckSeverity.WARN
    (told,) = found.alerts
    assert told.startswith("harbor: Feed remits stopped: no rows have arrived for ")
    assert found.exit_code == 0
    assert found.outcome == "published"
    version = current_version(workspace.home, "harbor")
    assert published_alerts(workspace.home, version)["kind"].to_list() == ["stopped"]
    # Of the other tenant nothing is new: what it is served stays.
    last = {tenant: outcome(workspace.home, tenant) for tenant in ("harbor", "mesa")}
    assert {tenant: found.outcome for tenant, found in last.items() if found} == {
        "harbor": "published",
        "mesa": "unchanged",
    }
    assert current_version(workspace.home, "mesa") == of_mesa
    assert run_pipeline(workspace.home, workspace.config).outcome == "unchanged"


def test_a_comment_builds_nothing_and_a_setting_of_one_tenant_concerns_that_tenant_alone(workspace: Workspace) -> None:
    file = workspace.config.file
    text = file.read_text("utf-8")
    before = {tenant: current_version(workspace.home, tenant) for tenant in ("harbor", "mesa")}

    def run_with(changed: str) -> tuple[RunOutcome, list[str]]:
        """A run with another text of the configuration; the jobs that it started, newest first."""
        file.write_text(changed, encoding="utf-8")
        config = load_checked_config(file)
        assert Workspace(workspace.home, config).due_build() is Build.NOTHING
        ran = run_pipeline(workspace.home, config)
        with DagsterInstance.from_config(str(workspace.home.dagster)) as instance:
            jobs = [run.job_name for run in instance.get_runs() if run.tags.get(RUN_TAG, run.run_id) == ran.run_id]
        return ran, jobs

    ran, jobs = run_with(f"# nothing but a comment\n{text}")
    assert (ran.outcome, jobs) == ("unchanged", [READING_JOB])
    results = [workspace.home.path / "dbt" / folder / "run_results.json" for folder in ("target", "accounts")]
    built = [path.stat().st_mtime_ns for path in results]
    ran, jobs = run_with(text.replace("path: mesa_835", "path: mesa_835/../mesa_835"))
    # The copies of the ledger's accounts are newer than mesa's version; its figures are the same.
    assert (ran.outcome, jobs) == ("published", [BUILDING_JOB, READING_JOB])
    assert [path.stat().st_mtime_ns for path in results] == built
    after = {tenant: current_version(workspace.home, tenant) for tenant in before}
    assert after["harbor"] == before["harbor"]
    assert after["mesa"].fingerprints[DATA] == before["mesa"].fingerprints[DATA]
    ran, jobs = run_with(text)
    assert ran.outcome == "unchanged"


def _told_as_lineage(workspace: Workspace, run_id: str) -> None:
    """Every job of a run started and completed, and what each wrote the next one read."""
    assert workspace.config.lineage is not None
    assert workspace.config.lineage.file is not None
    lines = workspace.config.lineage.file.read_text("utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    done = {event["job"]["name"]: event for event in events if event["eventType"] == "COMPLETE"}
    assert {event["job"]["name"] for event in events} == set(done)
    own = {"run", "load", "dbt", *(f"{t}/{job}" for t in ("harbor", "mesa") for job in ("land/remits", "publish"))}
    assert own == {name for name in done if not name.startswith("dbt/")}
    assert done["run"]["run"]["runId"] == run_id
    root = {event["run"]["facets"]["parent"]["root"]["run"]["runId"] for name, event in done.items() if name != "run"}
    assert root == {run_id}
    names = {name: {item["name"] for item in event["outputs"]} for name, event in done.items()}
    read = {name: {item["name"] for item in event["inputs"]} for name, event in done.items()}
    assert "harbor/landing/remittance_line" in names["harbor/land/remits"] & read["load"]
    assert "warehouse.raw.remittance_line" in names["load"] & read["dbt/stg_remittance_lines"]
    assert "warehouse.marts.fct_remittance_lines" in names["dbt/fct_remittance_lines"] & read["mesa/publish"]


def test_new_files_start_a_run_once_they_stay_the_same_and_nothing_new_does_not(workspace: Workspace) -> None:
    sensor = build_definitions(workspace).resolve_sensor_def("new_files")
    cursor: str | None = None

    def look() -> bool:
        """One look of the sensor; whether it starts a run."""
        nonlocal cursor
        with DagsterInstance.ephemeral() as instance:
            context = build_sensor_context(instance=instance, cursor=cursor)
            came = sensor(context)
            cursor = context.cursor
        return not isinstance(came, SkipReason)

    # The workspace was landed: opening the orchestrator starts nothing.
    run_pipeline(workspace.home, workspace.config)
    assert [look(), look()] == [False, False]
    growing = workspace.config.file.parent / "835" / "b.835"
    growing.write_text(remittance(2, [("C2", "10.00", "10.00")])[:200])
    assert not look()
    growing.write_text(remittance(2, [("C2", "10.00", "10.00")]))
    assert not look()
    assert [look(), look(), look()] == [True, False, False]
    run_pipeline(workspace.home, workspace.config)
    assert [look(), look()] == [False, False]
    growing.unlink()
    assert [look(), look(), look()] == [False, True, False]


def test_tenants_run_at_their_own_times_and_share_a_run_where_these_are_the_same(workspace: Workspace) -> None:
    file = workspace.config.file.with_name("times.yaml")
    tenants = {
        "bay": ("America/New_York", "runs_at: [13:30, 05:00]"),
        "elm": ("America/New_York", "runs_at: [05:00, 13:30]"),
        "fir": ("Asia/Kolkata", "issuer: FIR"),
        "oak": ("Asia/Kolkata", "runs_at: []"),
    }
    file.write_text(
        "tenants:\n"
        + "".join(
            f"  {tenant}: {{name: {tenant}, time_zone: {zone}, {more}, feeds: [{{name: remits, kind: x12, path: 835}}]}}\n"
            for tenant, (zone, more) in tenants.items()
        )
    )
    definitions = build_definitions(Workspace(workspace.home, load_checked_config(file)))
    repository = definitions.get_repository_def()
    found = {schedule.name: schedule for schedule in repository.schedule_defs}
    assert {name: (schedule.cron_schedule, schedule.execution_timezone) for name, schedule in found.items()} == {
        "daily_America_New_York_0500_1330": (["0 5 * * *", "30 13 * * *"], "America/New_York"),
        "daily_Asia_Kolkata_0500": (["0 5 * * *"], "Asia/Kolkata"),
    }
    # Great Expectations looks at landed rows apart from runs.
    every = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()} - {"data_docs"}
    for name, landed in (("daily_America_New_York_0500_1330", {"bay", "elm"}), ("daily_Asia_Kolkata_0500", {"fir"})):
        with DagsterInstance.ephemeral() as instance:
            context = build_schedule_context(instance=instance, repository_def=repository)
            (request,) = found[name].evaluate_tick(context).run_requests
        assert request.tags[TENANTS_TAG] == ",".join(sorted(landed))
        chosen = {key.to_user_string() for key in request.asset_selection}
        left_out = {f"{tenant}/landing/remits" for tenant in tenants.keys() - landed}
        assert every - chosen == left_out


def test_a_scheduled_run_lands_its_tenants_and_publishes(workspace: Workspace) -> None:
    harbor = workspace.config.only("harbor").tenants[0]
    mesa = replace(workspace.config.tenant("mesa"), runs_at=())
    definitions = build_definitions(replace(workspace, config=replace(workspace.config, tenants=(harbor, mesa))))
    repository = definitions.get_repository_def()
    (schedule,) = repository.schedule_defs
    (workspace.config.file.parent / "835" / "scheduled.835").write_text(remittance(7, [("C7", "10.00", "10.00")]))
    before = {tenant: current_version(workspace.home, tenant) for tenant in ("harbor", "mesa")}
    with DagsterInstance.from_config(str(workspace.home.dagster)) as instance:
        (request,) = schedule.evaluate_tick(
            build_schedule_context(instance=instance, repository_def=repository)
        ).run_requests
        job = definitions.resolve_job_def(JOB)
        ran = job.execute_in_process(instance=instance, asset_selection=request.asset_selection)
    assert ran.success
    after = {tenant: current_version(workspace.home, tenant) for tenant in before}
    assert {tenant for tenant in before if after[tenant] != before[tenant]} == {"harbor"}


def test_a_failed_audit_leaves_the_last_published_version_and_says_why(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {tenant: current_version(workspace.home, tenant) for tenant in ("harbor", "mesa")}
    assert all(before.values())

    broken = tmp_path / "dbt"
    shutil.copytree(DBT_PROJECT, broken, ignore=shutil.ignore_patterns("target", "logs"))
    (broken / "tests").mkdir(exist_ok=True)
    (broken / "tests" / "assert_money_balances_on_purpose_wrongly.sql").write_text(
        "select 1 as wrong from {{ ref('dim_tenants') }}", encoding="utf-8"
    )
    monkeypatch.setattr(workspace_module, "DBT_PROJECT", broken)
    (workspace.config.file.parent / "835" / "c.835").write_text(remittance(3, [("C3", "10.00", "10.00")]))
    second = run_pipeline(workspace.home, workspace.config)
    assert second.outcome == "stopped"
    assert second.exit_code == 1
    assert "assert_money_balances_on_purpose_wrongly" in second.problems[-1]
    assert {tenant: current_version(workspace.home, tenant) for tenant in before} == before
    last = outcome(workspace.home, "harbor")
    assert last is not None
    assert last.outcome == "stopped"
    assert "assert_money_balances_on_purpose_wrongly" in last.reason

    monkeypatch.setattr(workspace_module, "DBT_PROJECT", DBT_PROJECT)
    third = run_pipeline(workspace.home, workspace.config)
    assert (third.outcome, third.problems) == ("published", ())
    after = current_version(workspace.home, "harbor")
    assert after is not None
    assert after.version != before["harbor"].version

    with DagsterInstance.from_config(str(workspace.home.dagster)) as instance:
        builds = instance.get_runs(RunsFilter(job_name=BUILDING_JOB), limit=2)
        assert [run.status.value for run in builds] == ["SUCCESS", "FAILURE"]
        assert [run.tags[RUN_TAG] for run in builds] == [third.run_id, second.run_id]


def test_a_project_that_does_not_parse_is_the_end_of_the_run_in_every_record(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "dbt"
    shutil.copytree(DBT_PROJECT, broken, ignore=shutil.ignore_patterns("target", "logs"))
    (broken / "dbt_project.yml").write_text("name: [", encoding="utf-8")
    monkeypatch.setattr(workspace_module, "DBT_PROJECT", broken)
    with pytest.raises(ClinicmartError):
        run_pipeline(workspace.home, workspace.config)
    ledger = Ledger(workspace.home)
    (last,) = ledger.rows(sa.select(ledger_run).order_by(ledger_run.c.started_at.desc()).limit(1))
    ledger.close()
    assert (last["outcome"], bool(last["problem"]), last["ended_at"] is None) == ("stopped", True, False)
    told = outcome(workspace.home, "harbor")
    assert told is not None
    assert (told.run_id, told.outcome) == (last["run_id"], "stopped")
    monkeypatch.setattr(workspace_module, "DBT_PROJECT", DBT_PROJECT)
    assert run_pipeline(workspace.home, workspace.config).outcome == "unchanged"


def test_a_build_that_the_page_repeats_is_of_the_same_run(workspace: Workspace) -> None:
    definitions = build_definitions(workspace)
    assert {job.name for job in definitions.get_repository_def().get_all_jobs()}.isdisjoint({READING_JOB})
    run_id = run_pipeline(workspace.home, workspace.config).run_id
    with DagsterInstance.from_config(str(workspace.home.dagster)) as instance:
        job = definitions.resolve_job_def(BUILDING_JOB)
        assert job.execute_in_process(instance=instance, tags={RUN_TAG: run_id}).success
        alone_by_hand = job.execute_in_process(instance=instance)
    ledger = Ledger(workspace.home)
    runs = {row["run_id"] for row in ledger.rows(sa.select(ledger_run.c.run_id))}
    ledger.close()
    assert {run_id, alone_by_hand.run_id} <= runs


def test_records_and_logs_of_old_runs_go_and_those_of_new_ones_stay(workspace: Workspace) -> None:
    logs = workspace.home.folder("logs")
    with DagsterInstance.from_config(str(workspace.home.dagster)) as instance:
        runs = {run.run_id for run in instance.get_runs()}
        assert runs
        assert remove_old_runs(workspace.home, instance, 90) == 0
        assert {run.run_id for run in instance.get_runs()} == runs
        before = set(logs.glob("run-*.log"))
        left = logs / "run-of-an-earlier-release.log"
        left.touch()
        os.utime(left, (0, 0))
        assert remove_old_runs(workspace.home, instance, 90) == 0
        assert set(logs.glob("run-*.log")) == before
        under_way = instance.create_run_for_job(build_definitions(workspace).resolve_job_def(JOB))
        assert remove_old_runs(workspace.home, instance, 90, now=datetime.now(UTC) + timedelta(days=91)) == len(runs)
        assert [run.run_id for run in instance.get_runs()] == [under_way.run_id]
        assert not instance.all_logs(min(runs))
        instance.delete_run(under_way.run_id)
    assert not set(logs.glob("run-*.log"))


def test_two_runs_in_one_home_do_not_meet(workspace: Workspace) -> None:
    import fcntl

    with (workspace.home.path / "run.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert is_held(workspace.home)
        with pytest.raises(ClinicmartError, match="another run is under way"):
            run_pipeline(workspace.home, workspace.config)
    assert not is_held(workspace.home)


def test_steps_of_two_runs_take_turns_and_tenants_are_landed_side_by_side(workspace: Workspace) -> None:
    moments: list[str] = []

    def at_work(name: str, tenant: str | None) -> None:
        with workspace.step(tenant):
            moments.append(f"{name} begins")
            time.sleep(0.3)
            moments.append(f"{name} ends")

    def both(one: str | None, other: str | None) -> list[str]:
        moments.clear()
        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(at_work, "first", one)
            time.sleep(0.1)
            assert is_held(workspace.home)
            second = threads.submit(at_work, "second", other)
        first.result(), second.result()
        return [moment.split()[1] for moment in moments]

    assert both("harbor", "mesa") == ["begins", "begins", "ends", "ends"]
    for one, other in (("harbor", "harbor"), (None, "harbor"), ("harbor", None), (None, None)):
        assert both(one, other) == ["begins", "ends"] * 2
    assert not is_held(workspace.home)


def test_a_run_that_is_interrupted_says_so_and_leaves_what_is_served(workspace: Workspace) -> None:
    before = current_version(workspace.home, "harbor")
    (workspace.config.file.parent / "835" / "interrupted.835").write_text(remittance(9, [("C9", "10.00", "10.00")]))
    run = subprocess.Popen(
        [str(CLINICMART), "run", "--config", str(workspace.config.file), "--home", str(workspace.home.path)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # As in a terminal; a process that starts tests in the background ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert run.stderr is not None
    for line in run.stderr:
        if "mesa/remits" in line or "raw tables" in line:
            break
    os.killpg(run.pid, signal.SIGINT)
    said = run.stderr.read()
    assert run.wait(timeout=600) == 1
    assert "the run was interrupted" in said, said
    assert current_version(workspace.home, "harbor") == before
    ledger = Ledger(workspace.home)
    last = ledger.last_run()
    ledger.close()
    assert last is not None
    assert last["outcome"] == "stopped"


def test_status_says_of_a_run_that_was_killed_that_it_did_not_end(workspace: Workspace) -> None:
    ledger = Ledger(workspace.home)
    ledger.start_run("killed", str(workspace.config.file))
    asked = ["status", "--home", str(workspace.home.path)]
    (line,) = [line for line in CliRunner().invoke(cli, asked).output.splitlines() if line.startswith("Last run")]
    assert "did not finish" in line
    assert "Start a new run" in line
    with alone(workspace.home):
        (line,) = [line for line in CliRunner().invoke(cli, asked).output.splitlines() if line.startswith("Last run")]
        assert line.endswith("under way")
    ledger.end_run("killed", "stopped", "the run was killed")
    ledger.close()


def test_a_home_in_which_nothing_ran_has_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing has run in this home"):
        Workspace.of_home(Home.at(tmp_path / "new"))
