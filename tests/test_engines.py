"""Both engines give the same marts and the same figures, of the sample and of the real feeds; a difference on either side is found
and named."""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo

from clinicmart.commands.engines import compare_engines as command
from clinicmart.sample import write_sample
from dagster_project import engines
from dagster_project.engines import EngineComparison, compare_engines, embedded_server
from dagster_project.run import run_pipeline
from dagster_project.workspace import Workspace, load_checked_config
from foundation import duck
from foundation.errors import ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from ingest.load.postgres import MARK, prepare_database, server_of
from serving.engine_check.marts import MartComparison, compare_marts
from serving.engine_check.metrics import MetricDifference, MetricsComparison, Question, compare_metrics, questions_of
from serving.lineage.columns import Field, metric_fields
from serving.metrics.dimensions import DimensionIndex
from serving.metrics.manifests import published_tables, read_manifests, registry_metrics
from serving.metrics.registry import Registry, private_columns
from tests.support import REAL_DATA, clinicmart

pytestmark = pytest.mark.slow


# By all dimensions the command asks some ten thousand questions a tenant, which is for a machine that has the time. Here every
# metric is asked, and every fact by each of its dimensions.
EVERY = 400
# Real feeds are tenants of the same home: if they are beside the project, they are compared with the sample.
REAL = {
    "real-hl7v2": (
        ("hl7v2", None, "hl7v2/converter"),
        ("hl7v2", None, "hl7v2/edge-cases"),
        ("hl7v2", None, "hl7v2/batches"),
    ),
    "real-x12": (
        ("x12", None, "x12/implementation-guide/835_005010X221A1"),
        ("x12", None, "x12/implementation-guide/837_004010X098A1"),
        ("x12", None, "x12/implementation-guide/837_005010X222A2"),
        ("x12", None, "x12/implementation-guide/837_004010X096A1"),
        ("x12", None, "x12/remits/emedny_sample.txt"),
        ("x12", None, "x12/remits/united_healthcare_legacy_sample.txt"),
        ("x12", None, "x12/claims"),
    ),
}


def real_tenants() -> dict[str, object]:
    """The real feeds as tenants of a configuration; none where they are not there."""
    return {
        tenant: {
            "name": tenant,
            "time_zone": "America/New_York",
            "feeds": [
                {"name": f"feed{number}", "kind": kind, "path": str(REAL_DATA / path)}
                | ({"profile": profile} if profile else {})
                for number, (kind, profile, path) in enumerate(feeds)
            ],
        }
        for tenant, feeds in (REAL if REAL_DATA.is_dir() else {}).items()
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Two tenants of 250 appointments each and the real feeds, published; both hold files that nobody can read."""
    folder = tmp_path_factory.mktemp("engines")
    report = write_sample(folder / "sample", tenants=2, appointments=500)
    config = yaml.safe_load(report.config.read_text("utf-8"))
    config["tenants"] |= real_tenants()
    report.config.write_text(yaml.safe_dump(config), encoding="utf-8")
    home = Home.at(folder / "home")
    ran = run_pipeline(home, load_checked_config(report.config))
    assert (ran.outcome, ran.stopped) == ("published", ())
    assert all("does not begin with an ISA segment" in problem for problem in ran.problems)
    return home


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with embedded_server() as parameters:
        yield parameters


def url_of(server: dict[str, str]) -> str:
    return f"postgresql://{server['user']}@/{server['dbname']}?host={server['host']}"


def contents(home: Home) -> dict[str, str]:
    files = (path for path in home.path.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def compared(home: Home, server: dict[str, str]) -> EngineComparison:
    """Everything compared on a server by URL; the home is the same before and after, to the byte."""
    before = contents(home)
    found = compare_engines(Workspace.of_home(home), url_of(server), every=EVERY)
    assert contents(home) == before
    return found


def test_every_published_mart_is_the_same_on_both_engines(compared: EngineComparison, home: Home) -> None:
    manifest = json.loads((home.path / "dbt" / "target" / "manifest.json").read_text("utf-8"))
    published = {
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "marts" and node["config"]["meta"].get("publish")
    }
    marts = {mart.mart: mart for mart in compared.marts}
    assert set(marts) == published
    assert [name for name, mart in marts.items() if not mart.rows_duckdb] == []
    assert [name for name, mart in marts.items() if mart.rows_duckdb != mart.rows_postgres] == []
    assert [mart for mart in compared.marts if not mart.equal] == []


def by_fact(questions: list[Question], index: DimensionIndex) -> set[tuple[str, str | None]]:
    """(fact, dimension) of the questions."""
    return {(fact.name, q.dimension) for q in questions for name in q.metrics for fact in index.facts_of(name)}


def test_every_metric_is_the_same_on_both_engines(compared: EngineComparison, home: Home) -> None:
    manifest, semantic, _ = read_manifests(home.path / "dbt" / "target")
    tables = published_tables(manifest, semantic)
    known = registry_metrics(semantic, tables)
    registry = Registry(tables=tables, metrics=known)
    tenants = len(load_checked_config(home.path.parent / "sample" / "config.yaml").tenants)
    asked = compared.metrics
    assert list(asked.differences) == []
    assert asked.metrics == tuple(sorted(known))
    index = DimensionIndex(semantic, private_columns(tables))
    questions = list(questions_of(registry, index, asked.metrics, EVERY))
    assert asked.questions == tenants * sum(len(question.metrics) for question in questions)
    # Every metric in total, and every fact by each of its dimensions.
    assert {name for question in questions if not question.dimension for name in question.metrics} == set(known)
    whole = list(questions_of(registry, index, asked.metrics, 1))
    assert by_fact(questions, index) == by_fact(whole, index)
    assert asked.figures > asked.questions
    assert compared.equal


@pytest.mark.real_data
@pytest.mark.usefixtures("real_data", "compared")
@pytest.mark.parametrize(
    ("tenant", "mart"),
    [
        ("real-hl7v2", "fct_encounters"),
        ("real-hl7v2", "fct_appointments"),
        ("real-x12", "fct_claims"),
        ("real-x12", "fct_remittance_lines"),
    ],
)
def test_the_real_feeds_are_among_what_is_compared(tenant: str, mart: str, server: dict[str, str]) -> None:
    with psycopg.connect(make_conninfo(**server)) as connection:
        row = connection.execute(f"select count(*) from marts.{mart} where tenant_id = %s", [tenant]).fetchone()
    assert row is not None
    assert row[0] > 0


def test_a_cent_is_found_in_the_metrics_that_rest_on_it_and_only_in_those(
    compared: EngineComparison, home: Home, server: dict[str, str]
) -> None:
    assert compared.equal
    target = home.path / "dbt" / "target"
    manifest, semantic, _ = read_manifests(target)
    known = registry_metrics(semantic, published_tables(manifest, semantic))
    cent = Field("fct_charge_lines", "billed_amount")
    resting = {name for name in known if cent in metric_fields(semantic, name)}
    others = {"claims", "encounters", "appointments", "no_show_rate", "payer_paid_amount"}
    assert resting & others == set()
    change = (
        "update marts.fct_charge_lines set billed_amount = billed_amount {} 0.01 where tenant_id = 'mesa' and charge_line_id = "
        "(select min(charge_line_id) from marts.fct_charge_lines where tenant_id = 'mesa' and line_kind = 'charge')"
    )
    with psycopg.connect(make_conninfo(**server), autocommit=True) as connection:
        assert connection.execute(change.format("+")).rowcount == 1
        found = compare_metrics(
            home, Keys.of(home), target, make_conninfo(**server), sorted(resting | others), every=EVERY
        )
        assert connection.execute(change.format("-")).rowcount == 1
    assert {item.tenant_id for item in found.differences} == {"mesa"}
    differing = {item.metric for item in found.differences}
    assert "billed_amount" in differing
    assert differing <= resting
    (total,) = (i for i in found.differences if (i.metric, i.dimension, i.grain) == ("billed_amount", "", ""))
    assert (total.rows_differing, total.reason) == (1, "")
    by_month = [i for i in found.differences if (i.metric, i.grain) == ("billed_amount", "month")]
    assert [(i.rows_differing, len(i.keys)) for i in by_month] == [(1, 1)]


def test_differences_planted_in_postgres_are_found_by_key(
    compared: EngineComparison, home: Home, server: dict[str, str]
) -> None:
    assert compared.equal
    one = "(select {0} from marts.{1} where tenant_id = 'mesa' order by {0} limit 1)"
    with psycopg.connect(make_conninfo(**server)) as connection:
        cent = connection.execute(
            "update marts.fct_charge_lines set billed_amount = billed_amount + 0.01 where tenant_id = 'mesa' "
            f"and charge_line_id = {one.format('charge_line_id', 'fct_charge_lines')} returning charge_line_id"
        ).fetchone()
        gone = connection.execute(
            "delete from marts.fct_claims where tenant_id = 'mesa' "
            f"and claim_id = {one.format('claim_id', 'fct_claims')} returning claim_id"
        ).fetchone()
        connection.execute(
            "create temp table another as select * from marts.dim_payers where tenant_id = 'mesa' limit 1"
        )
        connection.execute("update another set payer_id = 'only here', payer_key = 'mesa|only here'")
        connection.execute("insert into marts.dim_payers select * from another")
        connection.execute("alter table marts.dim_tenants add column made_up text")
    marts = {
        mart.mart: mart
        for mart in compare_marts(home, Keys.of(home), home.path / "dbt" / "target", make_conninfo(**server))
    }
    assert cent is not None
    assert gone is not None
    different = {name for name, mart in marts.items() if not mart.equal}
    assert different == {"fct_charge_lines", "fct_claims", "dim_payers", "dim_tenants"}
    line = marts["fct_charge_lines"]
    assert (line.rows_differing, line.columns) == (1, ("billed_amount",))
    assert line.keys == ({"tenant_id": "mesa", "charge_line_id": cent[0]},)
    claim = marts["fct_claims"]
    assert (claim.rows_duckdb - claim.rows_postgres, claim.rows_differing, claim.columns) == (1, 1, ())
    assert claim.keys == ({"tenant_id": "mesa", "claim_id": gone[0]},)
    assert marts["dim_payers"].keys == ({"tenant_id": "mesa", "payer_id": "only here"},)
    assert marts["dim_tenants"].one_sided == ("made_up",)


def test_a_difference_planted_in_duckdb_is_shown_and_the_server_of_our_own_is_gone(home: Home, tmp_path: Path) -> None:
    copy = Home.at(shutil.copytree(home.path, tmp_path / "copy"))
    with duck.session(copy) as connection:
        duck.attach(connection, copy.warehouse, alias="warehouse", key=Keys.of(copy).derive_hex("warehouse"))
        row = connection.execute(
            "update warehouse.marts.fct_appointments set payer_class = 'planted' where tenant_id = 'harbor' and "
            "appointment_id = (select min(appointment_id) from warehouse.marts.fct_appointments where tenant_id = 'harbor') "
            "returning appointment_id"
        ).fetchone()
    assert row is not None
    with tempfile.TemporaryDirectory(prefix="engines-") as temporary:
        ran = clinicmart(
            "compare-engines", "--home", copy.path, "--metrics", "claims,appointments", env={"TMPDIR": temporary}
        )
        left = [path.name for path in Path(temporary).glob("clinicmart-*")]
    assert ran.code == 1, ran.out + ran.err
    assert "fct_appointments: differs in payer_class" in ran.out
    assert f"tenant_id=harbor, appointment_id={row[0]}" in ran.out
    assert re.search(r"^1 of \d+ marts differ\.$", ran.out, re.MULTILINE)
    # A key is shown, since it names the answer: here the class that the other engine does not know.
    assert re.search(
        r"^appointments by payer_class \(harbor\): 2 answers differ\n(  payer_class=\w+\n){2}", ran.out, re.MULTILINE
    )
    assert re.search(r"^1 of 2 metrics differ\.$", ran.out, re.MULTILINE)
    assert left == []


@pytest.mark.parametrize("as_json", [False, True])
def test_what_was_asked_and_what_differs_is_printed_without_values(
    as_json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    asked: list[object] = []
    differs = MetricDifference(
        tenant_id="mesa", metric="billed_amount", dimension="payer", rows_differing=7, keys=({"payer": "aetna"},)
    )
    refused = MetricDifference(tenant_id="mesa", metric="claims", grain="month", reason="DuckDB refuses the question")
    found = EngineComparison(
        marts=(MartComparison(mart="fct_claims", rows_duckdb=3, rows_postgres=3, rows_differing=0),),
        metrics=MetricsComparison(
            metrics=("billed_amount", "claims"), questions=1234, figures=99, differences=(differs, refused)
        ),
    )
    monkeypatch.setattr(Workspace, "of_home", lambda home: home)
    monkeypatch.setattr(engines, "compare_engines", lambda *_, metrics, **__: asked.append(metrics) or found)
    names = ["--metrics", "billed_amount, claims", "--home", str(tmp_path)]
    ran = CliRunner().invoke(command, [*names, *(["--json"] if as_json else [])], standalone_mode=False)
    assert (ran.return_value, asked) == (1, [["billed_amount", "claims"]]), ran.output
    if as_json:
        told = json.loads(ran.stdout)
        assert (told["equal"], told["metrics"]["questions"], told["marts"][0]["equal"]) == (False, 1234, True)
        assert told["metrics"]["differences"][0]["keys"] == [{"payer": "aetna"}]
    else:
        assert "billed_amount by payer (mesa): 7 answers differ\n  payer=aetna\n" in ran.stdout
        assert "claims, each month (mesa): DuckDB refuses the question\n2 of 2 metrics differ.\n" in ran.stdout


def test_marts_only_and_names_of_metrics_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    ran = CliRunner().invoke(command, ["--marts-only", "--metrics", "claims", "--home", str(tmp_path)])
    assert ran.exit_code == 2
    assert "cannot be used together" in ran.output


def test_marts_that_are_not_of_todays_raw_tables_are_not_compared(home: Home, tmp_path: Path) -> None:
    copy = Home.at(shutil.copytree(home.path, tmp_path / "copy"))
    workspace = Workspace.of_home(copy)
    workspace.note_loaded("something else")
    with pytest.raises(ClinicmartError, match="start with clinicmart run"):
        compare_engines(workspace, "postgresql://nobody@127.0.0.1:1/none")


def test_a_schema_of_somebody_else_is_refused_and_kept(server: dict[str, str]) -> None:
    with psycopg.connect(make_conninfo(**server), autocommit=True) as connection:
        connection.execute("create database theirs template template0 locale_provider builtin builtin_locale 'C.UTF-8'")
    theirs = {**server, "dbname": "theirs"}
    with psycopg.connect(make_conninfo(**theirs)) as connection:
        connection.execute("create schema marts")
        connection.execute("create table marts.theirs as select 1 as one")
    with pytest.raises(ConfigurationError, match="did not make: marts"):
        prepare_database(theirs, ["marts", "staging"])
    with psycopg.connect(make_conninfo(**theirs)) as connection:
        assert connection.execute("select one from marts.theirs").fetchall() == [(1,)]
        assert connection.execute("select 1 from pg_namespace where nspname = 'staging'").fetchall() == []
        connection.execute(f"comment on schema marts is '{MARK}'")
    prepare_database(theirs, ["marts", "staging"])
    with psycopg.connect(make_conninfo(**theirs)) as connection:
        assert connection.execute("select 1 from pg_tables where schemaname = 'marts'").fetchall() == []


def test_a_database_that_sorts_or_folds_otherwise_is_refused(server: dict[str, str]) -> None:
    with psycopg.connect(make_conninfo(**server), autocommit=True) as connection:
        connection.execute(
            "create database plain template template0 locale_provider builtin builtin_locale 'C' locale 'C'"
        )
    with pytest.raises(ConfigurationError, match="sort text by code point"):
        prepare_database({**server, "dbname": "plain"}, ["marts"])


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://someone:hunter2@127.0.0.1:1/none?sslrootcert=x", "sslrootcert cannot be given"),
        ("postgresql://someone:hunter2@127.0.0.1:1", "lacks dbname"),
        ("postgresql:/someone:hunter2@", "not a PostgreSQL URL"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as refused:
        server_of(url)
    assert "hunter2" not in str(refused.value)
