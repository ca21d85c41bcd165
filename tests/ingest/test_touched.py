"""Which tenants a load finds touched: those whose rows, deletions, name, zone, precedence or reach of data changed since their
marts were last built and passed, and no others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from foundation import duck
from foundation.config import load_config
from foundation.home import Home
from foundation.keys import Keys
from ingest.landing.land_feed import land_feed
from ingest.ledger import Ledger
from ingest.load.raw_tables import Loaded, load_warehouse
from tests.ingest.test_landing import remittance

ZONES = {"harbor": "America/New_York", "mesa": "America/Denver"}


@dataclass
class Group:
    """A home with tenants `harbor` and `mesa`, each with two folders of 835s; its warehouse has a mart."""

    folder: Path
    home: Home
    keys: Keys
    ledger: Ledger
    built: Mapping[str, str] = field(default_factory=dict)
    runs: int = 0
    brought: set[tuple[str, str]] = field(default_factory=set)
    loaded: Loaded = field(init=False)

    def bring(self, tenant: str, number: int, feed: str = "remits") -> None:
        self.brought.add((tenant, feed))
        (self.folder / tenant / feed / f"{number}.835").write_text(
            remittance(number, [(f"C{number}", "100.00", "80.00")])
        )

    def load(
        self,
        *tenants: str,
        zones: Mapping[str, str] = ZONES,
        name: str = "Group",
        first: str = "remits",
        passed: bool = True,
    ) -> tuple[str, ...]:
        """Reads the feeds that something was brought to, and loads; the touched ones, which count as built if the build `passed`."""
        lines = ["tenants:"]
        for tenant in tenants:
            lines += [f"  {tenant}:", f"    name: {name}", f"    time_zone: {zones[tenant]}"]
            lines += [f"    system_of_record: {{remittance: [{first}]}}", "    feeds:"]
            lines += [f"      - {{name: {feed}, kind: x12, path: {tenant}/{feed}}}" for feed in ("remits", "others")]
        file = self.folder / "clinicmart.yaml"
        file.write_text("\n".join(lines), encoding="utf-8")
        config = load_config(file)
        self.runs += 1
        for tenant in config.tenants:
            for feed in tenant.feeds:
                if (tenant.tenant_id, feed.name) in self.brought:
                    land_feed(self.home, self.keys, self.ledger, feed, f"run-{self.runs}")
        self.brought.clear()
        self.loaded = loaded = load_warehouse(self.home, self.keys, self.ledger, config, self.built)
        assert self.query("select tenant_id from warehouse.raw.touched_tenant order by 1") == [
            (tenant,) for tenant in loaded.touched
        ]
        if passed:
            self.built = loaded.tenants
        return loaded.touched

    def query(self, sql: str) -> list[tuple]:
        with duck.session(self.home) as connection:
            duck.attach(connection, self.home.warehouse, alias="warehouse", key=self.keys.derive_hex("warehouse"))
            return connection.execute(sql).fetchall()


@pytest.fixture
def group(tmp_path: Path) -> Group:
    for tenant in ZONES:
        for feed in ("remits", "others"):
            (tmp_path / tenant / feed).mkdir(parents=True)
    home = Home.at(tmp_path / "home")
    result = Group(tmp_path, home, Keys.of(home), Ledger(home))
    result.bring("harbor", 1)
    result.bring("mesa", 1)
    assert result.load("harbor", "mesa") == ("harbor", "mesa")
    # Without marts every tenant is touched, even if it was built before.
    assert result.load("harbor", "mesa") == ("harbor", "mesa")
    result.query("create schema warehouse.marts; create table warehouse.marts.dim_tenants (tenant_id varchar)")
    return result


def test_nobody_is_touched_where_nothing_is_new(group: Group) -> None:
    assert group.load("harbor", "mesa") == ()


def test_what_a_tenants_people_are_told_changes_its_standing_and_touches_nobody(group: Group) -> None:
    before = group.loaded.standings
    assert group.load("harbor", "mesa") == ()
    assert group.loaded.standings == before
    state = group.loaded.state
    (group.folder / "mesa" / "remits" / "bad.835").write_text("not an 835")
    group.brought.add(("mesa", "remits"))
    assert group.load("harbor", "mesa") == ()
    assert {tenant for tenant, standing in group.loaded.standings.items() if before[tenant] != standing} == {"mesa"}
    assert group.loaded.state != state
    group.bring("harbor", 2)
    assert group.load("harbor", "mesa") == ("harbor",)
    assert {tenant for tenant, standing in group.loaded.standings.items() if before[tenant] != standing} == set(ZONES)


def test_rows_touch_their_tenant_until_a_build_passes(group: Group) -> None:
    group.bring("mesa", 2)
    assert group.load("harbor", "mesa", passed=False) == ("mesa",)
    assert group.load("harbor", "mesa", passed=False) == ("mesa",)
    group.bring("harbor", 2)
    assert group.load("harbor", "mesa") == ("harbor", "mesa")
    assert group.load("harbor", "mesa") == ()


def test_a_load_that_was_killed_and_repeated_touches_the_tenant(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    group.bring("mesa", 2)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ingest.load.raw_tables.remove_superseded", killed)
        with pytest.raises(KeyboardInterrupt):
            group.load("harbor", "mesa")
    assert group.query("select count(*) from warehouse.raw.remittance_claim where tenant_id = 'mesa'") == [(2,)]
    assert group.load("harbor", "mesa") == ("mesa",)


@pytest.mark.parametrize(
    "changed",
    [
        {"zones": {**ZONES, "mesa": "America/Phoenix"}, "touched": ("mesa",)},
        {"name": "Groups", "touched": ("harbor", "mesa")},
        {"first": "others", "touched": ("harbor", "mesa")},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_the_configuration_touches_those_it_changes(group: Group, changed: dict) -> None:
    touched = changed.pop("touched")
    assert group.load("harbor", "mesa", **changed) == touched
    assert group.load("harbor", "mesa", **changed) == ()
    assert group.load("harbor", "mesa") == touched


def test_a_day_that_the_data_reach_to_touches_without_a_row(group: Group) -> None:
    # What was to come has happened meanwhile.
    group.query("update warehouse.raw.remittance_claim set adjudicated_date = today() + 1 where tenant_id = 'harbor'")
    group.load("harbor", "mesa")
    assert group.load("harbor", "mesa") == ()
    group.query("update warehouse.raw.remittance_claim set adjudicated_date = today() - 1 where tenant_id = 'harbor'")
    assert group.load("harbor", "mesa") == ("harbor",)


def test_a_tenant_that_left_the_configuration_stays_as_it_is(group: Group) -> None:
    kept = "select * from warehouse.raw.{} where tenant_id = 'mesa' order by all"
    before = [group.query(kept.format(table)) for table in ("tenant", "system_of_record", "remittance_claim")]
    assert all(before)
    group.bring("harbor", 2)
    assert group.load("harbor") == ("harbor",)
    assert [group.query(kept.format(table)) for table in ("tenant", "system_of_record", "remittance_claim")] == before
    assert group.load("harbor", "mesa") == ()


def test_a_feed_that_could_not_be_read_touches_nobody(group: Group) -> None:
    group.bring("mesa", 2)
    (group.folder / "mesa" / "remits" / "2.835").write_text("no envelope")
    assert group.load("harbor", "mesa") == ()
