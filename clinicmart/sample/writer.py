"""Writes a sample: folders of feeds per tenant, the configuration over them, and the truths."""

import json
import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import yaml

from clinicmart.sample import (
    catalogue,
    evaluation_levels,
    fhir,
    flaws,
    hl7v2,
    overlaps,
    work_rvus,
    x12_acknowledgements,
    x12_claims,
    x12_eligibility,
    x12_remits,
)
from clinicmart.sample.catalogue import TENANTS, TenantSpec
from clinicmart.sample.clock import Calendar
from clinicmart.sample.definitions import DEFINITIONS, POPULATIONS
from clinicmart.sample.pm_database import write_database
from clinicmart.sample.story import Story, tell
from clinicmart.sample.truths import Truths
from foundation.errors import ConfigurationError

# A fixed day, for tests and measurements; the commands take yesterday.
AS_OF = date(2026, 10, 31)
EARLIEST, LATEST = date(2010, 1, 1), date(2049, 12, 31)
# Below this a second process costs more than it saves.
PARALLEL_FROM = 60_000
FEWEST = 200


@dataclass(frozen=True, kw_only=True)
class SampleReport:
    """The result of writing. `rows` counts PM rows per tenant and table, `files` the feed files per tenant and folder."""

    folder: Path
    config: Path
    truths: Path
    tenants: tuple[str, ...]
    rows: dict[str, dict[str, int]]
    files: dict[str, dict[str, int]]


def write_sample(out: Path, *, tenants: int = 3, appointments: int, seed: int = 7, as_of: date = AS_OF) -> SampleReport:
    """Writes a synthetic group of `tenants` with `appointments` in all, the same bytes for the same arguments.

    Under `out`: `<tenant>/pm.sqlite`, `<tenant>/fhir/*.ndjson`, `<tenant>/hl7/*.hl7`, `<tenant>/837/*.837`, `<tenant>/835/*.835`,
    `<tenant>/277/*` (277CA, 999, 271), `<tenant>/rvu/*.csv` (work RVUs), `<tenant>/levels/*.csv` (levels of visits),
    `profiles/*.yaml` (words of senders), `config.yaml`
    (absolute paths) and `truths.json`. Files of an earlier sample are replaced.
    History is 19 months up to `as_of`, bookings reach six weeks beyond. The 837s and 835s, and the answers to the 837s, always hold
    the whole history; FHIR encounters all of it up to 200,000 appointments a tenant and the last three months beyond that; HL7 all
    stays and merges, and every second appointment of the last three months and of those to come. Some visits and stays bear
    another identifier in FHIR and HL7 than in the PM database, and some fields another value (views.py).

    Raises ConfigurationError for fewer than one tenant, for fewer than 200 appointments a tenant and for a last day before 2010 or
    after 2049, OSError where the disk refuses.
    """
    if tenants < 1:
        raise ConfigurationError("a sample needs at least one tenant")
    if appointments < FEWEST * tenants:
        raise ConfigurationError(f"a sample needs at least {FEWEST} appointments a tenant")
    if not EARLIEST <= as_of <= LATEST:
        raise ConfigurationError(f"the last day of a sample must lie between {EARLIEST} and {LATEST}")
    out = Path(out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    specs = tenant_specs(tenants)
    counts = shares(specs, appointments)
    jobs = [_Job(out, seed, index, spec, counts[index], as_of) for index, spec in enumerate(specs)]
    rows, feeds = _write_all(jobs, parallel=appointments >= PARALLEL_FROM)
    truths = {
        "seed": seed,
        "as_of": as_of.isoformat(),
        "populations": POPULATIONS,
        "definitions": DEFINITIONS,
        "tenants": {spec.tenant_id: truth for spec, (_, truth) in zip(specs, feeds, strict=True)},
    }
    _write(out / "profiles", "yaml", overlaps.profiles())
    truths_file, config_file = out / "truths.json", out / "config.yaml"
    truths_file.write_text(json.dumps(truths, indent=1) + "\n", encoding="utf-8")
    config_file.write_text(configuration(out, specs, as_of), encoding="utf-8")
    return SampleReport(
        folder=out,
        config=config_file,
        truths=truths_file,
        tenants=tuple(spec.tenant_id for spec in specs),
        rows={spec.tenant_id: counted for spec, counted in zip(specs, rows, strict=True)},
        files={spec.tenant_id: written for spec, (written, _) in zip(specs, feeds, strict=True)},
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
    remaining = appointments - FEWEST * len(specs)
    counts = FEWEST + np.floor(remaining * weights / weights.sum()).astype(int)
    counts[0] += appointments - counts.sum()
    return [int(count) for count in counts]


@dataclass(frozen=True)
class _Job:
    """One tenant to write. Each process makes its story again, which costs a tenth of writing it."""

    out: Path
    seed: int
    index: int
    spec: TenantSpec
    appointments: int
    as_of: date

    def story(self) -> Story:
        return tell(self.seed, self.index, self.spec, Calendar.until(self.as_of), self.appointments)

    def folder(self) -> Path:
        folder = self.out / self.spec.tenant_id
        folder.mkdir(exist_ok=True)
        return folder


Feeds = tuple[dict[str, int], dict[str, object]]


def _write_all(jobs: list[_Job], *, parallel: bool) -> tuple[list[dict[str, int]], list[Feeds]]:
    """PM databases, the longer part, and feeds of all tenants, in as many processes as there are cores."""
    workers = os.cpu_count() or 1
    if not parallel or workers == 1:
        return [_write_pm(job) for job in jobs], [_write_feeds(job) for job in jobs]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        databases = [pool.submit(_write_pm, job) for job in jobs]
        feeds = [pool.submit(_write_feeds, job) for job in jobs]
        return [future.result() for future in databases], [future.result() for future in feeds]


def _write_pm(job: _Job) -> dict[str, int]:
    return write_database(job.story(), job.folder() / "pm.sqlite")


def _write_feeds(job: _Job) -> Feeds:
    story, folder = job.story(), job.folder()
    written = {
        "fhir": _write(folder / "fhir", "ndjson", fhir.files(story)),
        "hl7": _write(folder / "hl7", "hl7", hl7v2.files(story)),
        "837": _write(folder / "837", "837", x12_claims.files(overlaps.with_voids(story))),
        "835": _write(folder / "835", "835", x12_remits.files(story)),
        "277": _write(folder / "277", "*", chain(x12_acknowledgements.files(story), x12_eligibility.files(story))),
        "rvu": _write(folder / "rvu", "csv", work_rvus.files(story)),
        "levels": _write(folder / "levels", "csv", evaluation_levels.files()),
    }
    written["835"] += _plant_remittances(story, folder / "835")
    # The time of a reference file is that of its rows: the sample's are not of today.
    published = datetime.combine(job.as_of, time(), UTC).timestamp()
    for name in ("rvu", "levels"):
        for file in (folder / name).glob("*.csv"):
            os.utime(file, (published, published))
    return written, Truths(story).result()


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
    """The broken files, and the first real one again under another name and cut again."""
    first = min(folder.glob("*.835"))
    (folder / f"{flaws.DUPLICATE_PREFIX}{first.name}").write_bytes(first.read_bytes())
    (folder / f"{overlaps.RECUT_PREFIX}{first.name}").write_text(overlaps.recut(first.read_text("utf-8")), "utf-8")
    broken = flaws.broken_remittances(story)
    for name, content in broken.items():
        (folder / name).write_bytes(content)
    return 2 + len(broken)


def configuration(out: Path, specs: list[TenantSpec], as_of: date) -> str:
    """config.yaml: seven feeds a tenant, the PM database first and so the record; judged as of the day that the sample ends."""
    tenants = {}
    for spec in specs:
        folder = out / spec.tenant_id
        tenants[spec.tenant_id] = {
            "name": spec.name,
            "time_zone": spec.time_zone,
            "as_of": as_of.isoformat(),
            "issuer": spec.tenant_id.upper(),
            "feeds": [
                {
                    "name": "pm",
                    "kind": "pm_database",
                    "profile": "clinicmart",
                    "url": f"sqlite:///{folder / 'pm.sqlite'}",
                },
                {"name": "ehr", "kind": "fhir", "profile": "r4", "path": str(folder / "fhir")},
                {
                    "name": "adt",
                    "kind": "hl7v2",
                    "path": str(folder / "hl7"),
                    "profile": str(out / "profiles" / "adt.yaml"),
                },
                {
                    "name": "claims",
                    "kind": "x12",
                    "path": str(folder / "837"),
                    "profile": str(out / "profiles" / "claims.yaml"),
                },
                {"name": "remits", "kind": "x12", "path": str(folder / "835")},
                {"name": "acknowledgements", "kind": "x12", "path": str(folder / "277")},
                {"name": "rvu", "kind": "reference_file", "profile": "work_rvu_rates", "path": str(folder / "rvu")},
                {
                    "name": "levels",
                    "kind": "reference_file",
                    "profile": "evaluation_levels",
                    "path": str(folder / "levels"),
                },
            ],
        }
    return yaml.safe_dump({"tenants": tenants}, sort_keys=False, width=1000)
