"""HL7 v2 as nobody should send it: the reader ends on any bytes, and every message is used or explained."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.config import Feed
from ingest.interface import Chunk
from ingest.landing.contract_gate import check
from ingest.load.partial_rows import landing_contract
from ingest.sources import UnreadableUnit, source_for

DATA = Path(__file__).parents[2] / "../shared/data/hl7v2"
ADMISSION = (
    b"MSH|^~\\&|ADT|HARBOR|CM|HARBOR|20260309120000||ADT^A01^ADT_A01|C1|P|2.5.1\rEVN|A01|20260309120000\r"
    b"PID|1||MRN1^^^H^MR||DOE^JANE||19800215|F\rPV1|1|I|ICU^1|||||||||||||||||V1|||||||||||||||||||||||||20260309113000\r"
)
BOOKING = (
    b"MSH#*@\\!#SCH#HARBOR#CM#HARBOR#20260301120000##SIU*S12#C2#P#2.3\rSCH##F1#########**30*20260325140000\r"
    b"PID#1##MRN1***H*MR\rAIL#1##CARD*4\r"
)
CHARGE = (
    b"MSH|^~\\&|FIN|HARBOR|CM|HARBOR|20260309120000||DFT^P03|C3|P|2.5.1|||||||UNICODE UTF-8\nEVN|P03|20260309120000\n"
    b"PID|1||MRN1^^^H^MR||M\xc3\x9cLLER^J\nFT1|1|T1||20260308|20260309|CG|A1|||2|300.00|150.00\n"
)
MERGE = b"MSH|^~\\&|ADT|H|CM|H|20260309||ADT^A40|C4|P|2.4\r\nPID|1||NEW^^^^MR\r\nMRG|OLD^^^^MR\r\n"
WHOLE = (ADMISSION, BOOKING, CHARGE, MERGE)


def read(folder: Path, content: bytes) -> list[Chunk]:
    """The chunks of a file, each conserved and its rows through the gate; none where the file is refused by name."""
    path = folder / "x.hl7"
    path.write_bytes(content)
    feed = Feed(tenant_id="t", name="adt", kind="hl7v2", path=str(path), time_zone="America/New_York")
    (unit,) = source_for("hl7v2").discover(feed)
    try:
        chunks = list(source_for("hl7v2").read(unit))
    except UnreadableUnit:
        return []
    for chunk in chunks:
        assert chunk.records_read == chunk.records_used + sum(refusal.records for refusal in chunk.refusals)
        assert all(refusal.position and refusal.reason for refusal in chunk.refusals)
        for entity, frame in chunk.rows.items():
            gated = check(landing_contract("hl7v2", entity), frame)
            assert gated.good.height + gated.bad.height == frame.height
            assert frame["source_position"].null_count() == 0
    return chunks


def messages_in(content: bytes) -> int:
    """Segments that begin a message, counted without the reader."""
    return len(
        re.findall(rb"(?:\A|[\r\n\x0b\x1c])MSH", content.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x0b\x00"))
    )


WORSE = st.sampled_from(
    [
        b"\x0b", b"\x1c\r", b"\x00", b"\r", b"\n", b"\xef\xbb\xbf", b"\xff\xfe", b"MSH", b"MSH|", b"MSH|^~\\&", b"MSH^^^^^", b"BHS|^~\\&\r",
        b"BTS|7\r", b"FHS|^~\\&\r", b"FTS\r", b'|""|', b"\\X", b"\\X4\\", b"\\.br\\", b"~" * 300, b"^" * 300, b"&" * 300, b"|" * 2000,
        b"\xe4\xf6\xfc", b"PID|1||\r", b"PV1|1|I\r", b"|99999999999999999999|", b"\x1a",
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(WHOLE), WORSE, st.binary(max_size=30)), min_size=1, max_size=12))
def test_whatever_is_strung_together_every_message_is_used_or_explained(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    content = b"".join(pieces)
    chunks = read(tmp_path_factory.mktemp("hostile"), content)
    if chunks:
        runs = sum(refusal.reason == "no_msh" for chunk in chunks for refusal in chunk.refusals)
        assert sum(chunk.records_read for chunk in chunks) - runs == messages_in(content)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_messages_cut_short_interleaved_and_altered_are_used_or_explained(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lines = [line for text in WHOLE for line in re.split(rb"[\r\n]+", text) if line]
    mixed = data.draw(st.permutations(lines)) if data.draw(st.booleans()) else lines
    content = bytearray(b"\r".join(mixed))
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    read(tmp_path_factory.mktemp("mixed"), bytes(content))


@pytest.mark.parametrize(
    "codec", ["utf-8", "latin-1", "utf-16", "utf-32", "cp1252", "iso8859-2", "shift_jis", "gb18030", "cp037"]
)
@pytest.mark.parametrize(
    "declared", ["", "UNICODE UTF-8", "8859/1", "8859/99", "ISO IR87", "GB 18030-2000", "~ISO IR87", "\x00"]
)
def test_any_character_set_under_any_name_is_read_or_refused(tmp_path: Path, codec: str, declared: str) -> None:
    text = (
        CHARGE.decode()
        .replace("UNICODE UTF-8", declared)
        .replace("MÜLLER", "M\u00fc" if codec != "shift_jis" else "\u4e9c")
    )
    for chunk in read(tmp_path, text.encode(codec, "replace")):
        assert chunk.records_read == 1


@pytest.mark.parametrize(
    "content",
    [
        ADMISSION.replace(b"ICU", b"x" * 5_000_000),
        ADMISSION + b"OBX|1|" + b"y" * 20_000_000 + b"\r" + BOOKING,
        b"MSH|^~\\&|" + b"~" * 3_000_000,
        ADMISSION.replace(b"MRN1", b"^&~" * 500_000),
        ADMISSION.replace(b"MRN1", b"\\F\\" * 500_000),
        ADMISSION + b"\x00" * 5_000_000,
        b"\x0b" * 3_000_000 + ADMISSION,
        ADMISSION.rstrip(b"\r") + b"\rPV1|" * 200_000,
        b"\rZZZ" * 500_000,
    ],
    ids=["field", "segment", "delimiters", "components", "escapes", "zeros", "frames", "repeats", "junk"],
)
def test_hostile_sizes_are_read_to_their_end(tmp_path: Path, content: bytes) -> None:
    # Work that grows with the square of the size would not end here.
    assert sum(chunk.records_read for chunk in read(tmp_path, content)) == messages_in(content)


@pytest.mark.real_data
def test_every_real_file_cut_at_every_segment_is_used_or_explained(tmp_path: Path) -> None:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is absent")
    files = sorted(path for path in DATA.rglob("*.hl7"))
    assert len(files) > 80
    for path in files:
        content = path.read_bytes()
        ends = [match.end() for match in re.finditer(rb"[\r\n]+", content)]
        for end in ends[:: max(1, len(ends) // 4)]:
            read(tmp_path, content[: end - 3])
