"""A published home with two tenants that share every identifier, and one person of each role."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from foundation.deidentification import Deidentification
from foundation.home import Home
from serving.closed_months.close import close_month
from serving.open_files import close_all
from serving.people.principal import Principal, Role
from serving.people.store import AccessStore
from serving.publish.publish import publish
from serving.reader import Reader, open_reader
from tests.serving.closing import FEBRUARY, RAW
from tests.serving.small_warehouse import TENANTS, build_warehouse, change, write_manifests


@dataclass(frozen=True)
class Place:
    """A home with something published in it."""

    home: Home
    dbt_target: Path

    @property
    def access(self) -> AccessStore:
        return AccessStore.open(self.home)

    def publish(self, run_id: str = "run-2", **options: object):  # type: ignore[no-untyped-def]
        return publish(self.home, dbt_target=self.dbt_target, run_id=run_id, **options)  # type: ignore[arg-type]


PEOPLE = (
    ("admin", Role.ORGANIZATION_ADMIN, (), None),
    ("ceo", Role.EXECUTIVE, (), None),
    ("east", Role.PROGRAM_MANAGER, ("east",), None),
    ("two", Role.PROGRAM_MANAGER, ("west", "lab"), None),
    ("doctor", Role.PROVIDER, (), "p1"),
    ("biller", Role.BILLING_STAFF, ("west",), None),
    ("analyst", Role.ANALYST, (), None),
    ("desk", Role.FRONT_DESK, ("east",), None),
    ("nurse", Role.NURSE, ("west",), None),
    ("partner", Role.REFERRAL_PARTNER, (), "p2"),
)


@pytest.fixture(scope="session")
def _published_once(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("serving")
    place = Place(Home.at(folder / "home"), write_manifests(folder / "target"))
    build_warehouse(place.home)
    for tenant in TENANTS:
        # The tenants are too small for small cells; tests of those choose a rule themselves.
        place.access.ensure_tenant(tenant, tenant.capitalize(), Deidentification(rule="limited", smallest_cell=1))
        for name, role, units, provider in PEOPLE:
            place.access.add_user(
                tenant,
                f"{name}@{tenant}",
                display_name=name,
                role=role,
                unit_ids=units,
                provider_id=provider,
                password="correct horse battery",
            )
    place.publish("run-1")
    return place


def _copied(one: Place, folder: Path) -> Place:
    """A home of one's own: a copy of another one."""
    shutil.copytree(one.home.path, folder / "home", ignore=shutil.ignore_patterns("extensions"))
    (folder / "home" / "extensions").symlink_to(one.home.extensions)
    close_all()
    return Place(Home.at(folder / "home"), write_manifests(folder / "target"))


@pytest.fixture
def place(_published_once: Place, tmp_path: Path) -> Place:
    """A home of one's own: a copy of the published one."""
    return _copied(_published_once, tmp_path)


@pytest.fixture(scope="session")
def _ready_once(_published_once: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = _copied(_published_once, tmp_path_factory.mktemp("ready"))
    change(place.home, RAW)
    place.publish("run-1")
    return place


@pytest.fixture
def ready(place: Place, _ready_once: Place, tmp_path: Path) -> Place:
    """As `place`, with raw rows beside the marts; no month is closed."""
    shutil.rmtree(place.home.path)
    return _copied(_ready_once, tmp_path)


@pytest.fixture(scope="session")
def _closed_once(_ready_once: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = _copied(_ready_once, tmp_path_factory.mktemp("closed"))
    close_month(place.home, place.access.principal("harbor", "admin@harbor"), FEBRUARY)
    return place


@pytest.fixture
def closed(place: Place, _closed_once: Place, tmp_path: Path) -> Place:
    """As `ready`, with February of harbor closed."""
    shutil.rmtree(place.home.path)
    return _copied(_closed_once, tmp_path)


@pytest.fixture
def person(place: Place) -> Callable[[str], Principal]:
    """`person("east@harbor")`: somebody by user name."""

    def found(user: str) -> Principal:
        return place.access.principal(user.partition("@")[2], user)

    return found


@pytest.fixture
def reader(place: Place, person: Callable[[str], Principal]) -> Callable[[str], Reader]:
    """`reader("east@harbor")`: what that person may see."""

    def opened(user: str) -> Reader:
        return open_reader(place.home, person(user))

    return opened
