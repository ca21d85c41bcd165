"""X12 files that are read together: each gives what it gives alone, beside any other files."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.config import Feed
from ingest.interface import Unit, reading
from ingest.sources import Chunk, UnreadableUnit, source_for
from ingest.sources.x12 import envelope
from tests.ingest.test_x12_acknowledgements import CA, REPLY, of_guide
from tests.ingest.x12_files import CLAIM_BODY, ISA, REMITTANCE_BODY, interchange, merged, transaction
from tests.refusals import refused_file

SOURCE = source_for("x12")
CLAIMS = interchange(transaction("837", CLAIM_BODY))
REMITTANCE = interchange(transaction("835", REMITTANCE_BODY), version="005010X221A1")
FILES = {
    "acks.999": of_guide("999", "005010X231A1", REPLY),
    "bad.837": "no interchange",
    "big.837": interchange(*(transaction("837", CLAIM_BODY, control=f"{n:04d}") for n in range(60))),
    "broken.835": REMITTANCE[: len(REMITTANCE) // 2],
    "claims.837": CLAIMS,
    "empty.835": "",
    "flat.835": REMITTANCE.replace("\n", "").replace("*", "|").replace("~", "'").replace(":", ">"),
    "later.835": CLAIMS + CLAIMS + "rubbish behind the last interchange",
    "remits.835": REMITTANCE + REMITTANCE.replace("EFT1", "EFT2"),
    "states.277": of_guide("277", "005010X214", CA),
    "unbalanced.835": REMITTANCE.replace("BPR*I*35*", "BPR*I*36*"),
    "zone.835": f"{ISA}TA1*000000001*260105*0930*R*006~IEA*0*000000001~",
}


def units_of(folder: Path, files: dict[str, str | bytes]) -> list[Unit]:
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    feed = Feed(tenant_id="t", name="x12", kind="x12", path=str(folder), time_zone="America/New_York")
    return SOURCE.discover(feed)


def told(chunks: list[Chunk]) -> dict[str, object]:
    """All that the chunks of one unit say, frames as rows with their columns."""
    whole = merged(chunks)
    return {
        "read": (whole.records_read, whole.records_used),
        "refusals": whole.refusals,
        "notices": sorted((n.reason, n.position, n.detail, n.records) for n in whole.notices),
        "dropped": whole.dropped_fields,
        "rows": {entity: frame.to_dicts() for entity, frame in whole.rows.items()},
    }


def outcome(read: object, unit: Unit) -> object:
    try:
        return told(list(read(unit)))  # type: ignore[operator]
    except UnreadableUnit as error:
        return (error.position, error.problem)


@pytest.mark.parametrize("piece_bytes", [1_000, 5_000, 8 << 20])
def test_each_file_gives_what_it_gives_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_bytes: int) -> None:
    units = units_of(tmp_path, FILES)
    assert len(units) == len(FILES)
    alone = {unit.name: outcome(SOURCE.read, unit) for unit in units}
    monkeypatch.setattr(envelope, "PIECE_BYTES", piece_bytes)
    read = reading(SOURCE, units)
    for unit in units:
        result = outcome(read, unit)
        if isinstance(result, dict) and isinstance(alone[unit.name], dict):
            # Notices of one reason, payers and providers come once for each piece of a file.
            for told_here in (result, alone[unit.name]):
                told_here.pop("notices")
                told_here["rows"] = {
                    name: rows for name, rows in told_here["rows"].items() if name not in ("payer", "provider")
                }
        assert result == alone[unit.name], unit.name


def test_a_file_that_is_passed_over_or_asked_for_twice_changes_nothing(tmp_path: Path) -> None:
    units = units_of(tmp_path, FILES)
    read = reading(SOURCE, units)
    for unit in (units[2], units[4], units[2], units[-1], units[0]):
        assert outcome(read, unit) == outcome(SOURCE.read, unit), unit.name


def test_a_reader_that_stops_in_the_middle_of_a_file_goes_on_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelope, "PIECE_BYTES", 2_000)
    units = units_of(tmp_path, {"a.837": FILES["big.837"], "b.837": CLAIMS})
    read = reading(SOURCE, units)
    assert next(read(units[0])).rows["claim"].height
    assert outcome(read, units[1]) == outcome(SOURCE.read, units[1])


def test_a_transaction_without_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelope, "PIECE_BYTES", 4_000)
    monkeypatch.setattr(envelope, "LARGEST_TRANSACTION_BYTES", 16_000)
    endless = CLAIMS[: CLAIMS.index("SE*")] + "NTE*ADD*ABC~" * 5_000
    units = units_of(tmp_path, {"a.837": endless, "b.837": CLAIMS, "c.837.gz": gzip.compress(endless.encode())})
    read = reading(SOURCE, units)
    for unit in (units[0], units[2]):
        with refused_file("transaction_too_large"):
            list(read(unit))
    assert told(list(SOURCE.read(units[1])))["read"] == (1, 1)


HOSTILE_SEGMENTS = st.one_of(
    st.sampled_from([*CLAIM_BODY, *REMITTANCE_BODY, *CA, *REPLY]),
    st.builds(
        lambda tag, n: tag + "*9" * n,
        st.sampled_from(["CAS", "PLB", "SVC", "CLP", "CLM", "SV1", "HL"]),
        st.integers(0, 300),
    ),
    st.builds(lambda tag, n: tag + "*" + ":" * n, st.sampled_from(["SVC", "CLM", "STC", "PLB"]), st.integers(0, 300)),
    st.builds(
        lambda tag, value: f"{tag}*{value}*{value}*{value}*{value}*{value}",
        st.sampled_from(["CLP", "SVC", "CAS*CO", "PLB*1", "BPR", "CLM", "SV1", "AMT*B6", "DTM*472", "DTM*232"]),
        st.sampled_from(
            ["99999999999999999999", "1E400", "-0", "NaN", "1_000", "٣", "1.00001", "99999999999999.9999", " 1 "]
        ),
    ),
    st.text(max_size=30),
)


@settings(max_examples=150, deadline=None)
@given(
    bodies=st.lists(
        st.tuples(st.sampled_from(["837", "835", "277", "999"]), st.lists(HOSTILE_SEGMENTS, max_size=30)), max_size=4
    ),
    element=st.sampled_from(["*", "|", "\x1d", "^", "+"]),
    component=st.sampled_from([":", ">", "\\", "<"]),
    repeat=st.integers(1, 3),
    cut=st.integers(0, 400),
    encoding=st.sampled_from(["utf-8", "latin-1", "utf-16"]),
)
def test_hostile_files_side_by_side_lose_nothing_and_disturb_nobody(
    tmp_path_factory: pytest.TempPathFactory,
    bodies: list[tuple[str, list[str]]],
    element: str,
    component: str,
    repeat: int,
    cut: int,
    encoding: str,
) -> None:
    guides = {"277": "005010X214", "999": "005010X231A1", "835": "005010X221A1", "837": "005010X222A1"}
    texts = []
    for kind, body in bodies:
        text = interchange(transaction(kind, body * repeat), version=guides[kind])
        texts.append(text.replace("*", element).replace(":", component).replace("~\n", "~"))
    hostile = "".join(texts)
    files: dict[str, str | bytes] = {
        "a.835": REMITTANCE,
        "b.835": hostile[: len(hostile) - cut].encode(encoding, "replace"),
        "c.837": CLAIMS,
    }
    units = units_of(tmp_path_factory.mktemp("hostile"), files)
    read = reading(SOURCE, units)
    for unit in units:
        # `told` asserts for every chunk that what was read was used or refused.
        result = outcome(read, unit)
        assert result == outcome(SOURCE.read, unit), unit.name
        assert unit.name == "b.835" or isinstance(result, dict)
