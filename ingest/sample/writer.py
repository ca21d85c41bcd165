"""Writes a sample: folders of feeds per tenant, the configuration over them, and the truths."""

import json
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import yaml

from foundation.errors import ConfigurationError
from ingest.sample import catalogue, fhir, flaws, hl7v2, x12_claims, x12_remits
from ingest.sample.catalogue import TENANTS, TenantSpec
from ingest.sample.clock import Calendar
from ingest.sample.definitions import DEFINITIONS, POPULATIONS
from ingest.sample.pm_database import write_database
from ingest.sample.story import Story, tell
from ingest.sample.truths import Truths

AS_OF = date(2026, 10, 31)
# Below this a second process costs more than it saves.
PARALLEL_FROM = 60_000
FEWEST = 200


@dataclass(frozen=True, kw_only=True)
class SampleReport:
    """What was written. `rows` counts PM rows per tenant and table, `files` the feed files per tenant and folder."""

    folder: Path
    config: Path
    truths: Path
    tenants: tuple[str, ...]
    rows: dict[str, dict[str, int]]
    files: dict[str, dict[str, int]]


def write_sample(out: Path, *, tenants: int = 3, appointments: int, seed: int = 7, as_of: date = AS_OF) -> SampleReport:
    """Writes a synthetic group of `tenants` with `appointments` in all, the same bytes for the same arguments.

    Under `out`: `<tenant>/pm.sqlite`, `<tenant>/fhir/*.ndjson`, `<tenant>/hl7/*.hl7`, `<tenant>/837/*.837`, `<tenant>/835/*.835`,
    `config.yaml` (absolute paths, so that it may be moved alone) and `truths.json`. Files of an earlier sample are replaced.
    History is 19 months up to `as_of`, bookings reach six weeks beyond. The 837s and 835s always hold the whole history;
    HL7 and FHIR hold all of it up to 200,000 appointments a tenant, and the last three months of visits beyond that
    (stays, merges and admissions always all).

    Raises ConfigurationError for fewer than one tenant or fewer than 200 appointments a tenant, OSError where the disk refuses.
    """
    if tenants < 1:
        raise ConfigurationError("a sample needs at least one tenant")
    if appointments < FEWEST * tenants:
        raise ConfigurationError(f"a sample needs at least {FEWEST} appointments a tenant")
    out = Path(out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    specs = tenant_specs(tenants)
    counts = shares(specs, appointments)
    jobs = [(out, seed, index, spec, counts[index], as_of) for index, spec in enumerate(specs)]
    workers = min(os.cpu_count() or 1, tenants)
    if workers > 1 and appointments >= PARALLEL_FROM:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            done = list(pool.map(_write_tenant, jobs))
    else:
        done = [_write_tenant(job) for job in jobs]
    truths = {
        "seed": seed,
        "as_of": as_of.isoformat(),
        "populations": POPULATIONS,
        "definitions": DEFINITIONS,
        "tenants": {spec.tenant_id: result[2] for spec, result in zip(specs, done, strict=True)},
    }
    truths_file, config_file = out / "truths.json", out / "config.yaml"
    truths_file.write_text(json.dumps(truths, indent=1) + "\n", encoding="utf-8")
    config_file.write_text(configuration(out, specs), encoding="utf-8")
    return SampleReport(
        folder=out,
        config=config_file,
        truths=truths_file,
        tenants=tuple(spec.tenant_id for spec in specs),
        rows={spec.tenant_id: result[0] for spec, result in zip(specs, done, strict=True)},
        files={spec.tenant_id: result[1] for spec, result in zip(specs, done, strict=True)},
    )


def tenant_specs(count: int) -> list[TenantSpec]:
    """The three named tenants first, then invented ones, half as large each as the third."""
    specs = list(TENANTS[:count])
    for number in range(count - len(specs)):
        name = catalogue.FURTHER_NAMES[number % len(catalogue.FURTHER_NAMES)]
        turn = number // len(catalogue.FURTHER_NAMES)
        zone, second, state, zip3 = catalogue.FURTHER_ZONES[number % len(catalogue.FURTHER_ZONES)]
        suffix = f" {turn + 1}" if turn else ""
        specs.append(
            TenantSpec(
                tenant_id=f"{name.lower()}{turn + 1 if turn else ''}",
                name=f"{name} Street Clinics{suffix}",
                time_zone=zone,
                second_zone=second,
                state=state,
                zip3=zip3,
                weight=0.11,
            )
        )
    return specs


def shares(specs: list[TenantSpec], appointments: int) -> list[int]:
    """Appointments of each tenant by its weight, at least FEWEST, adding up to `appointments`."""
    weights = np.array([spec.weight for spec in specs])
    rest = appointments - FEWEST * len(specs)
    counts = FEWEST + np.floor(rest * weights / weights.sum()).astype(int)
    counts[0] += appointments - counts.sum()
    return [int(count) for count in counts]


def _write_tenant(
    job: tuple[Path, int, int, TenantSpec, int, date],
) -> tuple[dict[str, int], dict[str, int], dict[str, object]]:
    out, seed, index, spec, count, as_of = job
    story = tell(seed, index, spec, Calendar.until(as_of), count)
    folder = out / spec.tenant_id
    folder.mkdir(exist_ok=True)
    rows = write_database(story, folder / "pm.sqlite")
    written = {
        "fhir": _write(folder / "fhir", "ndjson", fhir.files(story)),
        "hl7": _write(folder / "hl7", "hl7", hl7v2.files(story)),
        "837": _write(folder / "837", "837", x12_claims.files(story)),
        "835": _write(folder / "835", "835", x12_remits.files(story)),
    }
    written["835"] += _plant_remittances(story, folder / "835")
    return rows, written, Truths(story).result()


def _write(folder: Path, suffix: str, files: Iterable[tuple[str, str]]) -> int:
    """Replaces the files of a folder."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob(f"*.{suffix}"):
        old.unlink()
    count = 0
    for name, text in files:
        (folder / name).write_bytes(text.encode())
        count += 1
    return count


def _plant_remittances(story: Story, folder: Path) -> int:
    """The broken files, and the first real one again under another name."""
    first = min(folder.glob("*.835"))
    (folder / f"{flaws.DUPLICATE_PREFIX}{first.name}").write_bytes(first.read_bytes())
    broken = flaws.broken_remittances(story)
    for name, content in broken.items():
        (folder / name).write_bytes(content)
    return 1 + len(broken)


def configuration(out: Path, specs: list[TenantSpec]) -> str:
    """config.yaml: five feeds a tenant, the PM database first and so the record."""
    tenants = {}
    for spec in specs:
        folder = out / spec.tenant_id
        tenants[spec.tenant_id] = {
            "name": spec.name,
            "time_zone": spec.time_zone,
            "feeds": [
                {
                    "name": "pm",
                    "kind": "pm_database",
                    "profile": "clinicmart",
                    "url": f"sqlite:///{folder / 'pm.sqlite'}",
                },
                {"name": "ehr", "kind": "fhir", "profile": "r4", "path": str(folder / "fhir")},
                {"name": "adt", "kind": "hl7v2", "path": str(folder / "hl7")},
                {"name": "claims", "kind": "x12", "path": str(folder / "837")},
                {"name": "remits", "kind": "x12", "path": str(folder / "835")},
            ],
        }
    return yaml.safe_dump({"tenants": tenants}, sort_keys=False, width=1000)
