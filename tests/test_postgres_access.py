"""What a login for BI tools can find out, tried by people who want to know more: two tenants that share every identifier.

The tables are built by the dbt project from a few raw rows on the server of a home, shown as a run shows them, and read by logins
made as the command makes them. Mesa's shifts last 11 hours, Harbor's 7: a 11 anywhere is a leak.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from dagster_project.audit import Audit
from dagster_project.postgres_target import BUILD, POSTGRES, Target, target_of
from foundation.errors import AccessError, ClinicmartError, ConfigurationError
from serving.people.store import AccessStore
from serving.postgres import bi_logins
from serving.postgres import roles as postgres_access
from serving.postgres.served_views import BUILDING, TABLES, distribute, serve_built, unprotected
from tests.postgres_site import CONFIG, HOURS, MODELS, TENANTS, Site, build, served_site

pytestmark = pytest.mark.slow

INSUFFICIENT = "42501"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    # Not below pytest's own folder: where root runs the tests, the server's user may not enter that.
    with tempfile.TemporaryDirectory(prefix="postgres-access-") as folder:
        yield from served_site(Path(folder), CONFIG)


def test_nobody_else_on_the_machine_reads_the_home_in_which_a_server_runs(site: Site) -> None:
    home = site.workspace.home.path
    assert home.stat().st_mode & 0o066 == 0
    assert [
        name for name in ("ledger.sqlite", "access.sqlite", "keys", "warehouse") if (home / name).stat().st_mode & 0o077
    ] == []


def test_a_login_sees_its_tenant_and_no_other(site: Site) -> None:
    for tenant, rows in (("harbor", 20), ("mesa", 25)):
        query = (
            "select tenant_id, count(*), min(staffed_hours), max(staffed_hours) from bi.fct_staff_sessions group by 1"
        )
        assert site.ask(tenant, query) == [(tenant, rows, HOURS[tenant], HOURS[tenant])]
        assert site.ask(tenant, "select distinct tenant_id, name from bi.dim_providers where provider_id = 'p1'") == [
            (tenant, f"{tenant} doctor")
        ]
        assert site.ask(tenant, "select tenant_id from bi.dim_tenants") == [(tenant,)]
        assert site.ask(tenant, "select count(*) from bi.dim_dates")[0][0] > 50_000


def test_a_login_bound_to_units_sees_them_and_those_below_and_no_table_that_does_not_say_whose_unit(site: Site) -> None:
    units = site.ask("east", "select distinct service_unit_id from bi.fct_staff_sessions order by 1")
    assert units == [("east",), ("lab",)]
    assert site.ask("east", "select service_unit_id from bi.dim_service_units order by 1") == [("east",), ("lab",)]
    for closed in ("dim_patients", "dim_providers", "batch"):
        assert site.ask("east", f"select count(*) from bi.{closed}") == [(0,)]
    assert site.ask("east", "select tenant_id from bi.dim_tenants") == [("harbor",)]


def test_columns_that_name_people_are_in_no_view_and_not_granted(site: Site) -> None:
    shown = {
        row[0]
        for row in site.ask(
            "harbor", "select column_name from information_schema.columns where table_name = 'dim_patients'"
        )
    }
    assert "sex" in shown
    assert not shown & {"patient_id", "patient_key", "birth_year", "zip3"}
    granted = site.ask(
        "clinicmart",
        "select count(*) filter (where has_column_privilege(%s, a.attrelid, a.attnum, 'select')), "
        "bool_or(has_table_privilege(%s, a.attrelid, 'select')) "
        "from pg_attribute a where a.attrelid = 'marts.dim_patients'::regclass "
        "and a.attname in ('patient_id', 'patient_key', 'birth_year', 'zip3')",
        site.logins["harbor"],
        site.logins["harbor"],
    )
    assert granted == [(0, False)]


def test_every_served_table_has_forced_row_security_and_a_policy_also_after_it_was_built_again(site: Site) -> None:
    def served() -> dict[str, int]:
        rows = site.ask(
            "clinicmart",
            "select c.relname, c.oid::int from pg_class c where c.relkind = 'r' and c.relnamespace in "
            "('marts'::regnamespace, 'health'::regnamespace) and c.relrowsecurity and c.relforcerowsecurity "
            "and exists (select from pg_policy p where p.polrelid = c.oid and p.polcmd = 'r')",
        )
        return dict(rows)

    before = served()
    assert set(MODELS) <= set(before)
    with site.session("harbor") as session, site.session("harbor") as older:
        older.execute("begin isolation level repeatable read")
        older.execute("select 1 from pg_class limit 1").fetchall()
        # A plan that a session keeps is made again for the table that took the name.
        session.execute("prepare kept as select count(*), max(staffed_hours) from bi.fct_staff_sessions")
        assert session.execute("execute kept").fetchall() == [(20, 7)]
        assert build(site.workspace) == []
        assert session.execute("execute kept").fetchall() == [(20, 7)]
        # A transaction that began before finds the new tables and would find them empty: it gets an error that says so.
        with pytest.raises(psycopg.errors.SerializationFailure, match="replaced after this transaction began"):
            older.execute("select count(*) from bi.fct_staff_sessions")
        older.execute("rollback")
        assert older.execute("select count(*) from bi.fct_staff_sessions").fetchall() == [(20,)]
    after = served()
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    left = site.ask("clinicmart", "select nspname from pg_namespace where nspname like '%%_replaced%%'")
    assert left == []


def test_a_table_that_is_added_to_stays_protected_and_keeps_one_set_of_indexes(site: Site) -> None:
    # The post-hook runs again on a table that stands, as it does where only the rows of touched tenants are replaced.
    with target_of(site.workspace) as target:
        for _ in range(2):
            with site.workspace.dbt_environment(target.variables):
                ran = site.workspace.dbt(target.name).cli(
                    ["--quiet", "run", "--select", "dim_dates batch"],
                    target_path=target.dbt_target,
                    raise_on_error=False,
                )
                assert ran.wait().is_successful()
        with site.session("clinicmart") as session:
            assert unprotected(session, [name + BUILDING for name in TABLES]) == []
            indexes = "select indexdef from pg_indexes where schemaname = 'health_building' and tablename = 'batch'"
            (index,) = session.execute(indexes).fetchone() or ("",)
            assert "(tenant_id" in index
            session.execute("alter table marts_building.dim_dates no force row level security")
        with pytest.raises(ClinicmartError, match=r"marts_building\.dim_dates"):
            serve_built(site.server, (), target.variables[BUILD])
    assert site.ask("harbor", "select count(*) from bi.fct_staff_sessions") == [(20,)]


@pytest.mark.parametrize(
    "probe",
    [
        "select 1 from bi.fct_staff_sessions where 1 / (staffed_hours - 11)::int = 1 and tenant_id = 'mesa'",
        "select 1 from bi.fct_staff_sessions where (tenant_id || staffed_hours::text)::int is null and tenant_id = 'mesa'",
        "select 1 from bi.dim_providers where name::int = 1 and tenant_id = 'mesa'",
        "select 1 from bi.fct_staff_sessions where tenant_id = 'mesa' and regexp_like(tenant_id, repeat('(', staffed_hours::int))",
        "select 1 from bi.fct_staff_sessions a join bi.dim_providers b on b.name::int = a.weekday where a.tenant_id = 'mesa'",
    ],
)
def test_a_condition_that_fails_on_another_tenants_value_never_meets_it(site: Site, probe: str) -> None:
    # The same condition on one's own rows does fail: it is asked, and only of rows that the policy let through.
    assert site.ask("harbor", probe) == []
    own = probe.replace("'mesa'", "'harbor'").replace("- 11", "- 7")
    assert site.refused("harbor", own) in ("22012", "22P02", "2201B")


@pytest.mark.parametrize(
    "attempt",
    [
        "create table bi.mine (a text)",
        "create table public.mine (a text)",
        "create temp table mine (a text)",
        "create schema mine",
        "create function pg_temp.leak(a numeric) returns boolean language plpgsql cost 0.0001 as "
        "'begin raise notice ''%'', a; return true; end'",
        "create function public.leak(text) returns boolean language sql as 'select true'",
        "create operator public.<<< (leftarg = text, rightarg = text, procedure = texteq)",
        "create view bi.mine as select 1",
        "create extension vector",
        "create materialized view bi.mine as select 1",
        "alter table marts.fct_staff_sessions disable row level security",
        "alter table marts.fct_staff_sessions no force row level security",
        "drop policy reader_rows on marts.fct_staff_sessions",
        "create policy mine on marts.fct_staff_sessions using (true)",
        "alter view bi.fct_staff_sessions set (security_invoker = false)",
        "create or replace function access.tenant_id(text) returns text language sql as 'select ''mesa'''",
        "create role mine superuser",
        "alter role current_user bypassrls",
        "grant clinicmart to current_user",
        "insert into access.login_scope (login, tenant_id) values ('me', 'mesa')",
        "update access.login_scope set tenant_id = 'mesa'",
        "select * from access.login_scope",
        "select access.tenant_id('x')",
        "select * from marts.fct_staff_sessions",
        "select patient_id from bi.dim_patients",
        "select * from raw.staff_shift",
        "select * from pg_statistic",
        "select * from pg_authid",
        "select pg_read_file('postgresql.conf')",
        "select pg_ls_dir('.')",
        "select * from pg_stat_file('PG_VERSION')",
        "copy bi.fct_staff_sessions to '/tmp/leak'",
        "copy (select 1) to program 'id'",
        "select lo_import('/etc/passwd')",
        "load 'auto_explain'",
        "set session authorization clinicmart",
        "set session authorization postgres",
        "set role clinicmart",
        "set role postgres",
        "set session_preload_libraries = 'x'",
        "update bi.dim_tenants set name = 'x'",
        "delete from bi.fct_staff_sessions",
    ],
)
def test_what_would_go_round_the_policy_is_refused(site: Site, attempt: str) -> None:
    with site.session("harbor") as session:
        session.execute("set default_transaction_read_only = off")
        with pytest.raises(psycopg.Error) as error:
            session.execute(attempt)
    # Undefined is as good: a schema whose names it may not read.
    assert error.value.sqlstate in (INSUFFICIENT, "42704", "3F000", "42703", "42P01", "0LP01"), str(error.value)


def test_row_security_off_is_an_error_and_shows_nothing(site: Site) -> None:
    with site.session("harbor") as session:
        session.execute("set row_security = off")
        with pytest.raises(psycopg.Error) as error:
            session.execute("select count(*) from bi.fct_staff_sessions")
    assert error.value.sqlstate == INSUFFICIENT


def test_settings_search_path_and_roles_change_nothing_for_a_login_that_is_bound(site: Site) -> None:
    group = postgres_access.readers_of(site.server["dbname"])
    with site.session("harbor") as session:
        count = "select count(*), max(staffed_hours) from bi.fct_staff_sessions"
        session.execute("prepare kept as " + count)
        for trick in (
            "set clinicmart.tenant_id = 'mesa'",
            "select set_config('clinicmart.tenant_id', 'mesa', false)",
            "set search_path = pg_temp, bi, public",
            f"set role {group}",
            "reset role",
            "reset all",
        ):
            session.execute(trick)
            assert session.execute(count).fetchall() == [(20, 7)], trick
            assert session.execute("execute kept").fetchall() == [(20, 7)], trick
        with session.cursor().copy(
            "copy (select tenant_id, staffed_hours from bi.fct_staff_sessions) to stdout"
        ) as copy:
            lines = b"".join(bytes(part) for part in copy).decode().splitlines()
    assert len(lines) == 20
    assert all(line.startswith("harbor") for line in lines)


def test_a_do_block_and_a_cursor_see_what_the_login_sees(site: Site) -> None:
    with site.session("harbor") as session:
        session.execute(
            "do $$ begin perform 1 from bi.fct_staff_sessions where staffed_hours = 11; "
            "if found then raise exception 'leak'; end if; end $$"
        )
        with session.transaction():
            session.execute("declare every cursor for select tenant_id from bi.fct_staff_sessions")
            assert {row[0] for row in session.execute("fetch all from every").fetchall()} == {"harbor"}


def test_a_login_without_a_scope_gets_an_error_everywhere_and_not_an_empty_answer(site: Site) -> None:
    group = postgres_access.readers_of(site.server["dbname"])
    with site.session("clinicmart") as owner:
        owner.execute(f"create role nobody_in_scope login in role {group}")
    try:
        for view in ("fct_staff_sessions", "dim_tenants", "dim_dates", "batch"):
            assert site.refused("nobody_in_scope", f"select count(*) from bi.{view}") == INSUFFICIENT
    finally:
        with site.session("clinicmart") as owner:
            owner.execute("drop role nobody_in_scope")


def test_a_service_sets_its_tenant_for_a_transaction_and_must(site: Site) -> None:
    count = "select tenant_id, count(*) from bi.fct_staff_sessions group by 1"
    assert site.refused("pool", count) == INSUFFICIENT
    with site.session("pool") as session:
        for tenant, rows in (("mesa", 25), ("harbor", 20)):
            with session.transaction():
                session.execute("select set_config('clinicmart.tenant_id', %s, true)", [tenant])
                assert session.execute(count).fetchall() == [(tenant, rows)]
        # The next who gets this connection from the pool has set nothing: the setting is empty, which is no tenant.
        for value in (None, "", "nobody", "mesa' or true --"):
            session.execute("begin")
            if value is not None:
                session.execute("select set_config('clinicmart.tenant_id', %s, true)", [value])
            with pytest.raises(psycopg.Error) as error:
                session.execute(count)
            assert error.value.sqlstate == INSUFFICIENT
            session.execute("rollback")


def test_statistics_of_the_planner_hide_values_and_tell_the_numbers_that_the_page_says_they_tell(site: Site) -> None:
    assert site.ask("harbor", "select count(*) from pg_stats where schemaname in ('marts', 'health')") == [(0,)]
    assert site.ask("harbor", "select count(*) from pg_stats_ext") == [(0,)]
    # What docs/postgres.md says is told: how many rows a table has for all tenants, and how many of them a scan passed over.
    told = site.ask(
        "harbor", "select reltuples::int from pg_class where relname = 'fct_staff_sessions' and relkind = 'r'"
    )
    assert (45,) in told
    plan = "\n".join(
        row[0]
        for row in site.ask("harbor", "explain (analyze, costs off, timing off) select * from bi.fct_staff_sessions")
    )
    assert "mesa" not in plan
    assert set(re.findall(r"Rows Removed by Filter: (\d+)", plan)) <= {"25"}


def test_names_of_logins_and_policies_do_not_tell_other_tenants(site: Site) -> None:
    roles = " ".join(row[0] for row in site.ask("harbor", "select rolname from pg_roles"))
    policies = " ".join(str(row) for row in site.ask("harbor", "select * from pg_policies"))
    assert "mesa" not in roles + policies
    assert site.ask("harbor", "select count(*) from pg_largeobject_metadata") == [(0,)]


def superuser(site: Site, statement: str) -> None:
    with site.session("postgres") as session:
        session.execute(statement)


@pytest.mark.parametrize(
    ("attribute", "undone", "named"),
    [
        ("alter role {0} bypassrls", "alter role {0} nobypassrls", "bypassrls"),
        ("alter role {0} superuser", "alter role {0} nosuperuser", "superuser"),
        ("grant pg_read_all_data to {0}", "revoke pg_read_all_data from {0}", "member of pg_read_all_data"),
    ],
)
def test_a_reader_whom_policies_would_not_bind_is_refused_by_name(
    site: Site, attribute: str, undone: str, named: str
) -> None:
    login = site.logins["harbor"]
    superuser(site, attribute.format(login))
    try:
        with pytest.raises(ConfigurationError, match=f"{login} .*{named}"):
            postgres_access.make_access(site.server)
    finally:
        superuser(site, undone.format(login))
    postgres_access.make_access(site.server)


def test_a_reader_who_may_become_the_owner_is_refused(site: Site) -> None:
    group = postgres_access.readers_of(site.server["dbname"])
    superuser(site, f"create role sneaking in role {group}, clinicmart")
    try:
        with pytest.raises(ConfigurationError, match=r"sneaking .*member of clinicmart"):
            postgres_access.make_access(site.server)
    finally:
        superuser(site, "drop role sneaking")


def test_a_build_that_fails_for_one_tenant_is_shown_to_nobody(site: Site) -> None:
    failed = Audit(
        failures=("test x: 1 rows break it",), failing_rows={"test x: 1 rows break it": "select 'harbor' as tenant_id"}
    )
    # The server is never asked: nothing listens there.
    nowhere = {"host": "/nowhere", "dbname": "warehouse", "user": "clinicmart"}
    target = Target(name=POSTGRES, dbt_target=site.workspace.dbt_target / "none", variables={}, server=nowhere)
    audit = target.finish(site.workspace, failed, succeeded=True)
    assert audit.failures == failed.failures
    # Without the rows that were found it is no one tenant's failure, and all stop.
    assert not audit.failing_rows
    assert target.finish(site.workspace, Audit(), succeeded=False).passed


def test_a_superuser_does_not_build(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="is a superuser"):
        postgres_access.make_access({**site.server, "user": "postgres"})


def test_a_revoked_login_reads_nothing_from_its_next_query_on_and_all_is_audited(site: Site) -> None:
    store = AccessStore.open(site.workspace.home)
    login, password = bi_logins.create(site.server, store, tenants=["harbor"], label="trial", actor="anna")
    verifier = site.ask("postgres", "select rolpassword from pg_authid where rolname = %s", login)[0][0]
    assert verifier.startswith("SCRAM-SHA-256$")
    with psycopg.connect(
        make_conninfo(**{**site.server, "user": login, "password": password}), autocommit=True
    ) as session:
        assert session.execute("select count(*) from bi.fct_staff_sessions").fetchone() == (20,)
        with pytest.raises(AccessError, match="mesa has no login"):
            bi_logins.revoke(site.server, store, login, tenant="mesa", actor="anna")
        bi_logins.revoke(site.server, store, login, tenant="harbor", actor="anna")
        with pytest.raises(psycopg.Error):
            session.execute("select count(*) from bi.fct_staff_sessions")
    assert login not in {item.login for item in bi_logins.logins(site.server)}
    assert site.ask("clinicmart", "select count(*) from pg_roles where rolname = %s", login) == [(0,)]
    done = [(row.action, row.actor) for row in store.audit_rows("harbor", limit=50) if login in json.dumps(row.detail)]
    assert done == [("bi login revoked", "anna"), ("bi login created", "anna")]
    assert password not in str(store.audit_rows("harbor", limit=50))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"tenants": ["nobody"]}, "there is no tenant nobody"),
        ({"tenants": TENANTS}, "belongs to one tenant"),
        ({"tenants": ["harbor"], "unit_ids": ["elsewhere"]}, "harbor has no service unit elsewhere"),
        ({"tenants": ["harbor"], "unit_ids": ["east"], "chooses": True}, "cannot be bound"),
        ({"tenants": TENANTS, "chooses": True, "citus": True}, "on Citus"),
    ],
)
def test_a_login_that_would_stand_for_nothing_is_not_made(site: Site, options: dict, problem: str) -> None:
    before = bi_logins.logins(site.server)
    with pytest.raises(ConfigurationError, match=problem):
        bi_logins.create(site.server, AccessStore.open(site.workspace.home), actor="test", **options)
    assert bi_logins.logins(site.server) == before


STUBS = """
create table public.pg_dist_partition (logicalrelid regclass, said text, was_secured boolean, indexes bigint);
grant all on public.pg_dist_partition to clinicmart;
grant set on parameter "citus.allow_nested_distributed_execution" to clinicmart;
create function public.create_distributed_table(
    table_name regclass, distribution_column text, distribution_type text default 'hash', colocate_with text default 'default'
) returns void language sql as $$
    insert into public.pg_dist_partition
    select table_name, 'by ' || distribution_column || ' with ' || colocate_with, c.relrowsecurity,
        (select count(*) from pg_index where indrelid = table_name)
    from pg_class c where c.oid = table_name
$$;
create function public.create_reference_table(table_name regclass) returns void language sql as $$
    insert into public.pg_dist_partition select table_name, 'reference', c.relrowsecurity, 0 from pg_class c where c.oid = table_name
$$;
"""


def test_on_citus_a_table_is_distributed_with_its_indexes_and_policies_which_hold_no_subquery(site: Site) -> None:
    # Functions by the names of Citus's own write down what they are asked: this shows the statements, not that Citus takes them.
    superuser(site, STUBS)
    try:
        postgres_access.make_access(site.server, citus=True)
        with target_of(site.workspace) as target:
            variables = {**target.variables, "CLINICMART_PG_CITUS": "true"}
            with site.workspace.dbt_environment(variables):
                ran = site.workspace.dbt(target.name).cli(
                    ["--quiet", "run", "--select", "dim_dates batch", *target.arguments],
                    target_path=target.dbt_target,
                    raise_on_error=False,
                )
                assert ran.wait().is_successful()
            with postgres_access.connect(site.server, doing="distribute") as connection:
                built = "select relname from pg_class where relkind = 'r' and relnamespace = %s::regnamespace"
                for schema in ("marts_building", "health_building"):
                    others = {name for (name,) in connection.execute(built, [schema])} - {"dim_dates", "batch"}
                    for name in others:
                        connection.execute(f"drop table {schema}.{name} cascade")
                distribute(connection, ["marts_building", "health_building"])
        said = site.ask("clinicmart", "select logicalrelid::text, said, was_secured, indexes from pg_dist_partition")
        assert {(name, what) for name, what, *_ in said} == {
            ("access.tenant_place", "by tenant_id with default"),
            ("access.login_scope", "reference"),
            ("access.service_unit", "reference"),
            ("access.build", "reference"),
            ("health_building.batch", "by tenant_id with access.tenant_place"),
            ("marts_building.dim_dates", "reference"),
        }
        placed = {name: secured for name, _, secured, _ in said}
        assert placed["health_building.batch"]
        assert placed["marts_building.dim_dates"]
        assert [row[3] for row in said if row[0] == "health_building.batch"] == [1]
        rules = site.ask(
            "clinicmart",
            "select pg_get_expr(polqual, polrelid) from pg_policy where polname = 'reader_rows' "
            "and polrelid in ('health_building.batch'::regclass, 'marts_building.dim_dates'::regclass)",
        )
        assert len(rules) == 2
        assert [rule for (rule,) in rules if "select" in rule.lower() or "access.tenant_id" not in rule] == []
    finally:
        superuser(
            site,
            "drop table public.pg_dist_partition; drop function public.create_distributed_table, public.create_reference_table",
        )
        superuser(site, "drop table if exists access.tenant_place")


@pytest.mark.citus
def test_on_a_citus_cluster_tenants_are_apart_and_a_query_of_one_touches_one_shard(tmp_path: Path) -> None:
    url = os.environ.get("CLINICMART_CITUS_URL")
    if not url:
        pytest.skip("CLINICMART_CITUS_URL names no empty database of a Citus cluster")
    config = CONFIG.replace("warehouse: {}", "warehouse: {postgres: '${CLINICMART_CITUS_URL}', citus: true}")
    for cluster in served_site(tmp_path, config):
        for tenant, rows in (("harbor", 20), ("mesa", 25)):
            count = "select tenant_id, count(*), max(staffed_hours) from bi.fct_staff_sessions group by 1"
            assert cluster.ask(tenant, count) == [(tenant, rows, HOURS[tenant])]
        one = "select count(*) from bi.fct_staff_sessions where tenant_id = 'harbor'"
        assert cluster.ask("mesa", one) == [(0,)]
        # Citus refuses to explain to a reader; it tells what it sends to its nodes.
        sent: list[str] = []
        with cluster.session("harbor") as connection:
            connection.add_notice_handler(lambda notice, sent=sent: sent.append(notice.message_primary or ""))
            connection.execute("set citus.log_remote_commands to on")
            assert connection.execute(one).fetchall() == [(20,)]
        assert len([text for text in sent if text.startswith("issuing SELECT")]) == 1
        # Nodes and shards, asked past the coordinator, are under the same policies.
        on_shards = (
            "select sum(result::int) from run_command_on_shards('marts.fct_staff_sessions', 'select count(*) from %s')"
        )
        assert cluster.ask("harbor", on_shards) == [(20,)]
        on_workers = (
            "select distinct result from run_command_on_workers('select min(tenant_id) || max(tenant_id) from {}')"
        )
        for table in ("marts.fct_staff_sessions", "marts.dim_patients", "health.batch"):
            assert cluster.ask("mesa", on_workers.format(table)) in ([("mesamesa",)], [("",)]), table
        hidden = (
            "select distinct success from run_command_on_shards('marts.dim_patients', 'select min(patient_id) from %s')"
        )
        assert cluster.ask("harbor", hidden) == [(False,)]
        taken = "select distinct success from run_command_on_all_nodes('set role clinicmart')"
        assert cluster.ask("harbor", taken) == [(False,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            cluster.ask("harbor", "select count(*) from access.login_scope")
        # What is built again is distributed, protected and shown as before, and what it replaces is gone.
        assert build(cluster.workspace) == []
        assert cluster.ask("harbor", one) == [(20,)]
        left = "select count(*) from pg_namespace where strpos(nspname, 'replaced') > 0"
        assert cluster.ask(cluster.server["user"], left) == [(0,)]
        kinds = dict(cluster.ask(cluster.server["user"], "select table_name::text, citus_table_type from citus_tables"))
        assert kinds["marts.fct_staff_sessions"] == "distributed"
        assert kinds["marts.dim_dates"] == "reference"
