"""Worklists: whose rows they are, what is noted on them, what came of it, and that ids and notes are sealed."""

import sqlite3
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from serving.people.store import AccessStore
from serving.people.work_entries import Entry
from serving.reader import open_reader
from serving.worklists import work as working
from serving.worklists.lists import LISTS
from serving.worklists.work import MINE, TO_DO, WORKED

TODAY = date(2026, 11, 30)
# Of the denied charges of the small warehouse those decided late are open; the others came in later.
LIST = replace(
    LISTS["denials"],
    metric="denied_charges",
    key="charge_id",
    is_open="decided_date > date '2026-02-10'",
    amount="billed_amount",
    columns=("decided_date", "service_unit_id", "payer_id"),
    solved="is_denied and decided_date <= date '2026-02-10'",
    solved_on="decided_date + 3000",
    recovered="billed_amount",
)


@pytest.fixture
def lists(monkeypatch):
    monkeypatch.setattr(working, "LISTS", {"denials": LIST})


def page_of(reader, **how):
    return reader.worklists.work("denials", how.pop("unit", None), TODAY, **how)


@pytest.fixture
def biller(lists, reader):
    return reader("biller@harbor")


def test_a_list_is_the_open_rows_of_the_drill_in_the_scope(lists, reader):
    admin, biller = reader("admin@harbor"), reader("biller@harbor")
    whole, west = page_of(admin, limit=1000), page_of(biller, limit=1000)
    drilled = admin.drill("denied_charges", {}, limit=1000).frame
    is_open = drilled["decided_date"] > date(2026, 2, 10)
    assert set(whole.rows["row_id"]) == set(drilled.filter(is_open)["charge_id"])
    assert whole.open_rows == whole.shown_rows == whole.rows.height > west.open_rows > 0
    assert whole.open_amount == Decimal("100.25") * whole.open_rows
    assert set(west.rows["service_unit_id"]) == {"west"}
    assert page_of(admin, unit="west", limit=1000).rows.equals(west.rows)
    with pytest.raises(AccessError):
        page_of(biller, unit="lab")


@pytest.mark.parametrize("user", ["ceo@harbor", "analyst@harbor", "doctor@harbor", "partner@harbor"])
def test_roles_that_do_not_work_on_lists_have_none(place, lists, reader, user):
    person = reader(user)
    assert person.worklists.names == ()
    with pytest.raises(AccessError):
        page_of(person)
    with pytest.raises(AccessError):
        person.worklists.set("denials", Entry(row_id="c0", state="done", outcome="appealed"))
    assert [row.result for row in place.access.audit_rows("harbor")[:2]] == ["refused", "refused"]


def test_an_entry_is_on_the_row_and_the_earlier_ones_are_kept(place, biller):
    row_id = page_of(biller).rows["row_id"][-1]
    biller.worklists.set(
        "denials", Entry(row_id=row_id, state="waiting", owner="biller@harbor", note="asked the payer")
    )
    biller.worklists.set(
        "denials", Entry(row_id=row_id, state="in progress", owner="biller@harbor", due=date(2026, 12, 5))
    )
    first = page_of(biller).rows.row(0, named=True)
    assert (first["row_id"], first["state"], first["owner"], first["note"], first["due"]) == (
        row_id,
        "in progress",
        "biller@harbor",
        "",
        date(2026, 12, 5),
    )
    work = page_of(biller)
    assert (work.mine, work.due_soon) == (1, 1)
    assert page_of(biller, show=MINE).rows["row_id"].to_list() == [row_id]
    history = biller.worklists.history("denials", row_id)
    assert [(entry.state, entry.note, entry.set_by) for entry in history] == [
        ("waiting", "asked the payer", "biller@harbor"),
        ("in progress", "", "biller@harbor"),
    ]
    (due,) = biller.worklists.due(TODAY)
    assert (due.rows, due.amount, due.first) == (1, Decimal("100.25"), date(2026, 12, 5))
    audited = place.access.audit_rows("harbor", action="worklist set")
    assert [row.detail["state"] for row in audited] == ["in progress", "waiting"]
    assert "asked" not in str(audited)
    assert place.access.verify_audit().is_intact


def test_a_look_at_a_list_is_audited_with_the_rows_shown(place, biller):
    work = page_of(biller, limit=2)
    (row,) = place.access.audit_rows("harbor", action="worklist")
    assert (row.actor, row.detail["people"]) == ("biller@harbor", work.rows["row_id"].to_list())


def test_ids_and_notes_cannot_be_read_in_the_database(place, biller):
    row_id = page_of(biller).rows["row_id"][0]
    biller.worklists.set("denials", Entry(row_id=row_id, state="waiting", note="asked about Mrs Ibarra"))
    with sqlite3.connect(place.home.access) as connection:
        ((kept_id, note),) = connection.execute("select row_id, note from work_entry").fetchall()
    assert row_id not in kept_id
    assert "Ibarra" not in note
    assert b"Ibarra" not in place.home.access.read_bytes()


def test_a_row_of_another_unit_or_tenant_is_as_if_it_did_not_exist(place, lists, reader):
    admin, biller = reader("admin@harbor"), reader("biller@harbor")
    other = next(r["row_id"] for r in page_of(admin, limit=99).rows.to_dicts() if r["service_unit_id"] == "lab")
    for row_id in (other, "nowhere", "' or true --"):
        with pytest.raises(AccessError, match="no such row"):
            biller.worklists.set("denials", Entry(row_id=row_id, state="waiting"))
    # The tenants share identifiers: what harbor notes is not on mesa's row of the same id.
    shared = page_of(reader("admin@mesa"), limit=1000).rows["row_id"][0]
    admin.worklists.set("denials", Entry(row_id=shared, state="waiting", note="harbor's"))
    rows = page_of(reader("admin@mesa"), limit=1000).rows
    assert set(rows["state"]) == {"open"}
    assert set(rows["note"]) == {""}


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"state": "lost"}, "not a state"),
        ({"state": "done"}, "needs an outcome"),
        ({"state": "done", "outcome": "charge entered"}, "not an outcome of this list"),
        ({"state": "waiting", "note": "x" * 501}, "at most 500 characters"),
    ],
)
def test_what_a_list_does_not_take_is_refused(biller, entry, why):
    row_id = page_of(biller).rows["row_id"][0]
    with pytest.raises(ConfigurationError, match=why):
        biller.worklists.set("denials", Entry(row_id=row_id, **entry))
    assert set(page_of(biller).rows["state"]) == {"open"}


def test_what_was_worked_is_measured_by_what_the_feeds_report(lists, reader):
    admin, biller = reader("admin@harbor"), reader("biller@harbor")
    drilled = biller.drill("denied_charges", {}, limit=1000).frame
    solved = drilled.filter(drilled["decided_date"] <= date(2026, 2, 10))["charge_id"].to_list()[:2]
    waits = page_of(biller).rows["row_id"][0]
    for row_id in [*solved, waits]:
        biller.worklists.set("denials", Entry(row_id=row_id, state="done", outcome="appealed"))
    work = page_of(biller)
    assert (work.worked, work.solved, work.recovered) == (3, 2, Decimal("200.50"))
    assert waits not in page_of(biller, show=TO_DO, limit=1000).rows["row_id"].to_list()
    assert page_of(biller, show=WORKED).rows["row_id"].to_list() == [waits]
    # Counted in the scope alone.
    east = reader("east@harbor")
    assert (page_of(east).worked, page_of(east).recovered) == (0, 0)
    assert page_of(admin).worked == 3


@pytest.mark.slow
def test_the_lists_of_the_demo_are_rows_of_their_metrics(demo_home):
    home = Home.at(demo_home)
    admin = open_reader(home, AccessStore.open(home).principal("harbor", "admin@harbor"))
    assert set(admin.worklists.names) == set(LISTS)
    for name, item in LISTS.items():
        work = admin.worklists.work(name, None, TODAY, limit=1000)
        drilled = admin.drill(item.metric, {}, limit=10_000).frame
        assert work.rows.height > 0
        assert set(work.rows["row_id"]) <= set(drilled[item.key])
        first = work.rows["row_id"][0]
        admin.worklists.set(name, Entry(row_id=first, state="done", outcome=item.outcomes[0]))
        assert admin.worklists.work(name, None, TODAY).worked == 1
        admin.worklists.set(name, Entry(row_id=first, state="open"))
        assert admin.worklists.work(name, None, TODAY).worked == 0
