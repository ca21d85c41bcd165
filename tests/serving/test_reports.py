"""Reports that people build: what a definition may say, who sees a saved one, and that the database holds no readable name."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dashboards import period as periods
from foundation.errors import ConfigurationError
from foundation.keys import Keys
from serving.people.reports import Reports
from serving.people.tables import AUDIT
from serving.report_definition import PERIODS, ReportDefinition, offered, problems
from tests.support import clinicmart_here

VISITS = ReportDefinition(metrics=("visits",), by=("month",), filters={"provider": ("p1",)}, shown_as="chart")


@pytest.fixture
def reports(place):
    """`reports("admin@mesa")`: the saved reports of a person."""

    def opened(user: str, actor: str = "") -> Reports:
        return place.access.reports(Keys.of(place.home), user.partition("@")[2], user, actor=actor)

    return opened


def audited(place, tenant):
    """(actor, action, detail) of the audit rows about reports."""
    with place.access._reading.connect() as connection:
        rows = connection.execute(AUDIT.select().where(AUDIT.c.tenant_id == tenant)).mappings().all()
    kept = [row for row in rows if row["action"].startswith("report")]
    return [(row["actor"], row["action"], json.loads(row["detail"])) for row in kept]


def test_the_periods_are_those_of_the_bar():
    assert tuple(periods.PRESETS) == PERIODS


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"metrics": []}, "at least 1 item"),
        ({"metrics": [f"m{number}" for number in range(7)]}, "at most 6 items"),
        ({"metrics": ["visits", "visits"]}, "named twice"),
        ({"metrics": ["visits"], "by": ["month", "payer", "provider"]}, "at most 2 items"),
        ({"metrics": ["visits"], "by": ["month", "month"]}, "named twice"),
        ({"metrics": ["visits"], "by": ["service_unit", "service_unit_children"]}, "by units once"),
        ({"metrics": ["visits; drop table"]}, "pattern"),
        ({"metrics": ["visits"], "filters": {"payer": []}}, "at least 1 item"),
        ({"metrics": ["visits"], "filters": {"payer": ["a\nb"]}}, "pattern"),
        ({"metrics": ["visits"], "period": "for ever"}, "is not one of last_month"),
        ({"metrics": ["visits"], "shown_as": "pie"}, "'table' or 'chart'"),
        ({"metrics": ["visits"], "rows": 1}, "not permitted"),
    ],
)
def test_what_is_no_report_is_refused(content, why):
    with pytest.raises(ValidationError, match=why):
        ReportDefinition.model_validate(content)


def test_breakdowns_are_those_that_all_metrics_have(reader):
    metrics = {metric.name: metric for metric in reader("admin@harbor").metrics()}
    both = offered([metrics["visits"], metrics["billed_amount"]])
    assert both[0] == "month"
    assert {"provider", "payer_class", "service_unit", "service_unit_children"} <= set(both)
    assert "hour_of_day" in offered([metrics["visits"]])
    assert not {"hour_of_day", "payer", "patient"} & set(both)
    assert offered([]) == ()


def test_a_report_says_what_its_reader_cannot_be_shown(reader):
    metrics = {metric.name: metric for metric in reader("admin@harbor").metrics()}
    assert problems(VISITS, metrics) == ()
    gone = ReportDefinition(metrics=("visits", "removed_metric"), by=("payers",), filters={"payer": ("aetna",)})
    first, *others = problems(gone, metrics)
    assert first.startswith("the figure removed_metric is not there for you")
    assert others[0].startswith("Visits cannot be broken down by payers")
    assert others[1].startswith("Visits cannot be filtered by payer")
    biller = {metric.name: metric for metric in reader("biller@harbor").metrics()}
    assert problems(VISITS, biller)[0].startswith("the figure visits is not there for you")


def test_a_saved_report_is_shared_in_the_tenant_and_nowhere_else(place, reports):
    admin, analyst = reports("admin@mesa"), reports("analyst@mesa")
    mine = admin.save("Mine", VISITS, is_shared=False)
    ours = admin.save(" Ours ", VISITS, is_shared=True)
    assert [(report.report_id, report.name) for report in admin.all()] == [(mine, "Mine"), (ours, "Ours")]
    assert [(report.name, report.email, report.definition) for report in analyst.all()] == [
        ("Ours", "admin@mesa", VISITS)
    ]
    assert analyst.one(ours).is_shared
    for stranger in (analyst.one, reports("admin@harbor").one):
        with pytest.raises(ConfigurationError, match="was removed, or is not shared"):
            stranger(mine)
    with pytest.raises(ConfigurationError):
        reports("admin@harbor").one(ours)
    for act in (analyst.remove, analyst.keep_private):
        with pytest.raises(ConfigurationError, match="not a saved report of yours"):
            act(ours)


def test_the_address_of_a_report_stays_and_is_never_another_ones(reports):
    admin, changed = reports("admin@mesa"), ReportDefinition(metrics=("people",))
    first = admin.save("Ours", VISITS, is_shared=True)
    assert admin.save("Ours", changed, is_shared=True) == first
    assert admin.one(first).definition == changed
    admin.keep_private(first)
    assert reports("analyst@mesa").all() == ()
    admin.remove(first)
    assert admin.save("Ours", VISITS, is_shared=True) != first
    with pytest.raises(ConfigurationError):
        admin.one(first)


def test_a_report_needs_a_name_and_there_is_a_limit(reports, monkeypatch):
    monkeypatch.setattr("serving.people.reports.MOST_SAVED", 1)
    admin = reports("admin@mesa")
    for name in ("", " ", "x" * 81, "a\nb"):
        with pytest.raises(ConfigurationError, match="give the report a name"):
            admin.save(name, VISITS, is_shared=False)
    admin.save("First", VISITS, is_shared=False)
    with pytest.raises(ConfigurationError, match="remove one first"):
        admin.save("Second", VISITS, is_shared=False)


def test_names_are_sealed_and_the_audit_says_who_changed_whose_report(place, reports):
    report_id = reports("analyst@mesa", actor="admin@mesa").save("Visits of John Doe", VISITS, is_shared=True)
    content = place.home.access.read_bytes()
    assert b"John Doe" not in content
    assert b"last_quarter" not in content
    assert audited(place, "mesa") == [
        ("admin@mesa", "report saved", {"report": report_id, "owner": "analyst@mesa", "shared": True})
    ]


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
DEFINITIONS = st.builds(
    ReportDefinition,
    metrics=st.lists(NAMES, min_size=1, max_size=6, unique=True).map(tuple),
    by=st.lists(NAMES, max_size=2, unique=True).map(tuple),
    filters=st.dictionaries(NAMES, st.lists(st.text("ab 1:'é", min_size=1), min_size=1, max_size=3).map(tuple)),
    period=st.sampled_from(PERIODS),
    shown_as=st.sampled_from(["table", "chart"]),
)


@settings(deadline=None)
@given(DEFINITIONS)
def test_a_definition_is_kept_as_it_is(definition):
    assert ReportDefinition.model_validate_json(definition.model_dump_json()) == definition
    kept = ReportDefinition.model_validate(definition.as_content())
    assert kept.as_content() == definition.as_content()


def test_a_pinned_report_stands_there_for_its_owner_and_what_an_administrator_shares_for_everybody(place, reports):
    by_month = VISITS.model_copy(update={"filters": {}})
    own, admin = reports("east@harbor"), reports("admin@harbor")
    own.save("Mine", by_month, is_shared=True, pinned_to="no_show")
    admin.save("Ours", by_month, is_shared=True, pinned_to="no_show")
    admin.save("Not yet", by_month, is_shared=False, pinned_to="no_show")
    admin.save("Elsewhere", by_month, is_shared=True, pinned_to="overview")

    def names(user, page="no_show"):
        return [report.name for report in reports(user).pinned(page)]

    assert names("east@harbor") == ["Mine", "Ours"]
    assert names("admin@harbor") == ["Not yet", "Ours"]
    assert names("analyst@harbor") == ["Ours"]
    assert names("analyst@harbor", "overview") == ["Elsewhere"]
    assert names("admin@mesa") == []
    admin.save("Ours", by_month, is_shared=True)
    assert names("analyst@harbor") == ["Ours"]
    admin.save("Ours", by_month, is_shared=True, pinned_to="")
    assert names("analyst@harbor") == []
    with pytest.raises(ConfigurationError, match="takes the filters of the page"):
        own.save("Mine", VISITS, is_shared=True, pinned_to="no_show")
    saved = [detail for _, action, detail in audited(place, "harbor") if action == "report saved"]
    assert [detail.get("pinned_to") for detail in saved][-3:] == ["overview", None, ""]


def test_a_pinned_report_that_gets_filters_leaves_its_page(place, reports):
    admin, by_month = reports("admin@harbor"), VISITS.model_copy(update={"filters": {}})
    admin.save("Ours", by_month, is_shared=True, pinned_to="no_show")
    admin.save("Ours", VISITS, is_shared=True)
    assert admin.pinned("no_show") == ()
    assert audited(place, "harbor")[-1][2]["pinned_to"] == ""
    admin.save("Ours", by_month, is_shared=True)
    assert admin.pinned("no_show") == ()


def test_the_command_lists_what_a_person_can_open(place, reports):
    mine = reports("east@harbor").save("Mine", VISITS, is_shared=False)
    ours = reports("admin@harbor").save(
        "Ours", VISITS.model_copy(update={"filters": {}}), is_shared=True, pinned_to="no_show"
    )
    reports("admin@harbor").save("Hidden", VISITS, is_shared=False)
    reports("admin@mesa").save("Theirs", VISITS, is_shared=True)

    def listed(user, *more):
        home = ("--home", str(place.home.path))
        return clinicmart_here("saved-reports", *home, "--tenant", user.partition("@")[2], "--as", user, *more)

    rows = json.loads(listed("east@harbor", "--json").out)
    assert [(row["report_id"], row["name"], row["pinned_to"]) for row in rows] == [
        (mine, "Mine", ""),
        (ours, "Ours", "no_show"),
    ]
    assert rows[0]["definition"] == VISITS.as_content()
    assert mine in listed("east@harbor").out
    assert [row["name"] for row in json.loads(listed("analyst@harbor", "--json").out)] == ["Ours"]
    assert [row["name"] for row in json.loads(listed("admin@mesa", "--json").out)] == ["Theirs"]
    refused = listed("desk@harbor")
    assert refused.code == 1
    assert "does not include the page Report builder" in refused.err
    lists = [
        row.actor for row in place.access.audit_rows("harbor", action="list") if "saved-reports" in str(row.detail)
    ]
    assert lists == ["desk@harbor", "analyst@harbor", "east@harbor", "east@harbor"]
