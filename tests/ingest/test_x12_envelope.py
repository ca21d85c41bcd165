"""Envelopes of X12 files: separators, counts, damage, and files that are refused."""

import gzip
import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.sources import UnreadableUnit, source_for
from ingest.sources.x12 import envelope
from ingest.sources.x12.reader import SUFFIXES
from tests.ingest.x12_files import (
    CLAIM_BODY,
    ISA,
    REMITTANCE_BODY,
    interchange,
    merged,
    read,
    reasons,
    transaction,
    unit_of,
)
from tests.refusals import refused_file


def test_other_separators_and_line_ends(tmp_path: Path) -> None:
    plain = interchange(transaction("837", CLAIM_BODY), transaction("835", REMITTANCE_BODY, control="2"))
    expected = read(tmp_path, plain)
    flat = plain.replace("\n", "")
    for changed in (
        flat,
        flat.replace("~", "~\r\n"),
        flat.replace("~", "\n"),
        flat.replace("~", "\r"),
        flat.replace("~", "\r\n"),
        flat.replace("*", "|").replace(":", ">").replace("~", "_"),
        "\ufeff\r\n" + plain,
        "\n".join(flat[start : start + 80] for start in range(0, len(flat), 80)),
    ):
        result = read(tmp_path, changed)
        assert result.notices == []
        for entity, frame in expected.rows.items():
            ids = [name for name in frame.columns if name.endswith("_id") and name not in ("payer_id", "claim_id")]
            assert frame.drop(ids).equals(result.rows[entity].drop(ids)), entity


def test_component_separator_other_than_declared(tmp_path: Path) -> None:
    text = interchange(transaction("837", CLAIM_BODY)).replace(":", ">").replace("*P*>~", "*P*:~")
    chunk = read(tmp_path, text)
    assert reasons(chunk) == ["component_separator_differs"]
    assert chunk.rows["claim_line"]["procedure_code"].to_list() == ["A1234", "B1234"]
    assert chunk.rows["claim"]["frequency_code"].to_list() == ["7"]


def test_two_transactions_with_different_component_separators_in_one_interchange(tmp_path: Path) -> None:
    second = transaction("837", CLAIM_BODY, control="0002").replace(":", ">").replace("ACCT1", "ACCT2")
    chunk = read(tmp_path, interchange(transaction("837", CLAIM_BODY), second))
    assert chunk.rows["claim_line"]["procedure_code"].to_list() == ["A1234", "B1234"] * 2
    assert sorted(chunk.rows["claim"]["claim_id"]) == ["ACCT1", "ACCT2"]
    positions = chunk.rows["claim"].sort("claim_id")["source_position"].to_list()
    assert positions == ["ISA 1 GS 1 ST 0001 CLM 1 (segment 12)", "ISA 1 GS 1 ST 0002 CLM 1 (segment 36)"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (transaction("837", CLAIM_BODY, count=9), "segment_count_wrong"),
        (
            transaction("837", CLAIM_BODY).replace("SE*24*0001", "SE*24*0009").replace("39.50", "39.49"),
            "control_number_wrong",
        ),
        (transaction("837", CLAIM_BODY).replace("SE*24*0001~\n", ""), "transaction_not_closed"),
        (transaction("837", CLAIM_BODY[:8]), "transaction_without_claims"),
        (transaction("270", ["BHT*0022*13*1"]), "transaction_not_in_model"),
        # A 277 in the group of another guide: which one it follows is not known.
        (transaction("277", ["BHT*0085*08*1"]), "transaction_not_in_model"),
    ],
)
def test_a_bad_transaction_is_refused_and_its_neighbours_are_read(tmp_path: Path, bad: str, reason: str) -> None:
    good = [
        transaction("837", CLAIM_BODY, control=control).replace("ACCT1", f"ACCT{control}") for control in ("7", "8")
    ]
    chunk = read(tmp_path, interchange(good[0], bad, good[1]))
    assert [(item.reason, item.records) for item in chunk.refusals] == [(reason, 1)]
    assert chunk.refusals[0].position == "ISA 1 GS 1 ST " + bad.split("*")[2].split("~")[0] + " (segment 27)"
    assert b"ST*" in (chunk.refusals[0].payload or b"")
    assert "DOE" not in chunk.refusals[0].detail
    assert chunk.rows["claim"]["claim_id"].to_list() == ["ACCT7", "ACCT8"]


@pytest.mark.parametrize(("kind", "body"), [("837", CLAIM_BODY), ("835", REMITTANCE_BODY)])
def test_a_wrong_se02_is_shown_and_the_transaction_is_read_where_its_money_adds_up(
    tmp_path: Path, kind: str, body: list[str]
) -> None:
    expected = read(tmp_path, interchange(transaction(kind, body)))
    text = interchange(
        transaction(kind, body).replace("*0001~\n", "*0009~\n").replace(f"ST*{kind}*0009", f"ST*{kind}*0001")
    )
    chunk = read(tmp_path, text)
    assert reasons(chunk) == ["control_number_wrong"]
    assert chunk.refusals == []
    for entity, frame in expected.rows.items():
        assert frame.equals(chunk.rows[entity]), entity


@pytest.mark.parametrize(
    ("kind", "body", "held"),
    [
        ("835", [REMITTANCE_BODY[0].replace("*35*", "*36*"), *REMITTANCE_BODY[1:]], ("payment", 1, Decimal(36))),
        ("835", [REMITTANCE_BODY[0].replace("*35*", "*NaN*"), *REMITTANCE_BODY[1:]], ("payment", 1, Decimal(0))),
        ("837", [*CLAIM_BODY, *CLAIM_BODY[8:-2]], ("claim", 2, Decimal(200))),
        ("837", CLAIM_BODY[:9], ("claim", 1, Decimal(100))),
    ],
    ids=["payment", "no number", "one of two claims", "no lines"],
)
def test_a_wrong_se02_whose_money_does_not_add_up_is_held_with_its_money(
    tmp_path: Path, kind: str, body: list[str], held: tuple[str, int, Decimal]
) -> None:
    wrong = (
        transaction(kind, body, control="0002")
        .replace("*0002~\n", "*0009~\n")
        .replace(f"ST*{kind}*0009", f"ST*{kind}*0002")
    )
    good = transaction("837", CLAIM_BODY)
    (refusal,) = read(tmp_path, interchange(good, wrong)).refusals
    assert refusal.reason == "control_number_wrong"
    assert refusal.holding is not None
    assert (refusal.holding.what, refusal.holding.count, refusal.holding.amount) == held


def test_a_file_that_breaks_off_loses_only_its_last_transaction(tmp_path: Path) -> None:
    whole = interchange(transaction("837", CLAIM_BODY), transaction("837", CLAIM_BODY, control="0002"))
    chunk = read(tmp_path, whole[: whole.rindex("LX*2")])
    assert (chunk.records_read, chunk.records_used) == (2, 1)
    assert chunk.refusals[0].reason == "transaction_not_closed"
    assert reasons(chunk) == ["group_not_closed", "interchange_not_closed"]


def test_several_interchanges_and_groups(tmp_path: Path) -> None:
    first = interchange(transaction("837", CLAIM_BODY))
    two_groups = first.replace(
        "IEA*1*", f"GS*HC*S*R*20260102*1000*2*X*005010X222A1~{transaction('837', CLAIM_BODY)}GE*1*2~IEA*2*"
    )
    other = first.replace("*", "|").replace("~", "'").replace("000000001", "000000002")
    chunk = read(tmp_path, two_groups + "\n\n" + other)
    assert chunk.notices == []
    assert chunk.rows["claim"]["claim_submission_id"].n_unique() == 3
    places = [position.rsplit(" (", 1)[0] for position in chunk.rows["claim"]["source_position"]]
    assert places == ["ISA 1 GS 1 ST 0001 CLM 1", "ISA 1 GS 2 ST 0001 CLM 1", "ISA 2 GS 1 ST 0001 CLM 1"]


def test_envelope_counts_that_are_wrong_are_shown(tmp_path: Path) -> None:
    text = interchange(transaction("837", CLAIM_BODY)).replace("GE*1*1", "GE*3*1").replace("IEA*1*", "IEA*4*")
    assert reasons(read(tmp_path, text)) == ["group_count_wrong", "interchange_count_wrong"]


def test_an_isa_of_the_wrong_length_is_read_by_its_separators(tmp_path: Path) -> None:
    chunk = read(
        tmp_path, interchange(transaction("837", CLAIM_BODY), isa=ISA.replace("SENDER         ", "SENDER        "))
    )
    assert reasons(chunk) == ["isa_wrong_length"]
    assert chunk.rows["claim"].height == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "is empty"),
        ("  \r\n", "is empty"),
        (transaction("835", REMITTANCE_BODY), "does not begin with an ISA segment"),
        ("PK\x03\x04 not an interchange", "does not begin with an ISA segment"),
        (interchange(transaction("837", CLAIM_BODY), isa="ISA*00*SHORT*~"), "ISA segment is damaged"),
        ("ISA*00*", "ISA segment is damaged"),
    ],
)
def test_a_file_that_is_no_interchange_is_refused_by_name(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(UnreadableUnit) as refused:
        read(tmp_path, content)
    assert problem in refused.value.problem
    assert refused.value.position.startswith("byte ")
    assert refused.value.remedy


@pytest.mark.parametrize("ending", [" ~", "  ~\n", " \n", " \r\n", " '"])
def test_a_blank_before_each_terminator_is_read_over(tmp_path: Path, ending: str) -> None:
    plain = interchange(transaction("837", CLAIM_BODY), transaction("835", REMITTANCE_BODY, control="2"))
    chunk = read(tmp_path, plain.replace("~\n", "~").replace("~", ending))
    assert reasons(chunk) == ["blank_before_terminator"]
    for entity, frame in read(tmp_path, plain).rows.items():
        assert frame.equals(chunk.rows[entity]), entity


@pytest.mark.parametrize(
    ("isa", "body_end", "named"),
    [
        (ISA[:-1] + " ", " ", "its segment terminator is a blank"),
        (ISA[:-1] + "Q", "Q", "its segment terminator is a letter or a digit"),
        (ISA[:-1] + "*", "*", "its segment terminator is '*'"),
        (ISA[:-2] + "*~", "~", "its component separator is '*'"),
        (ISA, "!", "no segment ends in '~', its terminator"),
        (ISA[:-1] + "\xa7", "\xa7", "its segment terminator is byte 0xc2"),
    ],
    ids=["blank", "letter", "element separator", "component", "another one", "not ASCII"],
)
def test_a_file_that_fails_for_its_terminator_says_which(tmp_path: Path, isa: str, body_end: str, named: str) -> None:
    text = interchange(transaction("837", CLAIM_BODY), isa="").replace("~\n", body_end)
    with pytest.raises(UnreadableUnit) as refused:
        read(tmp_path, isa + text.strip())
    assert named in refused.value.problem


def test_a_transaction_without_any_terminator_names_the_one_that_is_missing(tmp_path: Path) -> None:
    broken = transaction("837", CLAIM_BODY, control="0002").replace("~\n", "!")
    chunk = read(tmp_path, interchange(transaction("837", CLAIM_BODY), broken + "~\n"))
    (refusal,) = chunk.refusals
    assert refusal.reason == "transaction_not_closed"
    assert "none of its segments ends in '~'" in refusal.detail


def test_the_endings_that_are_read_are_the_endings_that_are_documented() -> None:
    rows = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8").splitlines()
    (row,) = (line for line in rows if line.startswith("| `x12` |"))
    assert set(re.findall(r"`(\.\w+)`", row)) == {*SUFFIXES, ".gz"}


def test_latin_1_text_is_read_and_shown(tmp_path: Path) -> None:
    chunk = read(tmp_path, interchange(transaction("837", CLAIM_BODY)).replace("PLAN ONE", "PLÁN").encode("latin-1"))
    assert reasons(chunk) == ["not_utf8"]
    assert "PLÁN" in chunk.rows["payer"]["name"].to_list()


def test_memory_is_bounded_by_pieces_of_whole_transactions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = interchange(*(transaction("837", CLAIM_BODY, control=f"{n:04d}") for n in range(60)))
    whole = read(tmp_path, text)
    monkeypatch.setattr(envelope, "PIECE_BYTES", 2000)
    chunks = list(source_for("x12").read(unit_of(tmp_path, text)))
    assert len(chunks) > 10
    pieces = merged(chunks)
    assert pieces.notices == []
    for entity in ("claim", "claim_line"):
        assert pieces.rows[entity].equals(whole.rows[entity])


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    packed = gzip.compress(interchange(transaction("837", CLAIM_BODY)).encode())
    assert read(tmp_path, packed, "file.x12.gz").rows["claim"]["claim_id"].to_list() == ["ACCT1"]
    with refused_file("gzip_incomplete"):
        read(tmp_path, packed[:-20], "file.x12.gz")


ENVELOPE = ["SE*5*0001", "SE*x", "GE*1*1", "IEA*1*1", "GS*HP", "TA1*1", "", "*", "XX"]


OPENINGS = ["ST*837*0001", "ST*835*1", "ST*270*2", "ST", ISA[:-1]]


@settings(max_examples=80, deadline=None)
@given(st.data(), st.sampled_from(["837", "835"]), st.booleans())
def test_any_order_of_segments_is_read_and_every_claim_counted(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str, openings: bool
) -> None:
    own = CLAIM_BODY if kind == "837" else REMITTANCE_BODY
    body = data.draw(st.lists(st.sampled_from(own + ENVELOPE + (OPENINGS if openings else [])), max_size=40))
    text = interchange(transaction(kind, body), transaction("835", REMITTANCE_BODY, control="0002"))
    chunk = read(tmp_path_factory.mktemp("x12"), text)
    if not openings:
        claims = sum(segment.startswith(("CLM", "CLP")) for segment in body)
        assert claims + 1 <= chunk.records_read <= claims + 2, "the transaction itself counts where it holds none"


def test_claims_outside_any_transaction_are_refused(tmp_path: Path) -> None:
    text = interchange(transaction("837", CLAIM_BODY)).replace(
        "GE*1*1", "CLM*STRAY*5***11:B:1~SV1*HC:A1234*5*UN*1~GE*1*1"
    )
    chunk = read(tmp_path, text)
    assert [(item.reason, item.records) for item in chunk.refusals] == [("segments_outside_transaction", 1)]
    assert chunk.refusals[0].payload == b"CLM*STRAY*5***11:B:1~SV1*HC:A1234*5*UN*1~"
    assert chunk.rows["claim"]["claim_id"].to_list() == ["ACCT1"]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 1500), st.integers(0, 40), st.binary(max_size=20))
def test_a_damaged_file_is_read_or_refused_but_never_fails(
    tmp_path_factory: pytest.TempPathFactory, at: int, lost: int, put: bytes
) -> None:
    path = tmp_path_factory.mktemp("x12")
    whole = interchange(transaction("837", CLAIM_BODY), transaction("835", REMITTANCE_BODY, control="0002")).encode()
    try:
        read(path, whole[:at] + put + whole[at + lost :])
    except UnreadableUnit:
        return
