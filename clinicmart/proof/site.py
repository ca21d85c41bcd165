"""The place of the proof: a separate home with two tenants, read from planted feeds by one pipeline run, and one person of
each role in each tenant. Nothing of the customer's own home is opened."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from clinicmart.proof.canaries import (
    AS_OF,
    CLOSED_MONTH,
    LIVE_AT,
    PLACES,
    TENANTS,
    Allowed,
    Truth,
    truth,
    unit_id,
    waiting_at,
    write_database,
    write_messages,
)
from foundation.errors import ClinicmartError
from foundation.home import Home
from foundation.keys import Keys
from foundation.live_state import LiveFeed, LiveState, write_live
from serving.people.principal import PLATFORM, Principal, Role
from serving.people.rights import ROLES, TRACED_LEVELS
from serving.people.store import AccessStore
from serving.reader import Reader, open_reader
from serving.versions import closes
from serving.versions.store import current_version

_TENANT = """\
  {tenant}:
    name: ZQO{word}XGROUP
    time_zone: America/New_York
    as_of: "{as_of}"
    deidentification: {{rule: {rule}, smallest_cell: 2}}
    feeds:
      - {{name: pm, kind: pm_database, profile: clinicmart, url: "sqlite:///{folder}/{tenant}/pm.sqlite"}}
      - {{name: adt, kind: hl7v2, path: "{folder}/{tenant}/adt"}}
"""
# Both rules of de-identification are tried.
RULES: Mapping[str, str] = MappingProxyType({"alder": "safe_harbor", "birch": "limited"})
METRICS = ("appointments", "billed_amount", "referrals", "encounters")
PASSWORD = "{tenant} keeps 4 quiet herons"  # noqa: S105


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody of the proof. `assigned` are the places assigned, `places` those whose rows the person may see, `provider` the
    provider or referral partner the person is, `refused` the metrics that the role must not get, `lineage` whether it sees what a figure
    rests on, `today` whether it sees the board of today. It is written here again, apart from the product's own table of rights. The
    user name is the same in both tenants.
    """

    name: str
    role: Role
    assigned: tuple[str, ...] = ()
    places: tuple[str, ...] = PLACES
    provider: str | None = None
    refused: tuple[str, ...] = ()
    lineage: bool = True
    today: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of the proof that the role must get."""
        return tuple(name for name in METRICS if name not in self.refused)

    @property
    def email(self) -> str:
        return f"{self.name}@clinic.example"


PEOPLE: tuple[Person, ...] = (
    Person(name="admin", role=Role.ORGANIZATION_ADMIN, today=True),
    Person(name="executive", role=Role.EXECUTIVE),
    Person(name="manager", role=Role.PROGRAM_MANAGER, assigned=("east",), places=("east", "lab"), today=True),
    # The planted rows have visits of this provider at a unit where no credential holds.
    Person(name="doctor", role=Role.PROVIDER, places=("east", "lab"), provider="p1"),
    Person(name="biller", role=Role.BILLING_STAFF, assigned=("west",), places=("west",), refused=("encounters",)),
    Person(name="analyst", role=Role.ANALYST),
    Person(
        name="desk",
        role=Role.FRONT_DESK,
        assigned=("east",),
        places=("east", "lab"),
        refused=METRICS,
        lineage=False,
        today=True,
    ),
    Person(
        name="nurse", role=Role.NURSE, assigned=("west",), places=("west",), refused=METRICS, lineage=False, today=True
    ),
    Person(
        name="partner",
        role=Role.REFERRAL_PARTNER,
        # The planted referrals of this partner are all to one unit.
        places=("east",),
        provider="partner1",
        refused=("appointments", "billed_amount", "encounters"),
        lineage=False,
    ),
)
OPERATOR = Person(name="root", role=Role.SUPER_ADMIN)


@dataclass
class Site:
    """The home, its feeds, and the output of the run."""

    home: Home
    feeds: Path
    run_output: str

    @property
    def access(self) -> AccessStore:
        return AccessStore.open(self.home)

    @property
    def configuration(self) -> Path:
        return self.feeds / "clinicmart.yaml"

    def principal(self, tenant: str, person: Person) -> Principal:
        """The person as the product knows them in a tenant."""
        return self.access.principal(tenant, person.email)

    def reader(self, tenant: str, person: Person, *, as_of: str | None = None) -> Reader:
        """Opens a reader with the rights of the person."""
        return open_reader(self.home, self.principal(tenant, person), as_of=as_of)

    def allowed(self, tenant: str, person: Person) -> Allowed:
        """Which planted words the person may meet."""
        level = ROLES[person.role].identity_level
        return Allowed(tenant=tenant, places=person.places, records=level in TRACED_LEVELS)

    def truth(self, tenant: str, person: Person) -> Truth:
        """The right figures of the planted rows that the person may see."""
        whose = {"partner": person.provider} if person.role is Role.REFERRAL_PARTNER else {"provider": person.provider}
        sums = truth(tenant, person.places, **{name: value or "" for name, value in whose.items()})
        # Referrals do not say which provider sees the patient.
        return replace(sums, referrals=0) if person.role is Role.PROVIDER else sums

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs a command on the home, as its operator would."""
        return _command(*words, "--home", str(self.home.path))


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "clinicmart.main", *words], capture_output=True, text=True, check=False
    )


def make_site(folder: Path) -> Site:
    """Writes the feeds, runs the pipeline once, adds the people and closes a month of each tenant (takes about a minute).

    Raises ClinicmartError where the planted data do not come out as published.
    """
    feeds, home = folder / "feeds", folder / "home"
    for tenant in TENANTS:
        write_database(tenant, feeds / tenant / "pm.sqlite")
        write_messages(tenant, feeds / tenant / "adt")
    _plant_link(feeds)
    configuration = feeds / "clinicmart.yaml"
    tenants = [
        _TENANT.format(tenant=tenant, word=tenant.upper(), as_of=AS_OF, rule=RULES[tenant], folder=feeds)
        for tenant in TENANTS
    ]
    configuration.write_text("tenants:\n" + "".join(tenants), encoding="utf-8")
    ran = _command("run", "--config", str(configuration), "--home", str(home))
    if "Published" not in ran.stdout:
        raise ClinicmartError(f"the pipeline run of the proof did not publish: {ran.stderr[-2000:]}")
    site = Site(home=Home.at(home), feeds=feeds, run_output=ran.stdout + ran.stderr)
    add_people(site)
    plant_close(site)
    plant_live(site)
    return site


def plant_close(site: Site) -> None:
    """Notes that the second tenant closed a month; the first tenant did not. No figures are frozen: that would take minutes."""
    tenant = TENANTS[1]
    version = current_version(site.home, tenant)
    assert version is not None
    with closes.locked(site.home, tenant):
        closes.record(
            site.home,
            closes.Close(
                tenant_id=tenant,
                month=CLOSED_MONTH,
                number=1,
                version=version.version,
                run_id=version.run_id,
                closed_at=datetime.now(UTC),
                closed_by=PEOPLE[0].email,
                figures=0,
            ),
        )


def plant_live(site: Site) -> None:
    """Writes the live state of both tenants: patients who wait, with equal ids, at each place one more than at the one before."""
    keys = Keys.of(site.home)
    for tenant in TENANTS:
        visits = [
            {
                "encounter_id": f"ZQRV{place}{number}".upper(),
                "patient_id": f"ZQPTOKEN{tenant}{place}{number}".upper(),
                "service_unit_id": unit_id(tenant, place),
                "provider_id": None,
                "encounter_class": "AMB",
                "status": "arrived",
                "started_at": LIVE_AT.isoformat(),
                "ended_at": None,
            }
            for place in PLACES
            for number in range(waiting_at(tenant, place))
        ]
        feeds = [LiveFeed(name="adt", messages=len(visits), last_message_at=LIVE_AT)]
        write_live(site.home, keys, tenant, LiveState(written_at=LIVE_AT, feeds=feeds, rows={"encounter": visits}))


def _plant_link(feeds: Path) -> None:
    """A link in one tenant's feed that leads to the file of the other."""
    link = feeds / TENANTS[0] / "adt" / "link.hl7"
    link.symlink_to(feeds / TENANTS[1] / "adt" / "visit.hl7")


def add_people(site: Site) -> None:
    """One person of each role in each tenant, under the same user names; and one of the platform."""
    store = site.access
    for tenant in TENANTS:
        for person in PEOPLE:
            store.add_user(
                tenant,
                person.email,
                display_name=person.name,
                role=person.role,
                unit_ids=[unit_id(tenant, place) for place in person.assigned],
                provider_id=person.provider,
                password=PASSWORD.format(tenant=tenant),
                must_change=False,
            )
    store.ensure_tenant(PLATFORM, "Platform")
    store.add_user(
        PLATFORM,
        OPERATOR.email,
        display_name=OPERATOR.name,
        role=OPERATOR.role,
        password=PASSWORD.format(tenant=PLATFORM),
        must_change=False,
    )
