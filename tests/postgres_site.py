"""A PostgreSQL server of a home with two tenants that share every identifier, built and shown as a run does, and logins for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from dagster_project.postgres_target import BUILD, POSTGRES, target_of, warehouse_server
from dagster_project.workspace import Workspace, load_checked_config
from foundation import duck
from foundation.home import Home
from ingest.ledger import Ledger
from ingest.load.postgres import analyze
from ingest.load.raw_tables import load_warehouse
from ingest.load.reconciliation import reconcile_landed
from serving.metrics.manifests import published_tables, read_manifests
from serving.people.store import AccessStore
from serving.postgres import bi_logins
from serving.postgres import roles as postgres_access
from serving.postgres.served_views import BUILDING, TABLES, serve_built, unprotected
from tests.marts.building import fill

TENANTS = ("harbor", "mesa")
MODELS = (
    "fct_staff_sessions",
    "dim_service_units",
    "dim_patients",
    "dim_providers",
    "dim_tenants",
    "dim_dates",
    "batch",
)
HOURS = {"harbor": 7, "mesa": 11}
UNITS = (("group", None), ("east", "group"), ("west", "group"), ("lab", "east"))
CONFIG = """\
tenants:
  harbor: {name: Harbor, time_zone: America/New_York, feeds: [{name: pm, kind: x12, path: none}]}
  mesa: {name: Mesa, time_zone: America/New_York, feeds: [{name: pm, kind: x12, path: none}]}
warehouse: {}
"""


@dataclass(frozen=True)
class Site:
    """The home, its server as the role that builds, and the logins made; `passwords` are by login."""

    workspace: Workspace
    server: dict[str, str]
    logins: dict[str, str]
    passwords: dict[str, str]

    @contextmanager
    def session(self, who: str) -> Iterator[psycopg.Connection]:
        """A session of a login by its name in `logins`, or of a role."""
        with psycopg.connect(
            make_conninfo(**{**self.server, "user": self.logins.get(who, who)}), autocommit=True
        ) as made:
            yield made

    def ask(self, who: str, query: str, *values: object) -> list[tuple]:
        with self.session(who) as session:
            return session.execute(query, values or None).fetchall()

    def refused(self, who: str, query: str) -> str:
        """The SQLSTATE with which a query fails; fails itself where the query does not, and where the error tells Mesa's hours."""
        with self.session(who) as session, pytest.raises(psycopg.Error) as error:
            session.execute(query).fetchall()
        assert "11" not in str(error.value.diag.message_primary)
        return str(error.value.sqlstate)


def raw_rows(home: Home, workspace: Workspace) -> None:
    with duck.session(home) as connection:
        duck.attach(connection, home.warehouse, alias="warehouse", key=workspace.keys.derive_hex("warehouse"))
        connection.execute("use warehouse")
        connection.execute("delete from raw.tenant")
        for tenant in TENANTS:
            units = [
                {
                    "service_unit_id": unit,
                    "parent_service_unit_id": above,
                    "name": f"{tenant} {unit}",
                    "unit_type": "clinic",
                }
                for unit, above in UNITS
            ]
            shifts = [
                {
                    "staff_shift_id": f"s{n}",
                    "service_unit_id": UNITS[n % 4][0],
                    "provider_id": "p1",
                    "staff_role": "provider",
                    "is_clinical": True,
                    "started_at": f"2026-03-{n + 1:02d} 12:00",
                    "ended_at": f"2026-03-{n + 1:02d} {12 + HOURS[tenant]}:00",
                }
                for n in range(20 if tenant == "harbor" else 25)
            ]
            rows = {
                ("service_unit", "pm"): units,
                ("provider", "pm"): [{"provider_id": "p1", "display_name": f"{tenant} doctor"}],
                ("patient", "pm"): [{"patient_id": f"t{n}", "birth_year": 1950 + n} for n in range(3)],
                ("staff_shift", "pm"): shifts,
            }
            fill(connection, tenant, rows, feeds=("pm",), as_of="2026-04-01")


def build(workspace: Workspace, *, serve: bool = True) -> list[str]:
    """Builds MODELS on the server and shows them; returns what the catalogue says is not protected before that."""
    with target_of(workspace) as target:
        assert target.server is not None
        with workspace.dbt_environment(target.variables):
            ran = workspace.dbt(target.name).cli(
                ["--quiet", "run", "--select", " ".join(f"+{name}" for name in MODELS), *target.arguments],
                target_path=target.dbt_target,
                raise_on_error=False,
            )
            assert ran.wait().is_successful()
        with postgres_access.connect(target.server, doing="look") as connection:
            bare = unprotected(connection, [name + BUILDING for name in TABLES])
        analyze(target.server, [name + BUILDING for name in TABLES])
        manifest, semantic, _ = read_manifests(workspace.dbt_target)
        tables = [table for table in published_tables(manifest, semantic) if table.name in MODELS]
        if serve:
            serve_built(target.server, tables, target.variables[BUILD], citus=workspace.config.warehouse.citus)
    return bare


def served_site(folder: Path, config: str) -> Iterator[Site]:
    file = folder / "clinicmart.yaml"
    file.write_text(config, encoding="utf-8")
    home = Home.at(folder / "home")
    workspace = Workspace(home, load_checked_config(file), target=POSTGRES)
    workspace.remember()
    workspace.prepare_manifest()
    ledger = Ledger(home)
    load_warehouse(home, workspace.keys, ledger, workspace.config)
    reconcile_landed(home, workspace.keys, ledger, None)
    ledger.close()
    raw_rows(home, workspace)
    store = AccessStore.open(home)
    for tenant in TENANTS:
        store.ensure_tenant(tenant, tenant.title())
    with warehouse_server(workspace) as server:
        assert build(workspace) == []
        citus = workspace.config.warehouse.citus
        asked: dict[str, dict] = {
            "harbor": {"tenants": ["harbor"]},
            "mesa": {"tenants": ["mesa"]},
            "east": {"tenants": ["harbor"], "unit_ids": ["east"]},
        }
        if not citus:
            asked["pool"] = {"tenants": TENANTS, "chooses": True}
        made = {
            name: bi_logins.create(server, store, actor="test", citus=citus, **options)
            for name, options in asked.items()
        }
        yield Site(workspace, server, {name: login for name, (login, _) in made.items()}, dict(made.values()))
