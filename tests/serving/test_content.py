"""Content in version control: an export is imported without a change, a change of a file is a change of the tenant, and what is wrong is
named by file and line."""

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import AccessError, ConfigurationError
from foundation.keys import Keys
from serving.content import Content, ContentDesk
from serving.content.compare import Tenant, _on, _targets, compare
from serving.content.files import AlertLine, Located, QueryFile, ReportFile, TargetLine, file_name, write
from serving.people.tables import AUDIT
from serving.people.targets import TargetTable
from serving.report_definition import ReportDefinition
from tests.support import clinicmart_here

BY_MONTH = ReportDefinition(metrics=("visits",), by=("month",), filters={"service_unit": ("east",)}, shown_as="chart")

UNDER = AlertLine(
    owner="east@harbor", metric="visits", alarm="threshold", every="month", unit="east", side="below", threshold="80.5"
)
MISSING = AlertLine(owner="east@harbor", metric="visits", alarm="missing", every="week", late_days=3)


@pytest.fixture
def desk(place, person, reader):
    """`desk("admin@harbor")`: the content of a tenant as a person may change it."""
    return lambda user: ContentDesk(place.home, place.access, person(user), reader(user))


@pytest.fixture
def filled(place, reader):
    """A tenant with a report and a query that are shared, one of each that is not, and targets."""
    keys = Keys.of(place.home)
    reports = place.access.reports(keys, "harbor", "east@harbor")
    reports.save("Visits of the east", BY_MONTH, is_shared=True)
    reports.save("Mine", BY_MONTH, is_shared=False)
    queries = place.access.queries(keys, "harbor", "analyst@harbor")
    queries.save("Visits", "select *\nfrom fct_visits\n\twhere payer_class = '${HOME}'", is_shared=True)
    queries.save("Mine", "select 1", is_shared=False)
    for alarm in (UNDER, MISSING):
        place.access.alerts.add(place.access.principal("harbor", "east@harbor"), alarm.wanted(), actor="test")
    for day, value in ((date(2026, 1, 1), Decimal(80)), (date(2026, 3, 1), Decimal("90.5"))):
        reader("admin@harbor").targets.set("visits", "east", day, value)
    return place


def held(place):
    """(reports and queries by name with whether they are shared, targets that stand) of harbor."""
    keys, saved = Keys.of(place.home), {}
    for owner in ("east@harbor", "analyst@harbor", "admin@harbor"):
        for item in place.access.reports(keys, "harbor", owner).all():
            saved["report", item.email, item.name] = (item.is_shared, item.definition, item.pinned_to)
        for item in place.access.queries(keys, "harbor", owner).saved():
            saved["query", item.email, item.name] = (item.is_shared, item.sql)
    standing = TargetTable(place.access.targets.all("harbor")).standing
    return saved, {(item.metric, item.service_unit_id, item.valid_from): item.value for item in standing}


def test_an_import_of_an_export_changes_nothing(filled, desk, tmp_path):
    before = held(filled)
    files = desk("admin@harbor").export(tmp_path / "content")
    kinds = ["reports", "queries", "targets.yaml", "alerts.yaml"]
    assert [path.relative_to(tmp_path / "content").parts[0] for path in files] == kinds
    texts = {path: path.read_bytes() for path in files}
    assert desk("admin@harbor").plan(tmp_path / "content").changes == ()
    applied = desk("admin@harbor").apply(tmp_path / "content")
    assert (applied.changes, applied.errors) == ((), ())
    assert held(filled) == before
    assert desk("admin@harbor").export(tmp_path / "content") == files
    assert {path: path.read_bytes() for path in files} == texts
    assert all("Mine" not in text.decode() for text in texts.values())


def test_a_change_of_the_files_is_a_change_of_the_tenant(filled, desk, tmp_path):
    folder = tmp_path / "content"
    report, query, targets, _ = desk("admin@harbor").export(folder)
    report.write_text(report.read_text().replace("Visits of the east", "Visits by month"))
    query.write_text(query.read_text().replace("fct_visits", "fct_charges"))
    targets.write_text(targets.read_text().replace("'80'", "'85'"))
    words = [change.words for change in desk("admin@harbor").plan(folder).changes]
    assert words == [
        "added report 'Visits by month' of east@harbor",
        "ended report 'Visits of the east' of east@harbor",
        "changed query 'Visits' of analyst@harbor",
        "changed target of visits for east from 2026-01-01: 85",
    ]
    assert desk("admin@harbor").apply(folder).errors == ()
    saved, standing = held(filled)
    assert saved["report", "east@harbor", "Visits by month"] == (True, BY_MONTH, "")
    assert standing["visits", "east", date(2026, 1, 1)] == 85
    # What ends is no longer shared; its owner keeps it.
    own = filled.access.reports(Keys.of(filled.home), "harbor", "east@harbor").all()
    assert {(item.name, item.is_shared) for item in own} == {
        *(("Mine", False), ("Visits of the east", False), ("Visits by month", True))
    }
    assert desk("admin@harbor").apply(folder).changes == ()


def test_the_page_on_which_a_report_stands_is_part_of_its_file(filled, desk, tmp_path):
    folder = tmp_path / "content"
    every_unit = BY_MONTH.model_copy(update={"filters": {}})
    reports = filled.access.reports(Keys.of(filled.home), "harbor", "admin@harbor")
    reports.save("Visits", every_unit, is_shared=True, pinned_to="throughput")
    before = held(filled)
    files = desk("admin@harbor").export(folder)
    [pinned] = [path for path in files if "pinned_to: throughput" in path.read_text()]
    assert desk("admin@harbor").apply(folder).changes == ()

    pinned.write_text(pinned.read_text().replace("pinned_to: throughput", "pinned_to: revenue_cycle"))
    assert [change.words for change in desk("admin@harbor").apply(folder).changes] == [
        "changed report 'Visits' of admin@harbor"
    ]
    assert held(filled)[0]["report", "admin@harbor", "Visits"] == (True, every_unit, "revenue_cycle")
    pinned.write_text(pinned.read_text().replace("pinned_to: revenue_cycle\n", ""))
    assert desk("admin@harbor").apply(folder).errors == ()
    assert held(filled)[0]["report", "admin@harbor", "Visits"] == (True, every_unit, "")
    assert {key: value for key, value in held(filled)[0].items() if key[2] != "Visits"} == {
        key: value for key, value in before[0].items() if key[2] != "Visits"
    }


def test_a_target_that_the_files_lack_gets_the_value_before_it_or_ends(filled, desk, tmp_path):
    folder = tmp_path / "content"
    targets = desk("admin@harbor").export(folder)[2]
    kept = yaml.safe_load(targets.read_text())
    targets.write_text(yaml.safe_dump(kept | {"targets": kept["targets"][:1]}))
    assert [change.words for change in desk("admin@harbor").apply(folder).changes] == [
        "changed target of visits for east from 2026-03-01: 80"
    ]
    assert desk("admin@harbor").apply(folder).changes == ()
    targets.write_text(yaml.safe_dump(kept | {"targets": []}))
    assert [change.action for change in desk("admin@harbor").apply(folder).changes] == ["ended", "ended"]
    assert set(held(filled)[1].values()) == {None}
    assert desk("admin@harbor").apply(folder).changes == ()


def alert_lines(place):
    return {AlertLine.of(item).key for item in place.access.alerts.of_tenant("harbor") if item.ended_at is None}


def test_alerts_of_the_files_are_those_of_the_tenant(filled, desk, tmp_path):
    desk("admin@harbor").export(tmp_path)
    file = tmp_path / "alerts.yaml"
    listed = yaml.safe_load(file.read_text())
    assert {line["alarm"]: line.get("threshold") for line in listed["alerts"]} == {"missing": None, "threshold": "80.5"}
    for line in listed["alerts"]:
        if line["alarm"] == "threshold":
            line["threshold"] = "90"
    file.write_text(yaml.safe_dump(listed))
    plan = desk("admin@harbor").apply(tmp_path)
    assert [change.words for change in plan.changes] == [
        "ended alert of east@harbor on visits: threshold below 80.5, each month",
        "added alert of east@harbor on visits: threshold below 90, each month",
    ]
    assert alert_lines(filled) == {MISSING.key, UNDER.model_copy(update={"threshold": Decimal(90)}).key}
    made = next(item for item in filled.access.alerts.going_on() if item.rule.threshold == 90)
    assert (made.email, made.made_by) == ("east@harbor", "admin@harbor")
    listed["alerts"] = []
    file.write_text(yaml.safe_dump(listed))
    assert len(desk("admin@harbor").apply(tmp_path).changes) == 2
    assert alert_lines(filled) == set()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"unit": "west"}, "east@harbor sees no service unit 'west'"),
        ({"owner": "nobody@harbor"}, "owner: 'nobody@harbor' is not a user"),
        ({"owner": "desk@harbor"}, "owner: the role of desk@harbor does not include the page Alerts"),
        ({"metric": "visitz"}, "east@harbor sees no metric 'visitz'"),
        ({"side": "above"}, "an alert on the good side is not made"),
        ({"threshold": None}, "a threshold is needed"),
        ({"least_volume": 3}, "a least volume needs the metric"),
    ],
)
def test_an_alert_that_is_wrong_is_named_and_nothing_is_changed(filled, desk, tmp_path, change, error):
    desk("admin@harbor").export(tmp_path)
    line = UNDER.model_copy(update=change).model_dump(mode="json", exclude_none=True)
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump({"format": 1, "kind": "alerts", "alerts": [line]}))
    before = alert_lines(filled)
    plan = desk("admin@harbor").apply(tmp_path)
    assert len(plan.errors) == 1
    assert "alerts.yaml:2: " in plan.errors[0]
    assert error in plan.errors[0]
    assert alert_lines(filled) == before


def test_a_kind_without_files_is_left_alone(filled, desk, tmp_path):
    folder = tmp_path / "content"
    report, *others = desk("admin@harbor").export(folder)
    for path in others:
        path.unlink()
    (folder / "queries").rmdir()
    before = held(filled)
    report.unlink()
    assert [change.action for change in desk("admin@harbor").apply(folder).changes] == ["ended"]
    after = held(filled)
    assert after[1] == before[1]
    assert after[0]["query", "analyst@harbor", "Visits"][0]
    with pytest.raises(ConfigurationError, match=r"holds no reports, no queries, no targets\.yaml and no alerts\.yaml"):
        desk("admin@harbor").apply(tmp_path)


WRONG = {
    "a metric that there is not": ("- visits", "- visitors", r"\.yaml:7: metrics\.0: the figure visitors is not there"),
    "a breakdown that there is not": (
        "- month",
        "- payers",
        r"\.yaml:9: by\.0: Visits cannot be broken down by payers",
    ),
    "a unit that there is not": (
        "- east",
        "- eest",
        r"\.yaml:12: there is no service unit 'eest'; similar names: ",
    ),
    "an owner that there is not": ("east@harbor", "est@harbor", r"\.yaml:4: owner: 'est@harbor' is not a user"),
    "a page that there is not": (
        "report:",
        "pinned_to: througput\nreport:",
        r"\.yaml:5: pinned_to: there is no page of figures 'througput'; similar names: throughput",
    ),
    "a pinned report with filters": (
        "report:",
        "pinned_to: throughput\nreport:",
        r"\.yaml:5: pinned_to: a report on a page takes the filters of the page",
    ),
    "a report of a private name": ("Visits of the east", "Mine", r"\.yaml:3: east@harbor keeps a report of this name"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_named_and_nothing_is_changed(filled, desk, tmp_path, what):
    old, new, error = WRONG[what]
    folder = tmp_path / "content"
    report, _, targets, _ = desk("admin@harbor").export(folder)
    report.write_text(report.read_text().replace(old, new))
    targets.write_text(targets.read_text().replace("'80'", "'85'"))
    before = held(filled)
    plan = desk("admin@harbor").apply(folder)
    assert len(plan.errors) == 1
    assert re.search(error, plan.errors[0])
    assert held(filled) == before


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("{metric: visitors, valid_from: 2026-01-01, value: '1'}", "yaml:2: no metric is named 'visitors'"),
        ("{metric: visits, unit: x, valid_from: 2026-01-01, value: '1'}", "yaml:2: there is no service unit 'x'"),
        ("{metric: visits, valid_from: 2026-01-01, value: '-1'}", "yaml:2: -1 is not a target"),
    ],
)
def test_a_target_that_is_wrong_is_named(desk, tmp_path, line, error):
    (tmp_path / "targets.yaml").write_text(f"targets:\n- {line}\n")
    plan = desk("admin@harbor").apply(tmp_path)
    assert [error in problem for problem in plan.errors] == [True]


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("targets.yaml", "format: 2\n", "yaml:1: was written by a later release"),
        ("targets.yaml", "format: 1\nkind: report\ntargets: []\n", "yaml:2: kind: Input should be 'targets'"),
        ("targets.yaml", "kind: targets\nkind: targets\n", "yaml:2: kind: is given twice"),
        ("targets.yaml", "targets: [\n", "is not YAML"),
        ("targets.yaml", "targets:\n- {metric: a, valid_from: soon, value: '1'}\n", "yaml:2: targets.0.valid_from"),
        ("targets.yaml", "targets:\n" + "- {metric: a, valid_from: 2026-01-01, value: '1'}\n" * 2, "stands twice"),
        ("reports/a.yaml", "name: a\nowner: b\nreport:\n  metrics: [a]\n  pie: yes\n", "yaml:5: report.pie"),
        ("queries/a.yaml", "name: a\nowner: b\n", "yaml:1: sql: Field required"),
        ("queries/a.yaml", "name: a\nowner: b\nsql: !!python/object:os.system x\n", "is not YAML of this kind"),
    ],
)
def test_a_file_that_is_not_content_is_named(desk, tmp_path, name, text, error):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=error):
        desk("admin@harbor").apply(tmp_path)


def test_only_an_administrator_exports_and_imports(place, desk):
    for user in ("ceo@harbor", "east@harbor", "analyst@harbor"):
        with pytest.raises(AccessError, match="only an administrator"):
            desk(user)
    with place.access._reading.connect() as connection:
        rows = connection.execute(AUDIT.select().where(AUDIT.c.action == "content")).mappings().all()
    assert [row["result"] for row in rows] == ["refused"] * 3


def test_the_commands_say_what_would_change_and_what_changed(filled, tmp_path):
    who = ("--tenant", "harbor", "--as", "admin@harbor", "--home", filled.home.path)
    ran = clinicmart_here("content", "export", *who, "--out", tmp_path / "content")
    assert (ran.code, len(ran.out.splitlines())) == (0, 4)
    report = Path(ran.out.splitlines()[0])
    assert clinicmart_here("content", "import", tmp_path / "content", *who).out == "nothing changes\n"
    report.unlink()
    ran = clinicmart_here("content", "import", tmp_path / "content", *who, "--check")
    assert ran.out == "would be ended report 'Visits of the east' of east@harbor\n"
    ran = clinicmart_here("content", "import", tmp_path / "content", *who)
    assert ran.out == "ended report 'Visits of the east' of east@harbor\n"
    (tmp_path / "content" / "targets.yaml").write_text("format: 1\nkind: targets\ntargets: 7\n")
    ran = clinicmart_here("content", "import", tmp_path / "content", *who)
    assert ran.code == 2
    assert "targets.yaml:3: targets" in ran.err


def test_a_change_that_cannot_be_made_is_named_and_the_same_import_makes_the_others(
    filled, desk, tmp_path, monkeypatch
):
    folder = tmp_path / "content"
    files = desk("admin@harbor").export(folder)
    for name in ("A", "B"):
        item = ReportFile(name=name, owner="admin@harbor", report=BY_MONTH)
        (folder / "reports" / f"{name}.yaml").write_text(yaml.safe_dump(item.model_dump(mode="json")))
    with monkeypatch.context() as patch:
        patch.setattr("serving.people.reports.MOST_SAVED", 1)
        with pytest.raises(ConfigurationError, match="Of 2 changes 1 are made; mend this and import again"):
            desk("admin@harbor").apply(folder)
    assert ("report", "admin@harbor", "A") in held(filled)[0]
    assert [change.words for change in desk("admin@harbor").apply(folder).changes] == [
        "added report 'B' of admin@harbor"
    ]
    assert len(files) == 4


TEXTS = st.text(min_size=1, max_size=40).filter(lambda text: text.strip() == text)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
REPORTS = st.builds(
    ReportFile,
    name=TEXTS,
    owner=TEXTS,
    pinned_to=st.sampled_from(["", "overview", "throughput"]),
    report=st.builds(
        ReportDefinition,
        metrics=st.lists(NAMES, min_size=1, max_size=6, unique=True).map(tuple),
        by=st.lists(NAMES, max_size=2, unique=True).map(tuple),
        filters=st.dictionaries(NAMES, st.lists(st.text("ab 1:'é", min_size=1), min_size=1, max_size=3).map(tuple)),
    ),
)
QUERIES = st.builds(QueryFile, name=TEXTS, owner=TEXTS, sql=TEXTS)
TARGETS = st.builds(
    TargetLine,
    metric=NAMES,
    unit=st.one_of(st.just(""), TEXTS),
    valid_from=st.dates(),
    value=st.one_of(st.none(), st.decimals(allow_nan=False, allow_infinity=False, places=4)),
)


def unique(items):
    return st.lists(items, max_size=4, unique_by=lambda item: item.key).map(tuple)


@settings(deadline=None, max_examples=25)
@given(st.builds(Content, reports=unique(REPORTS), queries=unique(QUERIES), targets=unique(TARGETS)))
def test_any_content_is_read_as_it_was_written(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("content")
    write(content, folder)
    located = Located(folder)
    for kind in ("reports", "queries", "targets"):
        written, read = getattr(content, kind), getattr(located.content, kind)
        assert {item.key: item.as_content() for item in read} == {item.key: item.as_content() for item in written}
    tenant = Tenant(content=content, metrics={}, units=(), people=(), private=(), sight_of=lambda owner: None)
    plan = compare(tenant, located)
    assert (plan.changes, plan.errors) == ((), ())


STEPS = st.dictionaries(st.integers(1, 6), st.one_of(st.none(), st.integers(1, 3).map(Decimal)), max_size=5).map(
    lambda steps: tuple(TargetLine(metric="visits", valid_from=date(2026, 1, day), value=steps[day]) for day in steps)
)


@settings(deadline=None)
@given(STEPS, STEPS)
def test_after_an_import_each_day_has_the_target_of_the_files(held_lines, wanted):
    steps = {line.valid_from: line.value for line in held_lines}
    for change in _targets(held_lines, wanted):
        steps[change.item.valid_from] = change.item.value
    files = {line.valid_from: line.value for line in wanted}
    days = [date(2026, 1, day) for day in range(1, 8)]
    assert [_on(steps, day) for day in days] == [_on(files, day) for day in days]
    kept = tuple(TargetLine(metric="visits", valid_from=day, value=value) for day, value in steps.items())
    assert tuple(_targets(kept, wanted)) == ()


def test_the_name_of_a_file_follows_from_owner_and_name():
    assert file_name("east@harbor", "Visits: by month") == file_name("east@harbor", "Visits: by month")
    assert file_name("east@harbor", "Visits").startswith("visits-")
    assert file_name("east@harbor", "Visits") != file_name("west@harbor", "Visits")
    assert file_name("east@harbor", "../../é").startswith("unnamed-")
