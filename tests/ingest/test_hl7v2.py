"""The HL7 v2 reader: framing, visits, appointments, charges, and the third-party corpora."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from data_contracts import contract
from foundation.config import Feed
from ingest.interface import Unit
from ingest.load.partial_rows import landing_contract
from ingest.sources import Chunk, UnreadableUnit, source_for
from ingest.sources.hl7v2 import reader as hl7v2

DATA = Path(__file__).parents[2] / "../shared/data/hl7v2"
PID = "PID|1||MRN1^^^HARBOR^MR~999-99-9999^^^SSA^SS||DOE^JANE^Q||19800215|F|||1 MAIN ST^^TOWN^NY^12345-6789||555-1234"
PV1 = "PV1|1|I|ICU^101^A|||ED^1|1234567893^GRAY^ANNA^^^^^^NPI||||||||||||V1|||||||||||||||||01||||||||"


def msh(kind: str, control: str = "C1", sent: str = "20260309120000", extra: str = "") -> str:
    return f"MSH|^~\\&|ADT|HARBOR|CM|HARBOR|{sent}||{kind}|{control}|P|2.5.1{extra}"


def message(kind: str, *segments: str, control: str = "C1", sent: str = "20260309120000", extra: str = "") -> str:
    return "\r".join([msh(kind, control, sent, extra), *segments]) + "\r"


def segment(name: str, fields: dict[int, str]) -> str:
    return "|".join([name, *(fields.get(index, "") for index in range(1, max(fields) + 1))])


def adt(event: str, *, control: str = "C1", at: str = "20260309120000", pv1: str = PV1, times: str = "") -> str:
    return message(f"ADT^{event}^ADT_A01", f"EVN|{event}|{at}", PID, pv1 + times, control=control, sent=at)


def unit_of(path: Path, content: str | bytes, zone: str = "America/New_York") -> Unit:
    (path / "file.hl7").write_bytes(content.encode() if isinstance(content, str) else content)
    feed = Feed(tenant_id="t", name="adt", kind="hl7v2", path=str(path / "file.hl7"), time_zone=zone)
    return source_for("hl7v2").discover(feed)[0]


def read(path: Path, content: str | bytes, zone: str = "America/New_York") -> Chunk:
    return merged(list(source_for("hl7v2").read(unit_of(path, content, zone))))


def merged(chunks: list[Chunk]) -> Chunk:
    """All chunks of one file as one, with what every chunk must hold checked."""
    total = Chunk()
    parts: dict[str, list[pl.DataFrame]] = {}
    for chunk in chunks:
        assert chunk.records_read == chunk.records_used + sum(item.records for item in chunk.refusals)
        total.records_read += chunk.records_read
        total.records_used += chunk.records_used
        total.refusals += chunk.refusals
        total.notices += chunk.notices
        total.dropped_fields += chunk.dropped_fields
        for entity, frame in chunk.rows.items():
            columns = {column.name: column for column in landing_contract("hl7v2", entity).reader_columns}
            assert set(frame.columns) <= set(columns), entity
            for name in ("source_record_id", "source_position"):
                assert frame[name].null_count() == 0
            for name, kind in frame.schema.items():
                assert kind in (pl.String(), pl.Float64(), columns[name].polars_type), f"{entity}.{name}"
                # A word that nobody knows goes on to the landing step, which counts it.
                if columns[name].valid_values and columns[name].unknown_value is None:
                    assert set(frame[name].drop_nulls()) <= set(columns[name].valid_values), f"{entity}.{name}"
            parts.setdefault(entity, []).append(frame)
    total.rows = {entity: pl.concat(frames) for entity, frames in parts.items()}
    return total


def reasons(chunk: Chunk) -> list[str]:
    return [notice.reason for notice in chunk.notices]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


def test_admission_gives_patient_identity_encounter_provider_and_bed(tmp_path: Path) -> None:
    rows = read(tmp_path, adt("A01", times="20260309113000")).rows
    patient = rows["patient"].row(0, named=True)
    assert (patient["patient_id"], patient["birth_year"], patient["sex"], patient["zip3"]) == (
        "MRN1^^^HARBOR",
        "1980",
        "female",
        "123",
    )
    identity = rows["patient_identity"].row(0, named=True)
    assert (identity["family_name"], identity["given_name"], str(identity["birth_date"])) == (
        "DOE",
        "JANE Q",
        "1980-02-15",
    )
    encounter = rows["encounter"].row(0, named=True)
    assert (encounter["encounter_id"], encounter["encounter_class"], encounter["status"]) == (
        "V1",
        "IMP",
        "in_progress",
    )
    assert (encounter["service_unit_id"], encounter["provider_id"]) == ("ICU", "1234567893")
    assert encounter["started_at"] == utc(2026, 3, 9, 15, 30), "11:30 in New York in summer time"
    assert rows["provider"].select("provider_id", "npi", "display_name").rows() == [
        ("1234567893",) * 2 + ("ANNA GRAY",)
    ]
    movement = rows["bed_movement"].row(0, named=True)
    assert (movement["movement_type"], movement["service_unit_id"], movement["bed"]) == ("admit", "ICU", "A")


def test_identifiers_and_names_stay_in_their_own_columns(tmp_path: Path) -> None:
    chunk = read(tmp_path, adt("A01", times="20260309113000") + adt("A40", control="C2").replace(PV1, "MRG|OLD9^^^^MR"))
    for entity, frame in chunk.rows.items():
        tokens = set(contract(entity).token_columns)
        other_columns = frame.drop(tokens & set(frame.columns))
        if contract(entity).store != "vault":
            for secret in ("MRN1", "OLD9", "DOE", "JANE", "999-99-9999", "MAIN ST", "555-1234", "12345-6789"):
                assert secret not in str(other_columns.rows()), entity
    assert "MRN1" not in str(chunk.notices) + str(chunk.refusals)


@pytest.mark.parametrize(
    ("event", "status", "movement"),
    [
        ("A11", "cancelled", "cancel_admit"),
        ("A12", "in_progress", "cancel_transfer"),
        ("A13", "in_progress", "cancel_discharge"),
        ("A05", "planned", None),
        ("A04", "arrived", None),
        ("A06", "in_progress", "admit"),
        ("A23", "entered_in_error", None),
        ("A21", "on_leave", None),
    ],
)
def test_status_and_movement_of_each_event(tmp_path: Path, event: str, status: str, movement: str | None) -> None:
    rows = read(tmp_path, adt(event, times="20260309113000")).rows
    assert rows["encounter"]["status"].to_list() == [status]
    result = rows["bed_movement"]["movement_type"].to_list() if "bed_movement" in rows else []
    assert result == ([movement] if movement else [])


def test_an_outpatient_visit_moves_through_no_bed(tmp_path: Path) -> None:
    office = PV1.replace("|1|I|", "|1|O|")
    rows = read(tmp_path, adt("A04", pv1=office) + adt("A03", pv1=office, control="C2", at="20260309130000")).rows
    assert rows["encounter"]["encounter_class"].to_list() == ["AMB", "AMB"]
    assert rows["encounter"]["ended_at"].to_list() == [None, utc(2026, 3, 9, 17)]
    assert "bed_movement" not in rows


def test_the_visit_number_falls_back_to_the_account(tmp_path: Path) -> None:
    bare = "PV1|1|E|ED"
    with_account = adt("A04", pv1=bare).replace("||555-1234", "||555-1234|||||ACCT7^^^HARBOR^AN")
    assert read(tmp_path, with_account).rows["encounter"]["encounter_id"].to_list() == ["ACCT7^^^HARBOR"]
    without = read(tmp_path, adt("A04", pv1=bare))
    assert reasons(without) == ["visit_number_missing"]
    assert without.records_used == 1


def test_merges_pair_each_old_number_with_its_survivor(tmp_path: Path) -> None:
    text = message(
        "ADT^A40",
        "EVN|A40|20260309120000",
        "PID|1||NEW1^^^H^MR",
        "MRG|OLD1^^^H^MR",
        "PID|2||NEW2^^^H^MR",
        "MRG|OLD2^^^H^MR",
        "MRG|OLD3^^^H^MR",
        "MRG|NEW2^^^H^MR",
    )
    merges = read(tmp_path, text).rows["patient_merge"]
    assert merges.select("from_patient_id", "to_patient_id").rows() == [
        ("OLD1^^^H", "NEW1^^^H"),
        ("OLD2^^^H", "NEW2^^^H"),
        ("OLD3^^^H", "NEW2^^^H"),
    ]
    assert set(merges["merge_type"]) == {"merge"}
    assert merges["patient_merge_id"].n_unique() == 3


@pytest.mark.parametrize("second", ["PID|2||OLD1^^^H^MR", "MRG|OLD1^^^H^MR"])
def test_an_unlink_takes_a_merge_back(tmp_path: Path, second: str) -> None:
    result = read(tmp_path, message("ADT^A37", "EVN|A37|20260310120000", "PID|1||NEW1^^^H^MR", second)).rows
    columns = ("from_patient_id", "to_patient_id", "merge_type", "merged_at")
    (row,) = result["patient_merge"].select(columns).rows()
    assert row[:3] == ("OLD1^^^H", "NEW1^^^H", "unmerge")
    assert str(row[3]).startswith("2026-03-10 ")


def test_a_link_makes_two_records_one(tmp_path: Path) -> None:
    text = message("ADT^A24", "EVN|A24|20260310120000", "PID|1||KEPT^^^H^MR", "PID|2||OTHER^^^H^MR")
    (row,) = read(tmp_path, text).rows["patient_merge"].select("from_patient_id", "to_patient_id", "merge_type").rows()
    assert row == ("OTHER^^^H", "KEPT^^^H", "merge")


def test_an_unlink_of_one_identifier_is_refused(tmp_path: Path) -> None:
    result = read(tmp_path, message("ADT^A37", "EVN|A37|20260310120000", "PID|1||NEW1^^^H^MR"))
    assert "patient_merge" not in result.rows
    assert sum(refusal.records for refusal in result.refusals) == 1


def test_insurance_gives_payer_coverage_and_the_payer_of_the_visit(tmp_path: Path) -> None:
    secondary = segment("IN1", {1: "1", 2: "P2^Plan B", 3: "SEC^^^X", 4: "Second Payer", 12: "20250101", 22: "2"})
    second = {1: "2", 2: "P1^Plan A", 3: "ACME", 4: "Acme", 12: "20250101", 13: "20261231", 22: "1", 36: "MEMBER7"}
    primary = segment("IN1", second)
    rows = read(tmp_path, adt("A01", times="20260309113000").rstrip("\r") + f"\r{secondary}\r{primary}\r").rows
    assert rows["encounter"]["payer_id"].to_list() == ["ACME"]
    assert sorted(rows["payer"]["payer_id"]) == ["ACME", "SEC"]
    first = rows["coverage"].filter(pl.col("payer_id") == "ACME").row(0, named=True)
    assert (first["member_token"], first["priority"], str(first["effective_to"])) == ("MEMBER7", "1", "2026-12-31")
    assert first["coverage_id"] == "V1-2", "of the visit, never of the patient"


def siu(
    event: str, *, control: str, sent: str, start: str = "20260325140000", status: str = "Booked", sch: str = ""
) -> str:
    first = f"SCH|P1|F1||||{sch or 'NEW'}||OFFICE|30|MIN|^^30^{start}^||||||||||||||{status}"
    return message(
        f"SIU^{event}^SIU_S12",
        first,
        PID,
        "RGS|1",
        "AIL|1||CARD^4",
        "AIP|1||1999999984^LEE^SAM",
        control=control,
        sent=sent,
    )


@pytest.mark.parametrize(
    ("event", "sent_status", "status"),
    [
        ("S14", "Arrived", "arrived"),
        ("S14", "Complete", "completed"),
        ("S14", "Something", "Something"),
        ("S15", "Booked", "cancelled"),
        ("S16", "Dc", "cancelled"),
        ("S17", "Deleted", "entered_in_error"),
        ("S20", "", None),
    ],
)
def test_status_of_each_scheduling_event(tmp_path: Path, event: str, sent_status: str, status: str | None) -> None:
    rows = read(tmp_path, siu(event, control="1", sent="20260301090000", status=sent_status)).rows
    assert rows["appointment"]["status"].to_list() == [status]
    event_status = "unknown" if status == "Something" else status or "scheduled"
    assert rows["appointment_event"]["status"].to_list() == [event_status]


def test_who_cancelled_is_told_by_the_reason(tmp_path: Path) -> None:
    row = read(tmp_path, siu("S15", control="1", sent="20260301090000", sch="PATIENT^moved away")).rows["appointment"]
    assert row.select("cancel_initiator", "cancel_reason_code").rows() == [("patient", "PATIENT")]


def test_tq1_goes_before_sch_11(tmp_path: Path) -> None:
    text = siu("S12", control="1", sent="20260301090000").replace(
        "\rPID", "\rTQ1|1||||||20260401080000-0400|20260401083000-0400\rPID"
    )
    row = read(tmp_path, text).rows["appointment"].row(0, named=True)
    assert (row["scheduled_start_at"], row["scheduled_end_at"]) == (utc(2026, 4, 1, 12), utc(2026, 4, 1, 12, 30))


def dft(*ft1: str, control: str = "D1") -> str:
    return message("DFT^P03", "EVN|P03|20260309120000", PID, PV1, *ft1, control=control)


def test_charges_credits_payments_and_adjustments(tmp_path: Path) -> None:
    chunk = read(
        tmp_path,
        dft(
            "FT1|1|T1||20260308|20260309|CG|A1234|||2|300.00|150.00||||LAB||||1999999984^LEE^SAM|||||B1234|25~59",
            "FT1|2|T1||20260308|20260310|CR|A1234|||2|300.00",
            "FT1|3|T2||20260309|20260309|PY|CASH||||20.00",
            "FT1|4|T3||20260309|20260309|AJ|WO1||||5.50",
            "FT1|5|||20260309|20260309|CG|C1234|||3||10.10",
            "FT1|6|T9||20260309|20260309|ZZ|WO1||||5.50",
        ),
    )
    charges = chunk.rows["charge"]
    assert charges.select("charge_id", "billed_amount", "reversal_of_charge_id").rows()[:2] == [
        ("T1", "300.00", None),
        ("T1-CR", "-300.00", "T1"),
    ]
    first = charges.row(0, named=True)
    assert (first["procedure_code"], first["modifiers"], first["service_unit_id"]) == ("B1234", "25:59", "LAB")
    assert (first["encounter_id"], first["provider_id"], str(first["posted_date"])) == (
        "V1",
        "1999999984",
        "2026-03-09",
    )
    assert charges["billed_amount"][2] == "30.30", "unit amount times quantity"
    assert charges["charge_id"][2].startswith("ADT/HARBOR/D1-5-")
    assert chunk.rows["patient_payment"].select("patient_payment_id", "payment_amount").rows() == [("T2", "20.00")]
    assert chunk.rows["adjustment"].select("adjustment_type", "reason_code").rows() == [("other", "WO1")]
    assert reasons(chunk) == ["financial_transaction_not_in_model"]


def test_a_dft_without_readable_transactions_is_shown(tmp_path: Path) -> None:
    chunk = read(tmp_path, message("DFT^P03", "EVN|P03|20260309120000", "FT1|1|T1||20260308||ZZ"))
    assert [refusal.reason for refusal in chunk.refusals] == ["nothing_to_read"]


def test_line_ends_frames_marks_and_other_delimiters_read_alike(tmp_path: Path) -> None:
    plain = adt("A01", control="1", times="20260309113000") + siu("S12", control="2", sent="20260301090000")
    expected = read(tmp_path, plain)
    assert expected.records_used == 2
    framed = "".join(f"\x0b{part}\x1c\r" for part in (plain[: plain.index("MSH", 4)], plain[plain.index("MSH", 4) :]))
    changed = (
        plain.replace("\r", "\n"),
        plain.replace("\r", "\r\n"),
        "\ufeff" + plain,
        "\n\n" + plain,
        plain.rstrip("\r"),
        framed,
        plain.replace("|", "#").replace("^", "!").replace("~", "@"),
        "FHS|^~\\&|A\rBHS|^~\\&|A\r" + plain + "BTS|2\rFTS|1\r",
    )
    for text in changed:
        result = read(tmp_path, text)
        assert result.notices == []
        for entity, frame in expected.rows.items():
            assert frame.drop("source_position").equals(result.rows[entity].drop("source_position")), entity


def test_escape_sequences_and_the_hl7_null(tmp_path: Path) -> None:
    text = adt("A31").replace("DOE^JANE", r"O\T\HARA \X4A\\Zxx\^J\S\K\R\L\F\M\E\N").replace("|F|", '|""|')
    rows = read(tmp_path, text).rows
    assert rows["patient_identity"]["family_name"].to_list() == ["O&HARA J"]
    assert rows["patient_identity"]["given_name"].to_list() == ["J^K~L|M\\N Q"]
    assert rows["patient"]["sex"].to_list() == [None]


@pytest.mark.parametrize(
    ("declared", "codec", "notices"),
    [
        ("||||||UNICODE UTF-8", "utf-8", []),
        ("", "utf-8", []),
        ("||||||8859/1", "latin-1", []),
        ("||||||8859/2", "iso8859-2", []),
        ("", "latin-1", ["encoding_differs"]),
    ],
)
def test_encodings(tmp_path: Path, declared: str, codec: str, notices: list[str]) -> None:
    text = message("ADT^A31", PID.replace("DOE", "MÜLLER"), extra=declared)
    chunk = read(tmp_path, text.encode(codec))
    assert reasons(chunk) == notices
    assert chunk.rows["patient_identity"]["family_name"].to_list() == ["MÜLLER"]


def test_times_with_and_without_offset_and_of_every_precision(tmp_path: Path) -> None:
    given_and_read = {
        "20260309120000.1234-0500": utc(2026, 3, 9, 17, 0, 0, 123400),
        "202603091200+0530": utc(2026, 3, 9, 6, 30),
        "2026030912": utc(2026, 3, 9, 16),
        "20260309": utc(2026, 3, 9, 16),  # a day: the event of that day says when
        "20260308023000": utc(2026, 3, 8, 7, 30),  # the hour that summer time leaves out
        "20261101013000": utc(2026, 11, 1, 5, 30),  # the hour that comes twice
        "202603": None,  # not even a day
    }
    text = "".join(adt("A01", control=f"{n}", times=value) for n, value in enumerate(given_and_read))
    chunk = read(tmp_path, text)
    assert chunk.rows["encounter"]["started_at"].to_list() == list(given_and_read.values())
    precisions = ["minute", "minute", "hour", "minute", "minute", "minute", None]
    assert chunk.rows["encounter"]["started_precision"].to_list() == precisions
    assert {(notice.position.split(" (")[0], notice.reason) for notice in chunk.notices} == {
        ("message 7", "date_not_valid")
    }


def test_a_time_that_is_none_is_left_empty_and_shown(tmp_path: Path) -> None:
    chunk = read(tmp_path, adt("A01", times="20261340999999"))
    assert chunk.rows["encounter"]["started_at"].to_list() == [None]
    assert set(reasons(chunk)) == {"date_not_valid"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (message("ORU^R01", PID), "message_type_not_in_model"),
        (message("ADT^A29", PID), "message_type_not_in_model"),
        (message("ADT^A24", PID), "nothing_to_read"),
        (message("ADT^A41", PID, "MRG|MRN1^^^^MR||ACCT1"), "message_read_in_part"),
        (message("SIU^S23", PID), "message_type_not_in_model"),
        ("PID|1||MRN1\rPV1|1|I\r", "no_msh"),
        ("MSH|\rPID|1||MRN1\r", "msh_unreadable"),
        (message("ADT^A01", "PID|1||"), "nothing_to_read"),
        (message("ADT^A40", "PID|1||MRN1^^^^MR"), "message_read_in_part"),
        (message("SIU^S12", "SCH|||"), "nothing_to_read"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_payload_or_shown(tmp_path: Path, text: str, reason: str) -> None:
    chunk = read(tmp_path, text)
    if reason == "message_read_in_part":
        assert reasons(chunk) == [reason]
        return
    assert [refusal.reason for refusal in chunk.refusals] == [reason]
    payload = chunk.refusals[0].payload
    assert payload is not None
    assert payload.decode().splitlines() == text.splitlines()
    assert chunk.rows == {}


def test_a_message_sent_twice_in_a_file_counts_once(tmp_path: Path) -> None:
    first = adt("A01", times="20260309113000")
    chunk = read(tmp_path, first + first + first.replace("ICU", "MED"))
    assert [refusal.reason for refusal in chunk.refusals] == ["duplicate_message"]
    assert reasons(chunk) == ["control_id_used_again"], "other content under the same control id is read"
    assert chunk.rows["encounter"]["service_unit_id"].to_list() == ["ICU", "MED"]


def test_envelopes_that_are_broken_are_shown_and_their_messages_read(tmp_path: Path) -> None:
    first = adt("A31", control="1")
    header, file_header = "BHS|^~\\&|A\r", "FHS|^~\\&|A\r"
    cases = {
        header + first: ["batch_not_closed"],
        file_header + first: ["file_not_closed"],
        first + "BTS|1\r": ["batch_trailer_without_header"],
        first + "FTS|1\r": ["file_trailer_without_header"],
        header + first + "BTS|3\r": ["batch_count_wrong"],
        file_header + header + first + "BTS|1\rFTS|2\r": ["file_count_wrong"],
        header + first + header + adt("A31", control="2") + "BTS|1\r": ["batch_header_inside_batch"],
    }
    for text, expected in cases.items():
        chunk = read(tmp_path, text)
        assert reasons(chunk) == expected
        assert chunk.refusals == []


def test_a_header_inside_a_message_refuses_it_because_its_parts_may_be_of_two(tmp_path: Path) -> None:
    text = f"BHS|^~\\&|A\r{msh('ADT^A01')}\rEVN|A01|20260309120000\rBHS|^~\\&|A\r{PID}\r{PV1}\rBTS|1\r"
    chunk = read(tmp_path, text + adt("A31", control="9"))
    assert [refusal.reason for refusal in chunk.refusals] == ["message_interrupted"]
    assert chunk.records_used == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\r\n\x0b", "is empty"),
        (b"\x89PNG\r\n", "does not begin with an HL7 v2 segment"),
        (b"{}", "does not begin with an HL7 v2 segment"),
        ("MSH|".encode("utf-16"), "is UTF-16"),
    ],
)
def test_a_file_that_is_no_hl7_is_refused_by_name(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(UnreadableUnit) as refused:
        read(tmp_path, content)
    assert problem in refused.value.problem


def test_unused_segments_are_counted(tmp_path: Path) -> None:
    chunk = read(tmp_path, adt("A31").rstrip("\r") + "\rZPD|1|X\rZPD|2|Y\rNK1|1\r")
    assert chunk.dropped_fields == {"ZPD": 2, "NK1": 1}


def test_chunks_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(adt("A01", control=f"{n}", times="20260309113000") for n in range(25))
    whole = read(tmp_path, text)
    monkeypatch.setattr(hl7v2, "MESSAGES_A_CHUNK", 10)
    chunks = list(source_for("hl7v2").read(unit_of(tmp_path, text)))
    assert [chunk.records_read for chunk in chunks] == [10, 10, 5]
    assert merged(chunks).rows["encounter"].equals(whole.rows["encounter"])
