"""HL7 v2 in any order and damaged, and the corpora that others published."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.config import Feed
from ingest.interface import Unit
from ingest.sources import UnreadableUnit, source_for
from tests.ingest.test_hl7v2 import DATA, PID, PV1, adt, dft, merged, msh, read, siu

PARTS = [
    msh("ADT^A01"),
    msh("SIU^S12", "C2"),
    msh("DFT^P03", "C3"),
    msh("ADT^A40", "C4"),
    msh("ORU^R01", "C5"),
    "MSH",
    "MSH|^~\\&",
    "EVN|A01|20260309120000",
    PID,
    PV1,
    "MRG|OLD^^^^MR",
    "SCH|1|2|||||||||^^^20260401",
    "FT1|1|T1||2026|x|CG|A|||x|1|1",
    "IN1|1|A|B|C",
    "BHS|^~\\&",
    "BTS|x",
    "FHS|^~\\&",
    "FTS",
    "ZZZ|1",
    "",
]


@settings(max_examples=120, deadline=None)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=25), st.sampled_from(["\r", "\n", "\r\n"]))
def test_any_order_of_segments_is_read_and_counted(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], end: str
) -> None:
    text = msh("ADT^A31", "C0") + end + end.join(parts) + end
    chunk = read(tmp_path_factory.mktemp("hl7"), text)
    runs = sum(refusal.reason == "no_msh" for refusal in chunk.refusals)
    assert chunk.records_read - runs == 1 + sum(part.startswith("MSH") for part in parts)


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 900), st.integers(0, 60), st.binary(max_size=12))
def test_a_damaged_file_is_read_or_refused_but_never_fails(
    tmp_path_factory: pytest.TempPathFactory, at: int, lost: int, put: bytes
) -> None:
    text = (
        adt("A01", times="20260309113000")
        + siu("S12", control="2", sent="20260301090000")
        + dft("FT1|1|T1||20260308||CG|A")
    )
    whole = text.encode()
    try:
        read(tmp_path_factory.mktemp("hl7"), whole[:at] + put + whole[at + lost :])
    except UnreadableUnit:
        return


def corpus(name: str) -> list[Unit]:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is absent")
    feed = Feed(tenant_id="t", name="adt", kind="hl7v2", path=str(DATA / name), time_zone="America/New_York")
    return source_for("hl7v2").discover(feed)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "files", "messages", "used"),
    [("converter", 56, 56, 33), ("edge-cases", 21, 20, 13), ("batches", 21, 23, 17)],
)
def test_every_message_of_the_corpora_is_used_or_refused(name: str, files: int, messages: int, used: int) -> None:
    units = corpus(name)
    assert len(units) == files
    total = counted = 0
    reasons_seen = set()
    for unit in units:
        assert unit.path is not None
        text = unit.path.read_bytes().replace(b"\n", b"\r").removeprefix(b"\xef\xbb\xbf")
        headers = sum(line.startswith(b"MSH") for line in text.split(b"\r"))
        chunk = merged(list(source_for("hl7v2").read(unit)))
        without_header = sum(refusal.reason == "no_msh" for refusal in chunk.refusals)
        assert chunk.records_read == headers + without_header, unit.name
        assert all(refusal.payload or refusal.reason == "duplicate_message" for refusal in chunk.refusals)
        reasons_seen |= {refusal.reason for refusal in chunk.refusals}
        total += headers
        counted += chunk.records_used
    assert (total, counted) == (messages, used)
    assert reasons_seen <= {
        "message_type_not_in_model",
        "no_msh",
        "nothing_to_read",
        "message_interrupted",
        "duplicate_message",
    }


@pytest.mark.real_data
def test_every_scheduling_message_of_the_converter_corpus_is_about_one_appointment() -> None:
    total = merged([chunk for unit in corpus("converter") for chunk in source_for("hl7v2").read(unit)])
    appointments = total.rows["appointment"].sort("source_updated_at", maintain_order=True)
    assert set(appointments["appointment_id"]) == {"36996"}
    assert appointments["status"].to_list()[-1] == "no_show"
    assert total.rows["patient_merge"].height == 4
    assert total.rows["charge"]["billed_amount"].cast(pl.Decimal(18, 4)).sum() == 390
