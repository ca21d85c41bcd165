"""A home whose marts are those of an earlier day, rebuilt from the landed batches and the ledger of another home.

    done = replay(home, config, Path("october"), as_of="2026-10-31", actor="command line: ann")

No feed is read: the batches that had landed by then are written under keys of the new home, then loaded, built, tested and published as
in any run. The new home is made beside the other one and gets its name when it is whole. It has keys, people and an audit log that open
nothing in the other home. docs/replay.md says what it holds.
"""

import shutil
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from clinicmart.pipeline import new_administrators
from dagster_project.run import RunOutcome, build_landed
from foundation.config import Config
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.key_masters import PROVIDER
from foundation.keys import Keys
from foundation.logs import progress
from foundation.removed_tenants import RemovedTenants
from foundation.replays import RECORD, FirstLoad, ReplayRecord, moment_of, new_folder
from foundation.run_lock import landing_paused
from ingest.ledger import Ledger
from ingest.replay.landed_files import check_there, take_files
from ingest.replay.ledger_as_of import first_landed_at, first_loads, take_ledger
from serving.people.audit_anchor import own_files
from serving.people.principal import PLATFORM
from serving.people.store import AccessStore
from serving.versions.retention import version_served_at
from serving.versions.same_rows import SameRows, compare_versions
from serving.versions.store import current_version
from serving.versions.store import outcome as last_outcome


@dataclass(frozen=True, kw_only=True)
class TenantReplayed:
    """One tenant of a replay. `moment` (UTC) is up to when its batches count; `published_at` (UTC) is of the version that its people saw
    then, and `same` the comparison with it: both None where there was none or it is no longer kept. `problem` says why the tenant is not
    published."""

    tenant_id: str
    moment: datetime
    batches: int
    rows: int
    first_loads: tuple[FirstLoad, ...]
    published_at: datetime | None = None
    same: SameRows | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """The result: the new home, its tenants, tenants that are left out with the reason, the configuration file, and the one-time
    passwords of the new home by tenant."""

    home: Home
    as_of: str
    tenants: tuple[TenantReplayed, ...]
    left_out: Mapping[str, str]
    config_file: Path
    passwords: Mapping[str, str]
    outcome: RunOutcome


def replay(home: Home, config: Config, target: Path, *, as_of: str, actor: str) -> Replayed:
    """Rebuilds the marts as of a day, a moment or a version (`foundation.replays.moment_of`) into the new folder `target`.

    A tenant that could not be published is named in the result. Raises ConfigurationError where the target exists or is in the home, the
    text names no past moment, or nothing had landed by then; ClinicmartError where landed files are missing. Then nothing is left of the
    new folder.
    """
    folder = new_folder(target)
    if folder.is_relative_to(home.path):
        raise ConfigurationError(f"{folder} is in the home; name a folder beside it")
    Keys.whole(home)
    moments, left_out = _moments(home, config, as_of)
    chosen = apart(config, moments)
    detail = {"to": str(folder), "as_of": as_of, "tenants": sorted(moments)}
    AccessStore.open(home).audit(PLATFORM, actor, "replay", detail=detail)
    building = folder.with_name(f".{folder.name}.replaying")
    shutil.rmtree(building, ignore_errors=True)
    building.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        new = Home.at(building)
        with own_files():
            batches = _take(home, new, moments, as_of)
            outcome = build_landed(new, chosen)
            passwords = new_administrators(new, chosen)
            AccessStore.open(new).audit(PLATFORM, actor, "replay", detail={"from": str(home.path), "as_of": as_of})
        tenants = tuple(_compared(home, new, name, moment, batches[name]) for name, moment in moments.items())
        building.rename(folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return Replayed(
        home=Home.at(folder),
        as_of=as_of,
        tenants=tenants,
        left_out=left_out,
        config_file=config.file,
        passwords=passwords,
        outcome=outcome,
    )


def apart(config: Config, tenants: Collection[str]) -> Config:
    """The configuration for a home beside the running one: some tenants, and nothing that the running home shares with others. Its people
    may be on a server, its lineage and mails go elsewhere."""
    chosen = tuple(item for item in config.tenants if item.tenant_id in tenants)
    return replace(config, tenants=chosen, lineage=None, mail=None, control_database=None)


def _moments(home: Home, config: Config, as_of: str) -> tuple[dict[str, datetime], dict[str, str]]:
    """Tenant to its moment (UTC), and tenants that have nothing of that day with the reason. Raises ConfigurationError where none has."""
    with closing(Ledger(home)) as ledger:
        first = first_landed_at(ledger)
    moments, left_out = {}, {}
    for tenant in config.tenants:
        moment, landed_at = moment_of(as_of, tenant.time_zone), first.get(tenant.tenant_id)
        if landed_at is None:
            left_out[tenant.tenant_id] = "nothing has landed"
        elif moment < landed_at:
            left_out[tenant.tenant_id] = f"its first batch landed on {landed_at:%d %b %Y %H:%M} UTC"
        else:
            moments[tenant.tenant_id] = moment
    if not moments:
        reasons = "; ".join(f"{tenant_id}: {reason}" for tenant_id, reason in left_out.items())
        raise ConfigurationError(f"{home.path}: nothing had landed by {as_of} ({reasons}); name a later day")
    for tenant_id, removal in RemovedTenants.of(home).tenants.items():
        left_out[tenant_id] = f"the tenant was removed on {removal.begun_at:%d %b %Y}"
    return moments, left_out


def _take(home: Home, new: Home, moments: Mapping[str, datetime], as_of: str) -> dict[str, tuple[int, int]]:
    """Takes ledger and landed files into the new home; returns batches and rows by tenant."""
    provider = home.keys / PROVIDER
    if provider.exists():
        # The same KMS protects the keys of both homes, which are other keys.
        shutil.copyfile(provider, new.folder("keys") / PROVIDER)
    new.note_format()
    ReplayRecord(as_of=as_of, moments=dict(moments)).write(new.path / RECORD)
    Keys.of(new).add_tenants(list(moments))
    with landing_paused(home):
        batches = take_ledger(home, new, moments)
        check_there(home, batches, as_of)
    progress.info("ledger: %d landed files of %d tenants belong to %s", len(batches), len(moments), as_of)
    rows = take_files(home, new, batches)
    progress.info("landing: %s rows taken", f"{rows:,}")
    ReplayRecord(as_of=as_of, moments=dict(moments), first_loads=first_loads(new)).write(new.path / RECORD)
    return {
        tenant_id: (len(mine), sum(batch.rows for batch in mine))
        for tenant_id in moments
        for mine in [[batch for batch in batches if batch.tenant_id == tenant_id]]
    }


def _compared(home: Home, new: Home, tenant_id: str, moment: datetime, batches: tuple[int, int]) -> TenantReplayed:
    """A tenant of the new home, compared with the version that its people saw at the moment."""
    ours, theirs = current_version(new, tenant_id), version_served_at(home, tenant_id, moment)
    last = last_outcome(new, tenant_id)
    return TenantReplayed(
        tenant_id=tenant_id,
        moment=moment,
        batches=batches[0],
        rows=batches[1],
        first_loads=tuple(load for load in first_loads(new) if load.tenant_id == tenant_id),
        published_at=theirs.published_at if theirs is not None else None,
        same=compare_versions(new, ours, home, theirs) if ours is not None and theirs is not None else None,
        problem="" if ours is not None else last.reason if last is not None else "the run did not publish it",
    )
