"""Annotations: who sees, writes, changes and removes them, and what follows from the published data."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as some

from clinicmart.main import cli
from foundation.errors import AccessError, ConfigurationError
from serving.annotations import FEED_GAP, LONGEST_SENTENCE, check_sentence, concerns
from serving.people.annotations import Annotation
from serving.versions import health as published

MAY = date(2026, 5, 4)
SENTENCE = "Flooding closed the clinic"


def of(unit="", sentence=SENTENCE, first=MAY, last=None, **about):
    return Annotation(sentence=sentence, first_day=first, last_day=last or first, service_unit_id=unit, **about)


def seen(reader):
    return [(item.sentence, item.service_unit_id) for item in reader.annotations.standing()]


def rows(place, action, tenant="harbor"):
    return [(row.actor, row.result) for row in place.access.audit_rows(tenant, action=action)]


def test_a_person_sees_annotations_of_the_own_units_of_those_above_and_of_no_others(place, reader):
    admin = reader("admin@harbor")
    for unit in ("", "group", "east", "lab", "west"):
        admin.annotations.add(of(unit, f"of {unit or 'all'}"))
    everything = {"of all", "of group", "of east", "of lab", "of west"}
    assert {name for name, _ in seen(admin)} == {name for name, _ in seen(reader("analyst@harbor"))} == everything
    assert {name for name, _ in seen(reader("east@harbor"))} == everything - {"of west"}
    assert {name for name, _ in seen(reader("biller@harbor"))} == {"of all", "of group", "of west"}
    # The other tenant has the same ids of units.
    assert seen(reader("admin@mesa")) == []
    for user in ("desk", "nurse", "partner"):
        with pytest.raises(AccessError, match="your role does not read annotations"):
            reader(f"{user}@harbor").annotations.standing()
        with pytest.raises(AccessError, match="your role does not read annotations"):
            reader(f"{user}@harbor").annotations.automatic()
    assert rows(place, "annotations").count(("desk@harbor", "refused")) == 2


def test_annotations_of_figures_and_pages_that_a_person_does_not_have_are_not_seen(place, reader):
    admin = reader("admin@harbor")
    admin.annotations.add(of(sentence="of beds", page="throughput"))
    admin.annotations.add(of(sentence="of visits", metric="visits"))
    admin.annotations.add(of(sentence="of money", page="revenue_cycle"))
    assert {name for name, _ in seen(reader("doctor@harbor"))} == {"of beds", "of visits", "of money"}
    assert {name for name, _ in seen(reader("biller@harbor"))} == {"of money"}


@pytest.mark.parametrize("user", ["doctor", "biller", "analyst", "desk", "nurse", "partner"])
def test_other_roles_write_no_annotations(place, reader, user):
    made = reader("admin@harbor").annotations.add(of())
    attacker = reader(f"{user}@harbor").annotations
    for act in (
        lambda: attacker.add(of()),
        lambda: attacker.change(made.annotation_id, of()),
        lambda: attacker.remove(made.annotation_id),
    ):
        with pytest.raises(AccessError):
            act()
    assert not attacker.may_write
    assert [item.sentence for item in reader("admin@harbor").annotations.standing()] == [SENTENCE]
    for action in ("annotation added", "annotation changed", "annotation removed"):
        assert (f"{user}@harbor", "refused") in rows(place, action)


def test_a_manager_writes_for_the_own_units_alone(place, reader):
    east = reader("east@harbor").annotations
    east.add(of("lab"))
    for unit in ("", "west", "group", "elsewhere"):
        with pytest.raises(AccessError):
            east.add(of(unit))
    assert len(place.access.audit_rows("harbor", action="annotation added")) == 5
    assert seen(reader("admin@harbor")) == [(SENTENCE, "lab")]


def test_only_the_author_and_administrators_change_and_remove(place, reader):
    ceo, east, admin = (reader(f"{name}@harbor").annotations for name in ("ceo", "east", "admin"))
    by_ceo, by_east = ceo.add(of("east")), east.add(of("east"))
    for person, strange in ((east, by_ceo), (ceo, by_east)):
        assert not person.may_change(strange)
        with pytest.raises(AccessError, match="only its author or an administrator"):
            person.remove(strange.annotation_id)
        with pytest.raises(AccessError, match="only its author or an administrator"):
            person.change(strange.annotation_id, of("east", "mine now"))
    east.change(by_east.annotation_id, of("lab", "The lab moved", last=MAY + timedelta(days=2)))
    admin.change(by_east.annotation_id, of("east", "East moved"))
    standing = next(item for item in admin.standing() if item.annotation_id == by_east.annotation_id)
    assert (standing.sentence, standing.author, standing.set_by) == ("East moved", "east@harbor", "admin@harbor")
    admin.remove(by_east.annotation_id)
    assert seen(reader("admin@harbor")) == [(SENTENCE, "east")]
    with pytest.raises(AccessError, match="there is no annotation"):
        admin.remove(by_east.annotation_id)


def test_an_id_of_the_other_tenant_opens_nothing(place, reader):
    made = reader("admin@harbor").annotations.add(of("east"))
    stranger = reader("admin@mesa").annotations
    for act in (lambda: stranger.remove(made.annotation_id), lambda: stranger.change(made.annotation_id, of("east"))):
        with pytest.raises(AccessError, match="there is no annotation"):
            act()
    assert seen(reader("admin@harbor")) == [(SENTENCE, "east")]
    # What one tenant sealed does not open under the key of the other.
    with closing(sqlite3.connect(place.home.access)) as connection:
        connection.execute("update annotation set tenant_id = 'mesa'")
        connection.commit()
    with pytest.raises(Exception, match=r"^$"):
        stranger.standing()


def test_every_version_is_kept_for_administrators_and_audited_without_the_sentence(place, reader):
    ceo, admin = reader("ceo@harbor").annotations, reader("admin@harbor").annotations
    made = ceo.add(of("east", "first words"))
    ceo.change(made.annotation_id, of("east", "second words"))
    ceo.remove(made.annotation_id)
    assert [(item.sentence, item.is_removed) for item in admin.versions()] == [
        ("first words", False),
        ("second words", False),
        ("second words", True),
    ]
    with pytest.raises(AccessError, match="only an administrator"):
        ceo.versions()
    for action in ("annotation added", "annotation changed", "annotation removed"):
        assert rows(place, action) == [("ceo@harbor", "done")]
    assert "words" not in str(place.access.audit_rows("harbor"))
    assert b"words" not in b"".join(path.read_bytes() for path in place.home.path.glob("access.sqlite*"))
    assert place.access.verify_audit().is_intact


def test_a_look_at_annotations_is_audited(place, reader):
    reader("analyst@harbor").annotations.standing()
    assert rows(place, "annotations") == []
    reader("admin@harbor").annotations.add(of())
    reader("analyst@harbor").annotations.standing()
    assert rows(place, "annotations") == [("analyst@harbor", "done")]


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (of(sentence="  "), "write a sentence"),
        (of(sentence="x" * (LONGEST_SENTENCE + 1)), "write a sentence"),
        (of(sentence="patient 10045678 came"), "long number"),
        (of(last=MAY - timedelta(days=1)), "its last day is not before its first"),
        (of(last=MAY + timedelta(days=366)), "for 1 to 366 days"),
        (of(page="elsewhere"), "no page of figures is named"),
        (of(metric="elsewhere"), "no metric is named"),
        (of(page="no_show", metric="visits"), "not about both"),
    ],
)
def test_what_cannot_be_an_annotation_is_refused_and_audited(place, reader, annotation, why):
    with pytest.raises(ConfigurationError, match=why):
        reader("admin@harbor").annotations.add(annotation)
    assert seen(reader("admin@harbor")) == []
    assert rows(place, "annotation added") == [("admin@harbor", "refused")]


@given(some.integers(0, 10**14), some.text(some.characters(categories=["L", "Zs"]), max_size=40))
def test_a_number_that_may_lead_to_a_patient_is_found_anywhere(number, text):
    sentence = f"closed {text} {number}"
    if number < 100_000:
        assert str(number) in check_sentence(sentence)
    elif number > 999_999:
        with pytest.raises(ConfigurationError, match="long number"):
            check_sentence(sentence)


def test_annotations_on_the_command_line(place, reader):
    def run(*arguments, user="admin@harbor"):
        whose = ("--home", str(place.home.path), "--tenant", "harbor", "--as", user)
        return CliRunner().invoke(cli, ["annotations", *arguments, *whose])

    added = run("add", SENTENCE, "--from", "2026-05-04", "--unit", "east", "--json", user="ceo@harbor")
    annotation_id = json.loads(added.output)["annotation"]
    # What is not given stays as it is.
    assert run("change", annotation_id, "The lab moved", "--to", "2026-05-06").exit_code == 0
    assert run("change", "0a1b2c3d", "The lab moved").exit_code == 1
    # Another first day alone leaves the last day.
    assert run("change", annotation_id, "The lab moved", "--from", "2026-05-02").exit_code == 0
    (listed,) = [row for row in json.loads(run("list", "--json").output) if row["annotation"]]
    assert (listed["from"], listed["to"]) == ("2026-05-02", "2026-05-06")
    assert run("change", annotation_id, "The lab moved", "--from", "2026-05-04").exit_code == 0
    (listed,) = [row for row in json.loads(run("list", "--json").output) if row["annotation"]]
    assert (listed["sentence"], listed["from"], listed["to"]) == ("The lab moved", "2026-05-04", "2026-05-06")
    assert listed["unit"] == "east"
    assert (listed["author"], listed["set_by"]) == ("ceo@harbor", "admin@harbor")
    refused = run("remove", annotation_id, user="biller@harbor")
    assert refused.exit_code == 1
    assert "there is no annotation" in str(refused.exception)
    assert run("remove", annotation_id).exit_code == 0
    assert [row for row in json.loads(run("list", "--json").output) if row["annotation"]] == []
    assert len(json.loads(run("list", "--history", "--json").output)) == 5
    assert "write a sentence of 1 to 200" in str(run("add", "x" * 201, "--from", "2026-05-04").exception)


TREE = {"top": ("top",), "a": ("top", "a"), "a1": ("top", "a", "a1"), "b": ("top", "b")}


@given(some.sampled_from(sorted(TREE)), some.sampled_from(sorted(TREE)))
def test_an_annotation_concerns_the_unit_those_below_it_and_those_above_it(unit, place):
    is_related = unit in TREE[place] or place in TREE[unit]
    assert concerns(TREE[place], unit, TREE[unit]) == is_related
    assert concerns((), unit, TREE[unit])
    assert concerns(TREE[place], "", ())


def coverage(statuses, feed="adt"):
    days = [MAY + timedelta(days=index) for index in range(len(statuses))]
    names = {"x": "missing", "c": "closed_day", ".": "as_expected"}
    return pl.DataFrame({"feed": feed, "day": days, "status": [names[status] for status in statuses]})


@pytest.mark.parametrize(
    ("statuses", "gaps"),
    [
        ("....", []),
        (".x..xx.", [(1, 1), (4, 5)]),
        # Closed days between missing ones belong to the gap, those at its ends do not.
        (".cxccxc.", [(2, 5)]),
        ("ccc", []),
    ],
)
def test_missing_days_that_follow_each_other_are_one_gap(statuses, gaps):
    alerts = pl.DataFrame(schema={"feed": pl.String, "kind": pl.String, "since": pl.Date})
    frame = published._missing(coverage(statuses), alerts).sort("first_day")
    days = [(row["first_day"] - MAY, row["last_day"] - MAY) for row in frame.iter_rows(named=True)]
    assert [(first.days, last.days) for first, last in days] == gaps


def test_a_feed_that_stopped_has_one_gap_up_to_the_last_day_of_the_data():
    alerts = pl.DataFrame({"feed": ["adt"], "kind": ["stopped"], "since": [MAY + timedelta(days=4)]})
    missing = published._missing(coverage(".x..xxxx"), alerts)
    assert missing["first_day"].to_list() == [MAY + timedelta(days=1)]
    lasting = published._lasting(alerts, MAY + timedelta(days=7))
    assert lasting.select("kind", "first_day", "last_day").rows() == [
        ("stopped", MAY + timedelta(days=4), MAY + timedelta(days=7))
    ]


def test_a_gap_stands_on_the_pages_that_rest_on_the_feed(place, reader, monkeypatch):
    frame = pl.DataFrame(
        {
            "feed": ["adt", "badges"],
            "kind": ["missing", "missing"],
            "first_day": [MAY, MAY],
            "last_day": [MAY, MAY],
            "entities": [["appointment"], None],
        }
    )
    monkeypatch.setattr("serving.annotations.published_gaps", lambda *_: frame)
    (gap,) = [item for item in reader("analyst@harbor").annotations.automatic() if item.kind == FEED_GAP]
    assert gap.sentence == "Feed adt brought nothing"
    assert "no_show" in gap.pages
    assert "payer_mix" not in gap.pages
    # Throughput alone rests on shifts, and billing staff do not have that page.
    monkeypatch.setattr(
        "serving.annotations.published_gaps",
        lambda *_: frame.with_columns(entities=pl.Series([["staff_shift"], ["appointment", "staff_shift"]])),
    )
    gaps = {
        user: [(item.sentence, item.pages) for item in reader(f"{user}@harbor").annotations.automatic() if item.pages]
        for user in ("analyst", "biller")
    }
    assert gaps["analyst"] == [
        ("Feed adt brought nothing", ("throughput",)),
        ("Feed badges brought nothing", ("overview", "throughput", "no_show")),
    ]
    assert gaps["biller"] == [("Feed badges brought nothing", ("overview", "no_show"))]
    assert replace(gap, pages=()).pages == ()
