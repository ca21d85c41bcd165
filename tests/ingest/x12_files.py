"""X12 files that tests write and read: bodies of transactions, envelopes, and the chunks of a file as one."""

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from data_contracts import contract
from foundation.config import Feed
from ingest.interface import Unit
from ingest.sources import Chunk, source_for

DATA = Path(__file__).parents[2] / "../shared/data/x12"


ISA = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260102*1000*^*00501*000000001*0*P*:~"


CLAIM_BODY = [
    "BHT*0019*00*1*20260102*0930*CH",
    "HL*1**20*1",
    "NM1*85*2*HARBOR CLINIC*****XX*1234567893",
    "HL*2*1*22*0",
    "SBR*P*18*******MB",
    "NM1*IL*1*DOE*JANE****MI*MEMBER123",
    "N3*1 SECRET STREET",
    "NM1*PR*2*PLAN ONE*****PI*87726",
    "CLM*ACCT1*100***11:B:7*Y*A*Y*I",
    "REF*F8*ICN9",
    "NM1*82*1*GRAY*ANNA****XX*1999999984",
    "SBR*S*18*******MC",
    "NM1*PR*2*PLAN TWO*****PI*SECOND",
    "REF*F8*OTHERICN",
    "NM1*82*1*ELSE*SOME****XX*1111111112",
    "LX*1",
    "SV1*HC:A1234:25:59*60.50*UN*2*12**1",
    "DTP*472*RD8*20260101-20260103",
    "REF*6R*LINE1",
    "LX*2",
    "SV1*HC:B1234*39.50*UN*1***1",
    "DTP*472*D8*20260104",
]


REMITTANCE_BODY = [
    "BPR*I*35*C*ACH*CCP*01*1*DA*1*1**01*1*DA*1*20260112",
    "TRN*1*EFT1*1999999999",
    "DTM*405*20260110",
    "N1*PR*PLAN ONE*XV*87726",
    "N1*PE*HARBOR*XX*1234567893",
    "LX*1",
    "CLP*ACCT1*1*100*40*20*MB*ICN1*11*1",
    "CAS*CO*45*10",
    "NM1*QC*1*DOE*JANE****MI*MEMBER123",
    "DTM*232*20260101",
    "SVC*HC:A1234:25*60*30**2*HC:A9999",
    "DTM*472*20260101",
    "CAS*CO*45*15**253*5*1",
    "CAS*PR*1*10",
    "REF*6R*LINE1",
    "AMT*B6*45",
    "LQ*HE*N1",
    "LQ*HE*M15",
    "SVC*NU:0450*40*20",
    "CAS*PR*2*20",
    "PLB*1234567893*20261231*WO:REF9*10*L6*-5",
]


def transaction(kind: str, body: list[str], *, control: str = "0001", count: int | None = None) -> str:
    version = {"837": "*005010X222A1", "835": ""}.get(kind, "")
    segments = [f"ST*{kind}*{control}{version}", *body]
    return "~\n".join([*segments, f"SE*{count or len(segments) + 1}*{control}"]) + "~\n"


def interchange(*transactions: str, isa: str = ISA, version: str = "005010X222A1") -> str:
    head = f"{isa}\nGS*HC*S*R*20260102*1000*1*X*{version}~\n"
    return head + "".join(transactions) + f"GE*{len(transactions)}*1~\nIEA*1*000000001~\n"


def unit_of(path: Path, content: str | bytes, name: str = "file.x12") -> Unit:
    (path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    feed = Feed(tenant_id="t", name="x12", kind="x12", path=str(path / name), time_zone="America/New_York")
    return source_for("x12").discover(feed)[0]


def read(path: Path, content: str | bytes, name: str = "file.x12") -> Chunk:
    """All chunks of one file as one."""
    return merged(list(source_for("x12").read(unit_of(path, content, name))))


def merged(chunks: list[Chunk]) -> Chunk:
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
            reader_columns = {column.name for column in contract(entity).reader_columns}
            assert set(frame.columns) <= reader_columns, entity
            assert {"source_record_id", "source_position"} <= set(frame.columns)
            assert frame["source_position"].null_count() == 0
            parts.setdefault(entity, []).append(frame)
    total.rows = {entity: pl.concat(frames, how="diagonal_relaxed") for entity, frames in parts.items()}
    return total


def money(frame: pl.DataFrame, column: str) -> Decimal:
    return sum((Decimal(value) for value in frame[column].cast(pl.String).to_list()), Decimal(0))


def reasons(chunk: Chunk) -> list[str]:
    return [notice.reason for notice in chunk.notices]


def folder(name: str) -> list[Unit]:
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is absent")
    feed = Feed(tenant_id="t", name="x12", kind="x12", path=str(DATA / name), time_zone="America/New_York")
    return source_for("x12").discover(feed)


def read_folder(name: str) -> Chunk:
    return merged([chunk for unit in folder(name) for chunk in source_for("x12").read(unit)])
