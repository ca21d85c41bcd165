"""The report of a proof: `proof.json`, signed, and `proof.txt` to read.

The signature is Ed25519 over the canonical JSON of `report` (keys sorted, no blanks). Its key is that of the
installation that ran the proof, so that nobody without that key can write a report of this installation. The public key stands in
the report; a verifier compares it with the one that the operator gave (`clinicmart audit prove --public-key`).
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from clinicmart.proof.run import WAYS
from clinicmart.proof.trials import REFUSED, Trial
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.keys import Keys

FORMAT = 1
JSON_NAME, TEXT_NAME = "proof.json", "proof.txt"


def signing_key(home: Home) -> Ed25519PrivateKey:
    """The key that signs the reports of an installation."""
    return Ed25519PrivateKey.from_private_bytes(Keys.of(home).derive("proof"))


def public_key(key: Ed25519PrivateKey) -> str:
    """The public key, 64 hexadecimal digits."""
    return key.public_key().public_bytes_raw().hex()


def report_of(trials: Sequence[Trial], *, is_quick: bool) -> dict[str, Any]:
    """The result of the proof as data."""
    titles = {way.key: way.title for way in WAYS}
    crossed = [trial for trial in trials if not trial.passed]
    tried, wrong = Counter(trial.way for trial in trials), Counter(trial.way for trial in crossed)
    ways = [
        {"way": key, "title": titles[key], "trials": count, "crossings": wrong[key]} for key, count in tried.items()
    ]
    return {
        "format": FORMAT,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "release": version("clinicmart"),
        "is_quick": is_quick,
        "passed": bool(trials) and not crossed,
        "ways": ways,
        "ways_not_tried": sorted({way.key for way in WAYS} - set(tried)),
        "trials": [asdict(trial) for trial in trials],
    }


def write_report(folder: Path, report: Mapping[str, Any], key: Ed25519PrivateKey) -> Path:
    """Writes both files into a folder, which is made; returns the signed one."""
    folder.mkdir(parents=True, exist_ok=True)
    signed = {"report": report, "public_key": public_key(key), "signature": key.sign(canonical(report)).hex()}
    (folder / TEXT_NAME).write_text(text_of(report), encoding="utf-8")
    file = folder / JSON_NAME
    file.write_text(json.dumps(signed, indent=1), encoding="utf-8")
    return file


def verified(file: Path, expected: str | None = None) -> dict[str, Any]:
    """The report of a signed file. Needs no home and no network.

    Raises ConfigurationError where the file is no report, was changed, or was signed with another key than `expected`.
    """
    try:
        signed = json.loads(file.read_text("utf-8"))
        report, key, signature = signed["report"], signed["public_key"], bytes.fromhex(signed["signature"])
        if expected is not None and key != expected.lower():
            raise ConfigurationError(f"{file}: signed with another key ({key}), so by another installation")
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, canonical(report))
    except InvalidSignature:
        raise ConfigurationError(f"{file}: the report was changed after it was signed") from None
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError):
        raise ConfigurationError(f"{file}: not a report of clinicmart audit prove") from None
    return {**report, "public_key": key}


def canonical(report: Mapping[str, Any]) -> bytes:
    """The bytes that are signed."""
    return json.dumps(report, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def text_of(report: Mapping[str, Any]) -> str:
    """The report as text: the outcome, each way with its counts, each crossing, then every trial."""
    trials = report["trials"]
    wrong = [trial for trial in trials if not _passed(trial)]
    lines = [
        "Clinicmart: proof of access",
        "",
        f"Made {report['made_at']} by release {report['release']}{', quick' if report['is_quick'] else ''}.",
        f"Outcome: {'no crossing' if report['passed'] else f'{len(wrong)} trials failed'} in {len(trials)} trials.",
        "Each trial tries a way to data that is not the person's, and then asks the same way as somebody who may (the control).",
        "A trial fails where foreign data came across, and where the control did not hold.",
        "",
        "Ways tried",
    ]
    lines += [f"  {way['trials']:5}  {way['title']}: {way['crossings'] or 'no'} failed" for way in report["ways"]]
    lines += [f"  not tried: {key}" for key in report["ways_not_tried"]]
    lines += ["", *(["Failed trials", *(line for trial in wrong for line in _lines(trial)), ""] if wrong else [])]
    return "\n".join([*lines, "All trials", *(line for trial in trials for line in _lines(trial)), ""])


def _passed(trial: Mapping[str, Any]) -> bool:
    return bool(Trial(**trial).passed)


def _lines(trial: Mapping[str, Any]) -> list[str]:
    outcome = "refused" if trial["result"] == REFUSED else trial["result"]
    control = "holds" if trial["control_holds"] else "DOES NOT HOLD"
    lines = [f"  [{trial['way']}] {trial['role']} of {trial['tenant']}: {trial['tried']}: {outcome}"]
    lines += [f"      came across: {trial['leaked']}"] if trial["leaked"] else []
    return [*lines, f"      control: {trial['control']}: {control}"]
