"""Every reader under a coverage-guided fuzzer, from a corpus of the generator's own files and of hostile ones.

The seed and the number of inputs are fixed, so that a failure comes again; the input that failed is kept and named.
"""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clinicmart.sample import write_sample
from tests.support import ROOT

pytestmark = pytest.mark.slow

SEED_BYTES = 6_000
# Reader, suffix, the sample's folder with its files, inputs.
READERS = [
    ("fhir", ".ndjson", "fhir", 700),
    ("fhir", ".json", "fhir", 900),
    ("fhir", ".ndjson.gz", "fhir", 150),
    ("hl7v2", ".hl7", "hl7", 450),
    ("x12", ".835", "835", 250),
    ("x12", ".837", "837", 250),
    ("x12", ".277", "277", 250),
]
HOSTILE = {
    "fhir": [
        b"[" * 5_000,
        b'{"resourceType":"Patient","id":' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}",
        b"\xff\xfe{}",
    ],
    "hl7v2": [
        b"MSH|^~\\&|" + b"~" * 5_000,
        b"\x0bMSH|^~\\&|A|B\r\x1c\r\x0bPID|1\r\x1c\r",
        b"MSH" * 900,
        b"BHS|\rMSH|\rBTS|9\r",
    ],
    "x12": [b"ISA*00*", b"ISA" + b"*" * 3_000, b"ST*835*1~SE*9*1~", b"TA1*000000001*200101*1200*A*000~"],
}
ACKNOWLEDGED = (
    b"ISA*00*          *00*          *ZZ*A              *ZZ*B              *260301*1200*^*00501*000000001*0*P*:~"
    b"GS*FA*A*B*20260301*1200*1*X*005010X231A1~ST*999*0001*005010X231A1~AK1*HC*1*005010X222A1~AK2*837*0001~"
    b"IK3*CLM*9**8~IK4*2**1~IK5*R*5~AK9*R*1*1*0~SE*8*0001~GE*1*1~IEA*1*000000001~"
)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, tenants=1, appointments=200)
    return folder / "harbor"


def corpus(folder: Path, sample: Path, kind: str, suffix: str, source: str) -> None:
    """Beginnings of real files, whole small ones, and hostile ones, as the fuzzer's first inputs."""
    folder.mkdir()
    texts = [path.read_bytes()[:SEED_BYTES] for path in sorted(sample.glob(f"{source}/*")) if path.is_file()]
    texts += HOSTILE[kind] + ([ACKNOWLEDGED] if suffix == ".277" else [])
    if suffix == ".json":
        lines = [line for text in texts for line in text.splitlines()[:2]]
        texts = [*lines, b'{"resourceType":"Bundle","entry":[{"resource":' + b'},{"resource":'.join(lines[:8]) + b"}]}"]
    for number, text in enumerate(texts[:60]):
        (folder / str(number)).write_bytes(gzip.compress(text) if suffix.endswith(".gz") else text)


@pytest.mark.parametrize(("kind", "suffix", "source", "inputs"), READERS, ids=[f"{r[0]}{r[1]}" for r in READERS])
def test_no_input_breaks_a_reader(
    kind: str, suffix: str, source: str, inputs: int, sample: Path, tmp_path: Path
) -> None:
    corpus(tmp_path / "corpus", sample, kind, suffix, source)
    options = [f"-runs={inputs}", "-seed=20261121", "-timeout=20", "-rss_limit_mb=4096", "-max_len=20000"]
    options.append(f"-artifact_prefix={tmp_path}/")
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tests/fuzz/harness.py"),
            kind,
            suffix,
            *options,
            f"-artifact_prefix={tmp_path}/",
            str(tmp_path / "corpus"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1"},
    )
    kept = [path for path in tmp_path.iterdir() if path.is_file()]
    assert done.returncode == 0, (
        f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\ninput: {[p.read_bytes()[:400] for p in kept]}"
    )
    assert f"Done {inputs} runs" in done.stderr, done.stderr[-1000:]
