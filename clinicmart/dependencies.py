"""What is installed, as a bill of materials, and whether an advisory speaks of it.

    python -m clinicmart.dependencies sbom FILE      writes CycloneDX 1.6 (JSON) of the environment
    python -m clinicmart.dependencies advisories     asks the sources of pip-audit about every pin of requirements.txt

`advisories` exits with 1 where an advisory speaks of a pin, and with 0 and a sentence where no source answers: a build never fails
for lack of a network.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
WAIT_SECONDS = 180
# Advisory -> why it does not touch us. Remove an entry when its package is upgraded.
ACCEPTED: Mapping[str, str] = {}
NO_SOURCE = "advisories: no source answered; nothing was checked"


def judge(report: Mapping[str, Any] | None) -> tuple[int, list[str]]:
    """(exit code, lines to print) of a report of pip-audit in JSON; None stands for no report."""
    packages: Sequence[Mapping[str, Any]] = (report or {}).get("dependencies") or ()
    answered = [package for package in packages if "skip_reason" not in package]
    if not answered:
        return 0, [NO_SOURCE]
    lines = [
        f"{package['name']} {package['version']}: {advisory['id']}; fixed in {', '.join(advisory['fix_versions']) or 'no version'}"
        for package in answered
        for advisory in package["vulns"]
        if advisory["id"] not in ACCEPTED
    ]
    silent = len(packages) - len(answered)
    summary = (
        f"advisories: {len(answered)} packages checked, {silent} of which no source knows, {len(lines)} advisories"
    )
    return (1 if lines else 0), [*lines, summary]


def _report() -> Mapping[str, Any] | None:
    command = [sys.executable, "-m", "pip_audit", "-r", str(REQUIREMENTS), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", "5"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT_SECONDS)  # noqa: S603
        report: Mapping[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None
    return report


def write_sbom(file: Path) -> None:
    """Writes the bill of materials of this environment; the same environment gives the same bytes."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--spec-version", "1.6"]
    subprocess.run([*command, "--output-format", "JSON", "--output-file", str(file)], check=True)  # noqa: S603


def main() -> int:
    """Runs the command that the first word names."""
    match sys.argv[1:]:
        case ["sbom", file]:
            write_sbom(Path(file))
            return 0
        case ["advisories"]:
            code, lines = judge(_report())
            sys.stdout.write("\n".join([*lines, ""]))
            return code
    sys.stderr.write(f"{__doc__}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
