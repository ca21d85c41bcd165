"""The table of rights against what each role gets: metrics, rows, pages, commands, acts, and columns of PostgreSQL logins."""

from datetime import date

import pytest
from click.testing import CliRunner

from clinicmart.main import cli
from dashboards import served_home
from dashboards.data import Source
from dashboards.pages import ALL
from foundation.errors import AccessError, ClinicmartError, ConfigurationError
from serving.administration import Administration
from serving.closed_months.close import close_month
from serving.extracts import extract
from serving.metrics.registry import TableColumn
from serving.model import MetricQuery
from serving.people.annotations import Annotation
from serving.people.look_ups import check_may_look_up
from serving.people.principal import PLATFORM, Principal, Role
from serving.people.rights import POSTGRES_LEVEL, REFERRAL_COLUMNS, ROLES, TENANT_ROLES
from serving.people.scope import Scope
from serving.postgres.served_views import readable_columns
from serving.scope_files.deidentify import treated
from tests.serving.conftest import PEOPLE

USER_OF = {role: name for name, role, _, _ in reversed(PEOPLE)}
PARTNER_METRICS = {"referrals", "referrals_scheduled", "referrals_attended"}
# The rights of this home's people, written here again, apart from the table.
METRICS_OF = {
    Role.ORGANIZATION_ADMIN: {"throughput", "revenue_cycle", "payer_mix", "no_show"},
    Role.EXECUTIVE: {"throughput", "revenue_cycle", "payer_mix", "no_show"},
    Role.PROGRAM_MANAGER: {"throughput", "revenue_cycle", "payer_mix", "no_show"},
    Role.PROVIDER: {"throughput", "revenue_cycle", "no_show"},
    Role.BILLING_STAFF: {"revenue_cycle", "payer_mix", "no_show"},
    Role.ANALYST: {"throughput", "revenue_cycle", "payer_mix", "no_show"},
    Role.REFERRAL_PARTNER: set(),
    Role.FRONT_DESK: set(),
    Role.NURSE: set(),
}
ACTS_OF = {
    "extract": {Role.ORGANIZATION_ADMIN, Role.ANALYST},
    "close": {Role.ORGANIZATION_ADMIN},
    "administer": {Role.ORGANIZATION_ADMIN},
    "health": {
        *(Role.ORGANIZATION_ADMIN, Role.EXECUTIVE, Role.PROGRAM_MANAGER),
        *(Role.BILLING_STAFF, Role.ANALYST),
    },
    "annotation": {Role.ORGANIZATION_ADMIN, Role.EXECUTIVE, Role.PROGRAM_MANAGER},
    "annotations": {*TENANT_ROLES} - {Role.REFERRAL_PARTNER, Role.FRONT_DESK, Role.NURSE},
    "target": {Role.ORGANIZATION_ADMIN, Role.PROGRAM_MANAGER},
    "rows": {*TENANT_ROLES} - {Role.EXECUTIVE, Role.FRONT_DESK, Role.NURSE},
    "lineage": {*TENANT_ROLES} - {Role.REFERRAL_PARTNER, Role.FRONT_DESK, Role.NURSE},
}


def may(act) -> bool:  # type: ignore[no-untyped-def]
    """Whether an act is carried out; any other failure than a refusal counts as carried out, as the role was not what stopped it."""
    try:
        act()
    except AccessError:
        return False
    except ClinicmartError:
        return True
    return True


@pytest.mark.parametrize("role", TENANT_ROLES)
def test_a_role_gets_the_metrics_of_the_table_and_no_others(role, place, reader):
    mine = reader(f"{USER_OF[role]}@harbor")
    for name, item in mine.registry.metrics.items():
        is_held = item.definition.module in METRICS_OF[role] or (
            role is Role.REFERRAL_PARTNER and name in PARTNER_METRICS
        )
        assert (name in {metric.name for metric in mine.metrics()}) == is_held, name
        assert may(lambda name=name: mine.query(MetricQuery(metrics=[name]))) == is_held, name
        if item.drill is not None:
            assert may(lambda name=name: mine.drill(name)) == (is_held and role in ACTS_OF["rows"]), name
    held = {metric.name for metric in mine.metrics()}
    for name in ("visits", "billed_amount", "referrals"):
        asked = ["metrics", "query", name, "--tenant", "harbor", "--as", mine._principal.email]
        answer = CliRunner().invoke(cli, [*asked, "--home", str(place.home.path)])
        assert (answer.exit_code == 0) == (name in held), (name, answer.output)


@pytest.mark.parametrize("role", TENANT_ROLES)
def test_a_role_does_what_the_table_says_and_nothing_else(role, place, reader, person, tmp_path):
    user = f"{USER_OF[role]}@harbor"
    mine, principal = reader(user), person(user)
    metric = next((item.name for item in mine.metrics()), "visits")
    units = list(mine.tree()["service_unit_id"])
    acts = {
        "extract": lambda: extract(place.home, principal, tmp_path / "extract.duckdb"),
        "close": lambda: close_month(place.home, principal, date(2026, 2, 1)),
        "administer": lambda: Administration(place.home, place.access, principal, units=units, providers=["p1"]),
        "health": mine.health,
        "annotation": lambda: mine.annotations.add(
            Annotation(
                sentence="closed", first_day=date(2026, 3, 1), last_day=date(2026, 3, 1), service_unit_id=units[0]
            )
        ),
        "annotations": mine.annotations.standing,
        "target": lambda: mine.targets.set("visits", units[0], date(2026, 3, 1), None),
        "lineage": lambda: mine.lineage(metric),
    }
    assert {name for name, act in acts.items() if may(act)} == {
        name for name in acts if role in ACTS_OF[name]
    }  # fmt: skip
    assert bool(mine.worklists.names) <= ROLES[role].works_lists


@pytest.mark.parametrize("role", TENANT_ROLES)
def test_a_page_that_the_table_does_not_name_is_absent(role, place, reader, person, monkeypatch):
    monkeypatch.setattr(served_home, "home", lambda: place.home)
    user = f"{USER_OF[role]}@harbor"
    source = Source(reader(user), person(user))
    held = {page.key for page in ALL if page.is_held_by(source)}
    assert held <= set(ROLES[role].pages)
    # What the small home has nothing to show for: no closed month, no worklist, no credential, no figure of the week; nobody listens,
    # and none of the metrics that are forecast.
    assert set(ROLES[role].pages) - held <= {
        "closed_months",
        "worklists",
        "credentials",
        "today",
        "this_week",
        "forecasts",
    }


@pytest.mark.parametrize("role", TENANT_ROLES)
def test_who_a_patient_is_is_for_roles_that_work_with_patients(role, place, person):
    principal = person(f"{USER_OF[role]}@harbor")
    asks = {
        glass
        for glass in (False, True)
        if may(lambda g=glass: check_may_look_up(place.access, principal, breaks_glass=g))
    }
    in_an_emergency = {Role.PROGRAM_MANAGER, Role.PROVIDER, Role.BILLING_STAFF}
    always = {Role.ORGANIZATION_ADMIN}
    assert asks == ({False, True} if role in always else {True} if role in in_an_emergency else set())


def test_the_platform_sees_no_tenant(place):
    borrowed = Principal(tenant_id="harbor", email="root", display_name="root", role=Role.SUPER_ADMIN)
    for principal in (borrowed, Principal(tenant_id=PLATFORM, email="root", display_name="", role=Role.SUPER_ADMIN)):
        with pytest.raises(AccessError):
            Scope.of(principal, place.access.policy("harbor"))


def test_a_partner_sees_own_referrals_and_nothing_clinical(reader):
    harbor, mesa = reader("partner@harbor"), reader("partner@mesa")
    whole = reader("admin@harbor").drill("referrals", limit=100).frame
    rows = harbor.drill("referrals", limit=100)
    assert rows.total_rows == rows.frame.height == 20
    assert harbor.query(MetricQuery(metrics=["referrals"]))["referrals"][0] == 20
    assert mesa.query(MetricQuery(metrics=["referrals"]))["referrals"][0] == 10
    own = whole.filter(whole["referral_partner_id"] == "p2")
    assert set(rows.frame["ordered_date"]) == set(own["ordered_date"])
    assert set(rows.frame.columns) <= set(REFERRAL_COLUMNS["fct_referrals"])
    # Records and patients are surrogates; the type of the visit is not there.
    assert not set(rows.frame["referral_id"]) & set(whole["referral_id"])
    assert not set(rows.frame["patient_id"]) & set(whole["patient_id"])
    assert "visit of" not in str(rows.frame.rows())
    # Partner p2 refers to the unit west alone; other units are not named.
    assert set(harbor.tree()["service_unit_id"]) == {"west"}
    for table in ("dim_providers", "dim_payers", "dim_patients"):
        assert harbor._metrics.data.frame(f"select * from warehouse.marts.{table}").is_empty()
    with pytest.raises(AccessError):
        harbor.query(MetricQuery(metrics=["referrals"], where={"service_unit": "lab"}))
    with pytest.raises(AccessError):
        harbor.sources("fct_referrals", str(own["referral_id"][0]))


def test_a_partner_cannot_ask_for_others_by_their_id(reader):
    partner = reader("partner@harbor")
    for other in ("p1", "p3"):
        answer = partner.query(MetricQuery(metrics=["referrals"], where={"referral_partner": other}))
        assert not answer["referrals"].sum()
        assert partner.drill("referrals", {"referral_partner": other}).frame.is_empty()


def test_a_partner_must_be_one_that_referrals_name(place, reader, person):
    administration = Administration(
        place.home, place.access, person("admin@harbor"), units=["west"], providers=["p1"], partners=["p2"]
    )
    for wrong in (None, "p1", "p9"):
        with pytest.raises(ConfigurationError, match="referral partner"):
            administration.invite(
                "lawyer@harbor", display_name="L", role=Role.REFERRAL_PARTNER, provider_id=wrong
            )  # fmt: skip
    administration.invite("lawyer@harbor", display_name="L", role=Role.REFERRAL_PARTNER, provider_id="p2")
    assert reader("lawyer@harbor").scope.partner_id == "p2"
    with pytest.raises(ConfigurationError, match="no such provider"):
        administration.invite("doc@harbor", display_name="D", role=Role.PROVIDER, provider_id="p2")


def test_postgres_logins_read_what_the_level_of_the_table_shows_unchanged(reader):
    for table in reader("admin@harbor").registry.tables:
        for name in readable_columns(table):
            column = next(column for column in table.columns if column.name == name)
            is_number_of_feeds = table.schema == "health" and not column.data_type.startswith("VARCHAR")
            kept = treated(table, column, level=POSTGRES_LEVEL, has_rows=True) == "keep"
            assert kept or is_number_of_feeds, (table.name, name)
            assert isinstance(column, TableColumn)
