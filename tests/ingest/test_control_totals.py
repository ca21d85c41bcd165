"""Control totals: money that is read lands or is held, and a source's own count is what its reader gave."""

import tempfile
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts import contract
from foundation.config import Feed
from ingest import ledger as tables
from ingest.control_totals import MoneyMismatch, amount_columns, conserved, payload_totals, totals
from ingest.landing.contract_gate import check
from ingest.sources.pm_database import links
from ingest.sources.x12.reader import SOURCE
from ingest.sources.x12.segments import BatchRows
from tests.ingest import test_landing
from tests.ingest.test_landing import Site, remittance

site = test_landing.site

CHARGE = contract("charge")
AMOUNTS = st.one_of(
    st.decimals(min_value=-(10**9), max_value=10**9, places=2).map(str),
    st.sampled_from(["", " 12.50 ", "abc", "1,000.00", "9" * 30, "1e3"]),
    st.none(),
)


@given(st.lists(st.tuples(AMOUNTS, st.sampled_from(["posted", "void", "elsewhere", None])), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_whatever_amounts_come_what_was_read_landed_or_is_held(rows: list[tuple[str | None, str | None]]) -> None:
    frame = pl.DataFrame(
        [
            {
                "charge_id": str(number),
                "billed_amount": amount,
                "status": status,
                "source_record_id": str(number),
                "source_position": f"row {number}",
                "source_updated_at": "2026-01-01T00:00:00Z",
                "patient_id": "p",
            }
            for number, (amount, status) in enumerate(rows)
        ],
        schema_overrides={"billed_amount": pl.String, "status": pl.String},
    )
    gated = check(CHARGE, frame)
    (row,) = conserved(CHARGE, totals(CHARGE, [frame]), totals(CHARGE, [gated.good]), payload_totals(CHARGE, gated.bad))
    assert Decimal(row["read_amount"]) == Decimal(row["landed_amount"]) + Decimal(row["quarantined_amount"])
    good = sum((Decimal(str(value)) for value in gated.good["billed_amount"]), Decimal(0))
    assert Decimal(row["landed_amount"]) == good


def test_money_that_went_missing_between_reader_and_landing_is_named_with_its_column() -> None:
    read, landed = {"billed_amount": Decimal("10.0000")}, {"billed_amount": Decimal("9.9900")}
    with pytest.raises(MoneyMismatch, match=r"charge\.billed_amount: 10\.0000 were read, 9\.9900 landed"):
        conserved(CHARGE, read, landed, {"billed_amount": Decimal(0)})


def test_every_contract_with_money_is_summed() -> None:
    assert amount_columns(contract("remittance_claim")) == (
        "billed_amount",
        "payer_paid_amount",
        "patient_responsibility_amount",
        "allowed_amount",
    )
    assert amount_columns(contract("encounter")) == ()


def stated(site: Site) -> dict[tuple[str, str], tuple[Decimal, Decimal]]:
    """Entity and measure to what the source said and what its reader gave."""
    return {
        (row["entity"], row["measure"]): (Decimal(row["stated_total"]), Decimal(row["given_total"]))
        for row in site.ledger.rows(sa.select(tables.stated))
    }


def test_a_remittance_says_how_many_claims_it_holds_and_what_they_paid(site: Site) -> None:
    (site.remits / "a.835").write_text(remittance(1, [("C1", "100.00", "80.00"), ("C2", "50.25", "0.00")]))
    site.land("remits")
    result = stated(site)
    assert result["remittance_claim", "rows"] == (2, 2)
    assert result["remittance_claim", "billed_amount"] == (Decimal("150.25"), Decimal("150.25"))
    assert result["remittance_claim", "payer_paid_amount"] == (Decimal("80"), Decimal("80"))
    assert result["remittance", "rows"] == (1, 1)


def test_a_reader_that_loses_a_claim_is_found_out_by_what_the_file_says(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.sources.x12 import reader as x12

    real = x12._READERS["835"]

    def loses_one(*arguments: object) -> BatchRows:
        result = real(*arguments)  # type: ignore[arg-type]
        result.rows["remittance_claim"] = result.rows["remittance_claim"].head(1)
        return result

    monkeypatch.setitem(x12._READERS, "835", loses_one)
    (site.remits / "a.835").write_text(remittance(1, [("C1", "100.00", "80.00"), ("C2", "50.25", "7.00")]))
    site.land("remits")
    assert stated(site)["remittance_claim", "rows"] == (2, 1)
    assert stated(site)["remittance_claim", "payer_paid_amount"] == (Decimal("87"), Decimal("80"))


def test_a_pm_database_counts_what_is_read_whole(site: Site) -> None:
    site.land("pm")
    assert stated(site)["payer", "rows"] == (3, 3)
    # From the cursor on is not the whole: nothing is stated of it.
    site.change("update payers set name = 'Other', updated_at = '2026-03-09 08:00:00' where payer_id = 'P1'")
    site.land("pm")
    assert len(site.ledger.rows(sa.select(tables.stated).where(tables.stated.c.entity == "payer"))) == 1


def test_a_database_that_somebody_writes_to_during_the_read_states_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = links.RowLink.blocks

    def with_a_new_row(self: links.RowLink, *arguments: Any) -> Any:
        site.change(
            "insert into payers (payer_id, effective_from, name, payer_class, updated_at) "
            "select 'N' || (select count(*) from payers), '1900-01-01', 'New', 'commercial', '2026-03-10 08:00:00'"
        )
        yield from real(self, *arguments)

    monkeypatch.setattr(links.RowLink, "blocks", with_a_new_row)
    site.land("pm")
    assert stated(site) == {}


SEGMENTS = (
    remittance(1, [("C1", "100.00", "80.00"), ("C2", "50.25", "7.00")]).split("GS*HP")[1].split("GE*1")[0].split("~")
)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_sent_twice_left_out_or_moved_what_the_file_says_is_what_the_reader_gives(
    data: st.DataObject,
) -> None:
    body = list(SEGMENTS[1:-2])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(1, len(body) - 1))
        match data.draw(st.sampled_from(["again", "gone", "moved", "broken"])):
            case "again":
                body.insert(place, data.draw(st.sampled_from(body)))
            case "gone":
                del body[place]
            case "moved":
                body.insert(data.draw(st.integers(1, len(body) - 1)), body.pop(place))
            case _:
                body[place] = body[place].replace("*", data.draw(st.sampled_from(["**", "*.5*", "*-1.999999*", ""])), 1)
    body = [segment for segment in body if segment and not segment.startswith("SE*")]
    head = remittance(1, [("C1", "100.00", "80.00")]).split("ST*835")[0]
    text = head + "~".join([*body, f"SE*{len(body) + 1}*0001", "GE*1*1", "IEA*1*000000001"]) + "~"
    expected_text: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    gave: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.835").write_text(text)
        feed = Feed(tenant_id="t", name="f", kind="x12", path=folder, time_zone="America/New_York")
        for unit in SOURCE.discover(feed):
            for chunk in SOURCE.read(unit):
                for item in chunk.stated:
                    expected_text[item.entity, item.measure] += item.total
                for entity, frame in chunk.rows.items():
                    gave[entity, "rows"] += frame.height
                    for measure, amount in totals(contract(entity), [frame]).items():
                        gave[entity, measure] += amount
    assert {key: gave[key] for key in expected_text} == dict(expected_text)
