"""The same payment again: it counts once, from any feed and in any form; contradicting payments are held."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.config import Feed
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.interface import Chunk
from ingest.landing.land_feed import land_feed
from ingest.landing.payment_memory import PaymentMemory
from ingest.landing.payments import ENTITIES, Taken, take
from ingest.landing.quarantine import held_rows, held_sentence, release
from ingest.ledger import Ledger
from ingest.load.landed_rows import landed_rows
from ingest.sources import source_for
from ingest.sources.x12 import remittances
from tests.ingest.x12_payments import Claim, Payment, interchange

TEN = Decimal(10)


def claim(
    number: str, paid: int, *, icn: str = "", contractual: int = 30, status: str = "1", reason: str = "45"
) -> Claim:
    takes = (("CO", reason, Decimal(contractual)), ("PR", "2", TEN))
    return Claim(number, status, Decimal(paid + contractual) + TEN, Decimal(paid), icn or f"ICN{number}", takes)


WHOLE = Payment("TRN1", (claim("A1", 80), claim("A2", 70), claim("A3", 0)), (("WO", TEN), ("L6", Decimal(-5))))


class Site:
    """A home that takes files of one tenant's 835 feeds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.home = Home.at(path / "home")
        self.keys, self.ledger = Keys.of(self.home), Ledger(self.home)
        self.runs = itertools.count(1)

    def land(self, *files: str, feed: str = "remits") -> None:
        """One run over some new files of a feed."""
        run = next(self.runs)
        folder = self.path / feed
        folder.mkdir(exist_ok=True)
        for number, text in enumerate(files):
            (folder / f"{run:03d}-{number:03d}.835").write_text(text)
        feed_read = Feed(tenant_id="t", name=feed, kind="x12", path=str(folder), time_zone="America/New_York")
        report = land_feed(self.home, self.keys, self.ledger, feed_read, f"run-{run}")
        assert report.problems == []

    def rows(self, entity: str) -> pl.DataFrame:
        """Landed rows of an entity."""
        keys = {"remittance": "trace_number", "provider_adjustment": "provider_npi"}
        values = ["TRN1", "TRN2", "1234567893", "A1", "A2", "A3", "A4"]
        result = landed_rows(self.home, self.keys, self.ledger, "t", entity, keys.get(entity, "claim_id"), values)
        return pl.DataFrame(result, infer_schema_length=None)

    def figures(self) -> dict[str, tuple[int, Decimal]]:
        """Rows and their money by entity."""
        amounts = {
            "remittance": "payment_amount",
            "remittance_claim": "payer_paid_amount",
            "remittance_line": "payer_paid_amount",
        }
        totals = {}
        for entity in ENTITIES:
            rows = self.rows(entity)
            money = rows[amounts.get(entity, "adjustment_amount")].sum() if rows.height else Decimal(0)
            totals[entity] = (rows.height, Decimal(money))
        return totals

    def notices(self) -> list[str]:
        query = sa.select(tables.notice.c.reason).order_by(tables.notice.c.unit_id)
        return [row["reason"] for row in self.ledger.rows(query) if row["reason"].startswith("payment")]

    def held(self) -> dict[str, int]:
        """Rows held as contradicting, by entity."""
        rows = held_rows(self.ledger)
        assert {row["reason"] for row in rows} <= {"payment_contradicts"}
        return {row["entity"]: row["rows"] for row in rows}

    def is_conserved(self) -> bool:
        """Whether rows and money read are those landed and held, batch by batch."""
        batches = self.ledger.rows(sa.select(tables.batch))
        amounts = self.ledger.rows(sa.select(tables.amount))
        return all(b["rows_read"] == b["rows_landed"] + b["rows_quarantined"] for b in batches) and all(
            Decimal(a["read_amount"]) == Decimal(a["landed_amount"]) + Decimal(a["quarantined_amount"]) for a in amounts
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


ONCE = {
    "remittance": (1, Decimal(145)),
    "remittance_claim": (3, Decimal(150)),
    "remittance_line": (3, Decimal(150)),
    "remittance_adjustment": (6, Decimal(120)),
    "provider_adjustment": (2, Decimal(5)),
}


def test_a_payment_that_is_made_again_on_another_day_counts_once_and_stays_on_its_day(site: Site) -> None:
    site.land(interchange(WHOLE.segments()))
    again = WHOLE.segments(produced="20260228", refs=2)
    site.land(interchange(again, control=2, made="260301", separators="|>\n"))
    assert site.figures() == ONCE
    assert site.notices() == ["payment_came_again"]
    assert {str(day) for day in site.rows("remittance_claim")["adjudicated_date"]} == {"2026-01-19"}
    assert site.is_conserved()


def test_a_payment_that_comes_through_two_feeds_counts_once(site: Site) -> None:
    site.land(interchange(WHOLE.segments()))
    site.land(interchange(WHOLE.segments(), control=9), feed="clearinghouse")
    assert site.figures() == ONCE
    assert site.notices() == ["payment_came_again"]


@pytest.mark.parametrize("runs", [1, 2])
def test_the_parts_of_a_payment_are_one_payment_of_the_whole_amount(site: Site, runs: int) -> None:
    first = WHOLE.only(WHOLE.claims[:1], WHOLE.adjustments)
    second = WHOLE.only(WHOLE.claims[1:])
    files = [interchange(first.segments()), interchange(second.segments(), control=2)]
    for start in range(runs):
        site.land(*files[start::runs])
    assert site.figures() == ONCE
    assert site.notices() == ["payment_in_parts"], "together they balance"
    # The whole after its parts, and a part again, are nothing new.
    site.land(interchange(WHOLE.segments(), control=3), interchange(second.segments(), control=4))
    assert site.figures() == ONCE


@pytest.mark.parametrize(
    "other",
    [
        WHOLE.only((claim("A1", 81), *WHOLE.claims[1:]), WHOLE.adjustments),
        WHOLE.only((claim("A1", 80, reason="97"), *WHOLE.claims[1:]), WHOLE.adjustments),
        WHOLE.only((*WHOLE.claims, claim("A4", 20)), WHOLE.adjustments),
        WHOLE.only(WHOLE.claims, (*WHOLE.adjustments, ("FB", TEN))),
    ],
    ids=["paid", "reason", "one more claim", "one more adjustment"],
)
def test_what_contradicts_a_payment_is_held_until_it_is_released(site: Site, other: Payment) -> None:
    site.land(interchange(WHOLE.segments()), interchange(other.segments(), control=2))
    assert site.figures() == ONCE
    held = site.held()
    assert held["remittance"] == 1
    assert held["remittance_claim"] == len(other.claims)
    assert held["remittance_adjustment"] == 2 * len(other.claims)
    assert site.is_conserved()
    sentence = held_sentence(site.ledger, ["t"])
    assert sentence == f"1 payment, ${WHOLE.paid:,.2f}, held: payment_contradicts; see `clinicmart quarantine list`"
    entry = next(row["held_id"] for row in held_rows(site.ledger) if row["entity"] == "remittance_claim")
    assert release(site.home, site.keys, site.ledger, entry, "release") == (len(other.claims), 0)
    assert site.figures()["remittance_claim"][0] == 3 + len(other.claims)


def test_a_part_that_contradicts_the_other_part_is_held(site: Site) -> None:
    parts = [WHOLE.only([claim("A1", paid)]) for paid in (80, 70)]
    site.land(*(interchange(part.segments(), control=number) for number, part in enumerate(parts, 1)))
    assert site.figures()["remittance_claim"] == (1, Decimal(80))
    assert site.held()["remittance_claim"] == 1


@pytest.mark.parametrize(
    ("amount", "adjustments", "expected_text"),
    [
        (
            "145.01",
            WHOLE.adjustments,
            "claim payments 150.0000 less provider adjustments 5.0000 is not payment 145.0100",
        ),
        (
            "145",
            WHOLE.adjustments[:1],
            "claim payments 150.0000 less provider adjustments 10.0000 is not payment 145.0000",
        ),
        ("14S", WHOLE.adjustments, "claim payments 150.0000 less provider adjustments 5.0000 is not payment not given"),
    ],
)
def test_a_payment_that_does_not_balance_is_shown(
    site: Site, amount: str, adjustments: tuple[tuple[str, Decimal], ...], expected_text: str
) -> None:
    text = interchange(replace(WHOLE, adjustments=adjustments).segments()).replace(
        f"BPR*I*{replace(WHOLE, adjustments=adjustments).paid}*", f"BPR*I*{amount}*"
    )
    site.land(text)
    (notice,) = site.ledger.rows(sa.select(tables.notice))
    assert (notice["reason"], notice["detail"]) == ("payment_out_of_balance", expected_text)
    assert notice["position"] == "ISA 1 GS 1 ST 0001 (segment 3)"


def test_a_payment_that_lacks_a_part_is_shown_once_with_what_is_known_of_it(site: Site) -> None:
    for number, claim in enumerate(WHOLE.claims[:2], 1):
        site.land(interchange(WHOLE.only([claim]).segments(), control=number))
    notices = [row for row in site.ledger.rows(sa.select(tables.notice)) if row["reason"] == "payment_out_of_balance"]
    assert [notice["detail"] for notice in notices] == [
        "claim payments 150.0000 less provider adjustments 0.0000 is not payment 145.0000"
    ]


@pytest.mark.parametrize(
    "other",
    [
        replace(WHOLE, trace="TRN2"),
        replace(WHOLE, payer="P2"),
        replace(WHOLE, company="1888888888"),
        replace(WHOLE, day="20260121"),
        replace(WHOLE, claims=(claim("A1", 81), *WHOLE.claims[1:])),
    ],
    ids=["trace", "payer", "company", "date", "amount"],
)
def test_another_payer_trace_amount_or_date_is_another_payment(site: Site, other: Payment) -> None:
    site.land(interchange(WHOLE.segments()), interchange(other.segments(), control=2))
    assert site.figures()["remittance"][0] == 2
    assert site.figures()["remittance_claim"][0] == 6
    assert site.notices() == []


def test_a_reversal_and_its_correction_are_two_claims_of_a_payment(site: Site) -> None:
    taken = Claim("A1", "22", Decimal(-120), Decimal(-80), "ICN1", (("CO", "45", Decimal(-30)), ("PR", "2", -TEN)))
    payment = Payment("TRN1", (taken, claim("A1", 90, contractual=20), claim("A1", 90, contractual=20)))
    site.land(interchange(payment.segments()))
    site.land(interchange(replace(payment, claims=payment.claims[::-1]).segments(), control=2))
    assert site.figures()["remittance_claim"] == (3, Decimal(100))
    assert site.rows("remittance_claim")["remittance_claim_id"].n_unique() == 3


def test_payments_without_a_trace_are_told_apart_by_their_claims(site: Site) -> None:
    untraced = replace(WHOLE, trace="")
    other = replace(untraced, claims=(claim("A4", 150),))
    site.land(interchange(untraced.segments()), interchange(other.segments(), control=2))
    site.land(interchange(untraced.segments(refs=1), control=3))
    assert site.figures()["remittance_claim"] == (4, Decimal(300))
    assert site.notices() == ["payment_came_again"]


def test_what_a_killed_run_noted_does_not_count(site: Site) -> None:
    site.land(interchange(WHOLE.segments()))
    with site.ledger.write() as connection:
        connection.execute(sa.update(tables.unit).values(outcome="reading"))
        connection.execute(sa.delete(tables.batch))
    site.land()
    assert site.figures() == ONCE
    assert site.notices() == []


def test_a_file_that_is_read_again_under_another_profile_replaces_its_own_rows(site: Site) -> None:
    site.land(interchange(WHOLE.segments()), interchange(WHOLE.segments(refs=1), control=2))
    with site.ledger.write() as connection:
        connection.execute(sa.update(tables.unit).values(definition="another profile"))
    site.land()
    site.land(interchange(WHOLE.segments(refs=2), control=3))
    claims = site.rows("remittance_claim")
    assert (claims.height, claims["remittance_claim_id"].n_unique()) == (6, 3)
    assert site.held() == {}


def lose_memory(site: Site) -> None:
    """Removes what the home keeps of its payments beside the landed rows."""
    for path in site.home.folder("payments").glob("t.sqlite*"):
        path.unlink()


def test_a_lost_memory_is_made_from_the_landed_rows(site: Site) -> None:
    site.land(interchange(WHOLE.only(WHOLE.claims[:2], WHOLE.adjustments).segments()))
    lose_memory(site)
    site.land(interchange(WHOLE.segments(), control=2))
    assert site.figures() == ONCE
    assert site.notices() == ["payment_came_again", "payment_in_parts"]


def test_payments_that_an_earlier_release_landed_are_known_and_keep_their_ids(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = WHOLE.only(WHOLE.claims[:2], WHOLE.adjustments)
    with monkeypatch.context() as earlier:
        # An earlier release named a payment by a digest of its text, and its claims by their place.
        old_id = pl.Series("remittance_id", ["TRN1-0123456789abcdef"])
        earlier.setattr(remittances, "payment_ids", lambda payment, claims: old_id)
        earlier.setattr(remittances, "claim_marks", lambda claims, cas: claims["claim_ordinal"].cast(pl.String))
        site.land(interchange(part.segments()))
    lose_memory(site)
    site.land(interchange(part.segments(produced="20260301"), control=2))
    assert site.notices() == ["payment_came_again"]
    site.land(interchange(WHOLE.segments(), control=3))
    assert site.figures() == ONCE
    assert set(site.rows("remittance_claim")["remittance_id"]) == {"TRN1-0123456789abcdef"}
    other = WHOLE.only((claim("A1", 81), *WHOLE.claims[1:]), WHOLE.adjustments)
    site.land(interchange(other.segments(), control=4))
    assert site.held()["remittance"] == 1


def read(folder: Path, text: str) -> Chunk:
    """The one chunk of a small file."""
    (folder / "a.835").write_text(text)
    feed = Feed(tenant_id="t", name="x12", kind="x12", path=str(folder / "a.835"), time_zone="America/New_York")
    (unit,) = source_for("x12").discover(feed)
    (chunk,) = source_for("x12").read(unit)
    return chunk


def union(takens: Sequence[Taken]) -> dict[str, pl.DataFrame]:
    """What several chunks land together."""
    return {
        entity: pl.concat([t.rows[entity] for t in takens if entity in t.rows], how="diagonal_relaxed").drop(
            "source_position", "source_updated_at"
        )
        for entity in ENTITIES
        if any(entity in t.rows for t in takens)
    }


def memory_of(home: Home) -> PaymentMemory:
    """An empty memory to which units 1 to 19 are being landed."""
    memory = PaymentMemory.of(home, Keys.of(home), Ledger(home), "t")
    for unit_id in range(1, 20):
        memory.begin(unit_id)
    return memory


claims = st.builds(
    claim,
    st.sampled_from(["A1", "A2", "A3", "A4"]),
    st.integers(0, 90),
    icn=st.sampled_from(["", "ICN9"]),
    contractual=st.integers(0, 40),
    status=st.sampled_from(["1", "2", "4"]),
)


@settings(max_examples=25, deadline=None)
@given(
    st.data(),
    st.lists(claims, min_size=1, max_size=7),
    st.lists(st.sampled_from([("WO", TEN), ("L6", -TEN)]), max_size=3),
)
def test_however_a_payment_is_written_again_it_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    entity_contract: list[Claim],
    taken: list[tuple[str, Decimal]],
) -> None:
    folder = tmp_path_factory.mktemp("again")
    home = Home.at(folder / "home")
    memory = memory_of(home)
    payment = Payment("TRN1", tuple(entity_contract), tuple(taken))
    first = take(memory, 1, read(folder, interchange(payment.segments())))
    expected = union([first])
    order = data.draw(st.permutations(payment.claims))
    written = interchange(
        replace(payment, claims=tuple(order)).segments(produced="20260301", refs=data.draw(st.integers(0, 2))),
        control=data.draw(st.integers(1, 99)),
        separators=data.draw(st.sampled_from(["*:~", "|>\n", "&;'"])),
        line_end=data.draw(st.sampled_from(["", "\r\n"])),
        made="260301",
    )
    again = take(memory, 2, read(folder, written))
    assert again.withheld == {}
    assert [notice.reason for notice in again.notices] == ["payment_came_again"]
    assert first.notices == []
    assert union([first, again]).keys() == expected.keys()
    for entity, frame in union([first, again]).items():
        assert frame.equals(expected[entity]), entity


@settings(max_examples=25, deadline=None)
@given(st.data(), st.lists(claims, min_size=1, max_size=7, unique_by=lambda c: (c.number, c.status, c.icn)))
def test_the_parts_of_a_payment_add_up_to_it_in_any_order_and_however_often(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, entity_contract: list[Claim]
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    home = Home.at(folder / "home")
    memory = memory_of(home)
    payment = Payment("TRN1", tuple(entity_contract), (("WO", TEN),))
    places = data.draw(st.lists(st.integers(0, 2), min_size=len(entity_contract), max_size=len(entity_contract)))
    parts = [
        payment.only([c for c, place in zip(entity_contract, places, strict=True) if place == k], payment.adjustments)
        for k in range(3)
    ]
    parts = [part for part in parts if part.claims]
    sent = data.draw(st.permutations(parts + data.draw(st.lists(st.sampled_from([*parts, payment]), max_size=3))))
    takens = [
        take(memory, number, read(folder, interchange(part.segments(refs=number % 2), control=number)))
        for number, part in enumerate(sent, 1)
    ]
    assert all(not taken.withheld for taken in takens)
    whole = read(folder, interchange(payment.segments())).rows
    landed = union(takens)
    for entity in ("remittance", "remittance_claim", "provider_adjustment"):
        assert sorted(landed[entity][f"{entity}_id"]) == sorted(whole[entity][f"{entity}_id"]), entity
    for entity in ("remittance_line", "remittance_adjustment"):
        assert landed[entity].height == whole[entity].height
