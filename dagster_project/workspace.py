"""What a run works on: a home, a configuration, and the dbt project with its state in the home."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster_project.dbt_process import PARENT_VARIABLE
from dagster_project.dbt_project import (
    DBT_MODULE,
    DBT_PROGRAM,
    DBT_PROJECT,
    RUN_VARIABLES,
    TARGET,
    DbtProject,
    is_parsed,
)
from dagster_project.lineage_events import Emitter
from data_contracts import load_contracts
from foundation import duck
from foundation.config import Config, Feed, load_config
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.kept_files import ConfigurationRecord, read_configuration_record, read_derived, write_derived
from foundation.keys import Keys
from foundation.run_lock import step
from ingest.landing.side_by_side import SideBySide
from ingest.ledger import Ledger
from ingest.sources.files import state_of_files
from serving.people.control_server import adopt
from serving.versions.store import record_outcome

if TYPE_CHECKING:
    from dagster import AssetExecutionContext
    from dagster_dbt import DbtCliResource

    from ingest.landing.checkpoints import Checked, Due

HOME_VARIABLE = "CLINICMART_HOME"
LOADED = "_loaded"
BUILT = "_built"
BUILT_TENANTS = "_built_tenants"
# On the orchestrator's run that builds and publishes: the run of the ledger.
RUN_TAG = "clinicmart/run"
AUDITED = "_audited"


def load_checked_config(file: str | Path) -> Config:
    """The configuration, with entity names of `system_of_record` checked against the contracts."""
    return load_config(file, entities=frozenset(load_contracts()))


class Build(Enum):
    """What dbt has to build: everything again; the tenants with new rows; only the tables over the ledger's accounts, because no tenant
    has new rows but messages about feeds changed; nothing."""

    EVERYTHING = "everything"
    TOUCHED = "touched"
    ACCOUNTS = "accounts"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Workspace:
    """One home and the configuration that runs on it."""

    home: Home
    config: Config
    target: str = TARGET
    full_refresh: bool = False
    accept_deletions: bool = False
    # Lands some feeds ahead of the steps that ask for them, in a run by hand.
    ahead: SideBySide | None = None
    # False where the rows are those of another home, and nothing is asked of feeds (`clinicmart replay`).
    reads_feeds: bool = True
    # The ledger's run, where it is in several runs of the orchestrator.
    run_id: str | None = None

    @classmethod
    def of_home(cls, home: Home) -> "Workspace":
        """The workspace of the home's last run. Raises ConfigurationError where nothing ran in it."""
        noted = read_configuration_record(home.path)
        if not noted.file:
            raise ConfigurationError(f"{home.path}: nothing has run in this home; start with clinicmart run --config F")
        return cls(home, load_checked_config(noted.file), target=noted.target)

    @classmethod
    def of_environment(cls) -> "Workspace":
        """The workspace that the variable CLINICMART_HOME names; the orchestrator's processes start from it."""
        return cls.of_home(Home.at(os.environ.get(HOME_VARIABLE)))

    def run_id_of(self, context: "AssetExecutionContext") -> str:
        """The ledger's run that a step belongs to: also where the orchestrator's page repeats the second part of a run."""
        return self.run_id or context.run.tags.get(RUN_TAG) or context.run.run_id

    def remember(self) -> None:
        """Notes the configuration's path and the target in the home, for `of_home`, and gives every tenant its keys.

        Raises ConfigurationError where the people of the home are in another database than the configuration names.
        """
        self.home.note_format()
        adopt(self.home, self.config.control_database)
        # Before anything is landed: a file that changes while a run reads it is looked at again.
        _ = self.states_before
        self.keys.add_tenants([tenant.tenant_id for tenant in self.config.tenants])
        ConfigurationRecord(file=str(self.config.file), target=self.target).write(self.home.path / "config.json")

    @cached_property
    def states_before(self) -> dict[tuple[str, str], str]:
        """(tenant, feed) to the state of its files as this workspace first saw them; feeds without files are absent."""
        feeds = [feed for tenant in self.config.tenants for feed in tenant.feeds if feed.path and self.reads_feeds]
        return {(feed.tenant_id, feed.name): state_of_files(feed) for feed in feeds}

    def landed_state(self, feed: Feed) -> str | None:
        """The state of a feed's files that was landed last; None where it is not known."""
        state: str | None = read_derived(self._landed(feed)).get("files")
        return state

    def note_landed(self, feed: Feed) -> None:
        """Notes that a feed's files were landed as they were when this workspace first saw them."""
        state = self.states_before.get((feed.tenant_id, feed.name))
        if state is not None and state != self.landed_state(feed):
            write_derived(self._landed(feed), {"files": state})

    def _landed(self, feed: Feed) -> Path:
        return self.home.folder("dagster", "landed", feed.tenant_id) / f"{feed.name}.json"

    @cached_property
    def keys(self) -> Keys:
        return Keys.of(self.home)

    @cached_property
    def lineage(self) -> Emitter:
        """Where OpenLineage events of this workspace's runs go; does nothing where the configuration wants none."""
        return Emitter(self.config.lineage)

    @property
    def dbt_target(self) -> Path:
        return self.home.folder("dbt", "target")

    @property
    def manifest(self) -> Path:
        return self.dbt_target / "manifest.json"

    @property
    def _variables(self) -> dict[str, str]:
        """Environment variables that dbt's project and connections read (`dbt/profiles.yml`, `foundation/dbt_warehouse`); dbt keeps
        DBT_ENV_SECRET_* out of its logs."""
        return {
            **RUN_VARIABLES,
            PARENT_VARIABLE: str(os.getpid()),
            "CLINICMART_WAREHOUSE": str(self.home.warehouse),
            "CLINICMART_EXTENSIONS": str(duck.install_extension(self.home)),
            "CLINICMART_TMP": str(self.home.folder("tmp")),
            "DBT_ENV_SECRET_WAREHOUSE_KEY": self.keys.derive_hex("warehouse"),
            "DBT_LOG_PATH": str(self.home.folder("logs", "dbt")),
            # A line for every model, not every step of dbt's own: writing those takes an eighth of a build's time.
            "DBT_LOG_LEVEL_FILE": "info",
        }

    @contextmanager
    def dbt_environment(self, more: Mapping[str, str] | None = None) -> Iterator[None]:
        """`_variables` as this process's environment, `more` over them."""
        values = {**self._variables, **(more or {})}
        before = {name: os.environ.get(name) for name in values}
        os.environ.update(values)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def dbt(self, target: str = TARGET) -> "DbtCliResource":
        """dbt on our project and a target of `dbt/profiles.yml`, run by this environment's own dbt; it ends with this process."""
        return _dbt(DBT_PROJECT, target)

    @cached_property
    def project(self) -> DbtProject:
        return DbtProject(DBT_PROJECT)

    @property
    def project_fingerprint(self) -> str:
        """Changes whenever the dbt project does, or a version of what builds it."""
        return self.project.fingerprint

    def prepare_manifest(self) -> Path:
        """Parses the dbt project where the home's manifests are absent, torn (dbt writes them in place) or of other files; returns the
        manifest's path."""
        stamp = self.dbt_target / "parsed.json"
        if read_derived(stamp).get("project") != self.project_fingerprint or not is_parsed(self.dbt_target):
            self.project.parse(self.dbt_target)
            write_derived(stamp, {"project": self.project_fingerprint})
        return self.manifest

    @contextmanager
    def step(self, tenant_id: str | None = None) -> Iterator[Ledger]:
        """The ledger, while no other step of any run works in this home, or none that is not the landing of another tenant: a run by
        hand and one by the schedule may meet."""
        with step(self.home, tenant_id):
            ledger = Ledger(self.home)
            try:
                yield ledger
            finally:
                ledger.close()

    def is_current(self) -> bool:
        """Whether marts were built, passed, and were published for every tenant, from this dbt project, these settings and what the raw
        tables hold now."""
        return self.marts_are_current() and all(self.is_published(tenant.tenant_id) for tenant in self.config.tenants)

    def is_published(self, tenant_id: str) -> bool:
        """Whether a tenant's served version was published from this dbt project, the tenant's settings and what the raw tables and the
        ledger hold of it now."""
        return read_derived(self._stamp(tenant_id)) == self._build_state(tenant_id)

    def marts_are_current(self) -> bool:
        """Whether the marts were built and passed from this dbt project and what the raw tables hold now. What models read of the
        configuration is in the raw tables."""
        return read_derived(self._stamp(BUILT)) == self._build_state()

    def due_build(self) -> Build:
        """What dbt has to build now."""
        # Without a tenant whose marts stand there is nothing to keep: tables are made again.
        if self.full_refresh or not self.built_tenants():
            return Build.EVERYTHING
        if self.marts_are_current():
            return Build.NOTHING
        loaded = read_derived(self._stamp(LOADED)).get("tenants", {})
        # On PostgreSQL a build begins with empty schemas.
        only_accounts = loaded == self.built_tenants() and self.target == TARGET
        return Build.ACCOUNTS if only_accounts else Build.TOUCHED

    def note_loaded(
        self, state: str, tenants: Mapping[str, str] | None = None, standings: Mapping[str, str] | None = None
    ) -> None:
        """Records the state of the raw tables, in total and for each tenant (`ingest.load.raw_tables.Loaded`)."""
        noted = {"state": state, "tenants": dict(tenants or {}), "standings": dict(standings or {})}
        write_derived(self._stamp(LOADED), noted)

    def built_tenants(self) -> dict[str, str]:
        """Tenant to the state of its raw rows from which this dbt project built its marts on this target, which passed; without those whose
        build was begun and did not pass since. Empty where everybody is to be built."""
        noted = read_derived(self._stamp(BUILT_TENANTS))
        same = noted.get("project") == self.project_fingerprint and noted.get("target", TARGET) == self.target
        return dict(noted["tenants"]) if same else {}

    def built_from(self, tenant_id: str) -> dict[str, str]:
        """By tenant, a value that changes whenever the tenant's marts may change; nothing with --full-refresh, which trusts no
        state."""
        built = {} if self.full_refresh else self.built_tenants()
        return {t: f"{self.target} {self.project_fingerprint} {state}" for t, state in built.items() if t == tenant_id}

    def _note_built_tenants(self, tenants: Mapping[str, str]) -> None:
        noted = {"project": self.project_fingerprint, "target": self.target, "tenants": dict(tenants)}
        write_derived(self._stamp(BUILT_TENANTS), noted)

    def note(self, stage: str) -> None:
        """Notes that a stage (BUILT, or a tenant's id once it is published) was reached from what the raw tables hold now."""
        state = self._build_state(None if stage == BUILT else stage)
        write_derived(self._stamp(stage), state)

    def note_built(self, failures: Mapping[str, Sequence[str]]) -> None:
        """Notes that the marts were built from what the raw tables hold now, and why those of some tenants did not pass: these are
        built again next time."""
        write_derived(self._stamp(AUDITED), {"failures": {t: list(f) for t, f in failures.items()}})
        loaded = read_derived(self._stamp(LOADED)).get("tenants", {})
        self._note_built_tenants({tenant: state for tenant, state in loaded.items() if tenant not in failures})
        for tenant in failures:
            self._stamp(tenant).unlink(missing_ok=True)
        if not failures:
            self.note(BUILT)

    def audit_failures(self, tenant_id: str) -> tuple[str, ...]:
        """Why the marts of a tenant, as they were built last, may not be published."""
        return tuple(read_derived(self._stamp(AUDITED)).get("failures", {}).get(tenant_id, ()))

    def unbuild(self, tenant_id: str) -> None:
        """What was built for a tenant must not be published: it is checked and built again next time, and till then not everything
        is current."""
        self._note_built_tenants({t: state for t, state in self.built_tenants().items() if t != tenant_id})
        for stage in (BUILT, tenant_id):
            self._stamp(stage).unlink(missing_ok=True)

    def forget(self, *, everybody: bool) -> None:
        """Marks tenants as not built before dbt starts, so that a killed build is repeated: those whose raw rows changed since
        their last build, or `everybody`."""
        loaded = read_derived(self._stamp(LOADED)).get("tenants", {})
        kept = {} if everybody else {t: s for t, s in self.built_tenants().items() if loaded.get(t) == s}
        self._note_built_tenants(kept)
        changing = [tenant.tenant_id for tenant in self.config.tenants if tenant.tenant_id not in kept]
        for stage in (BUILT, AUDITED, *changing):
            self._stamp(stage).unlink(missing_ok=True)

    def due_checkpoints(self, *, every: bool = False) -> "list[Due]":
        """The checkpoints of landed rows that are due, or `every` one."""
        from ingest.landing.checkpoints import due_checkpoints

        tenants = [tenant.tenant_id for tenant in self.config.tenants]
        with closing(Ledger(self.home)) as ledger:
            return due_checkpoints(self.home, ledger, tenants, every=every)

    def check_landed(self, *, every: bool = False) -> "list[Checked]":
        """Runs the checkpoints that are due, or `every` one, and writes their Data Docs."""
        from ingest.landing.checkpoints import run_checkpoints

        return run_checkpoints(self.home, self.keys, self.due_checkpoints(every=every))

    def record_for_all(self, run_id: str, outcome: str, reasons: Mapping[str, str] | None = None) -> None:
        """Tells every tenant's people, on Data health, how the run ended for them."""
        for tenant in self.config.tenants:
            reason = (reasons or {}).get(tenant.tenant_id, "")
            record_outcome(self.home, tenant.tenant_id, run_id=run_id, outcome=outcome, reason=reason)

    def _stamp(self, stage: str) -> Path:
        return self.home.folder("dbt", "stamps") / f"{stage}.json"

    def _build_state(self, tenant_id: str | None = None) -> dict[str, Any]:
        noted = read_derived(self._stamp(LOADED))
        state: dict[str, Any] = {"project": self.project_fingerprint}
        if tenant_id is None:
            state |= {"loaded": noted.get("state")}
            if self.target != TARGET:
                state |= {"server": self.config.warehouse.digest}
        else:
            configuration = self.config.tenant(tenant_id).digest(self.config.file.parent)
            state |= {"loaded": noted.get("standings", {}).get(tenant_id), "configuration": configuration}
        return state if self.target == TARGET else {**state, "target": self.target}


@cache
def _dbt(project: Path, target: str) -> "DbtCliResource":
    from dagster_dbt import DbtCliResource
    from packaging.version import Version

    class Dbt(DbtCliResource):
        @cached_property
        def _cli_version(self) -> Version:
            # The library would ask the executable, which takes two seconds.
            return Version(version("dbt-core"))

    return Dbt(
        project_dir=str(project),
        profiles_dir=str(project),
        target=target,
        dbt_executable=DBT_PROGRAM,
        global_config_flags=list(DBT_MODULE),
    )
