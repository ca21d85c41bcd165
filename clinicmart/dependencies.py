"""What an installation holds, as a bill of materials, and whether an advisory names it.

    python -m clinicmart.dependencies sbom FILE      writes CycloneDX 1.6 (JSON) of the pins of requirements.txt
    python -m clinicmart.dependencies advisories     asks the sources of pip-audit about every pin of requirements.txt
    python -m clinicmart.dependencies bases FILE     pins packages without their extras too, in a list of requirements

`advisories` exits with 1 where an advisory names a pinned version, and with 0 and a sentence where no source answers: a build never fails
for lack of a network.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from cyclonedx.model.component import Component

REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
WAIT_SECONDS = 180
# Advisory -> why it does not touch us. Remove an entry when its package is upgraded.
ACCEPTED: Mapping[str, str] = {}
# Name, extras, and the lines of one pin.
_PIN = re.compile(r"(?m)^([\w.-]+)(\[[\w,.-]+\])?==.*\n(?:[ ]+.*\n)*")
NO_SOURCE = "advisories: no source answered; nothing was checked"


def judge(report: Mapping[str, Any] | None) -> tuple[int, list[str]]:
    """(exit code, lines to print) of a report of pip-audit in JSON; None means that there is no report."""
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
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        # pip-audit refuses a list that names a package twice, with and without an extra.
        file.writelines(f"{name}=={pinned}\n" for name, pinned in pins().items())
        file.flush()
        command = [sys.executable, "-m", "pip_audit", "-r", file.name, "--no-deps", "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off", "--timeout", "5"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT_SECONDS)  # noqa: S603
            report: Mapping[str, Any] = json.loads(done.stdout)
        except (subprocess.TimeoutExpired, ValueError):
            return None
        return report


def pin_bases(text: str) -> str:
    """A list of requirements with hashes, in which each package that is pinned with an extra is pinned without it too.

    pip (seen in 23.2) does not take the hashes of `pydantic[email]` for `pydantic`, which other packages need.
    """
    bases = {match[1] for match in _PIN.finditer(text) if not match[2]}

    def with_base(match: re.Match[str]) -> str:
        pinned = match[0]
        return pinned if not match[2] or match[1] in bases else pinned.replace(match[2], "", 1) + pinned

    return _PIN.sub(with_base, text)


def pins() -> dict[str, str]:
    """Package to version of requirements.txt, without packages of other systems and Python versions."""
    lines = (line.rstrip(" \\") for line in REQUIREMENTS.read_text("utf-8").splitlines())
    requirements = [Requirement(line) for line in lines if line and not line.startswith(("#", " "))]
    return {
        canonicalize_name(item.name): next(iter(item.specifier)).version
        for item in requirements
        if item.marker is None or item.marker.evaluate()
    }


def _licences(package: Distribution) -> list[str]:
    """The licence of a package: an SPDX expression, else its classifiers, else a free text of one line."""
    metadata = package.metadata
    if expressions := metadata.get_all("License-Expression"):
        return list(expressions)
    classifiers = [line for line in metadata.get_all("Classifier") or () if line.startswith("License ::")]
    names = [line.rsplit("::", 1)[-1].strip() for line in classifiers if line.count("::") > 1]
    texts = [text.strip() for text in metadata.get_all("License") or ()]
    return names or [text for text in texts if text and "\n" not in text]


def _component(package: Distribution) -> "Component":
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    name = canonicalize_name(package.name)
    purl = PackageURL("pypi", name=name, version=package.version)
    licences = [LicenseFactory().make_from_string(text) for text in _licences(package)]
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        purl=purl,
        bom_ref=str(purl),
        licenses=licences,
    )


def write_sbom(file: Path) -> None:
    """Writes the bill of materials of the pins, with the licences and dependencies of the installed packages; the same packages
    give the same bytes. Raises PackageNotFoundError for a pin that is not installed."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.output.json import JsonV1Dot6

    packages = {name: distribution(name) for name in pins()}
    components = {name: _component(package) for name, package in packages.items()}
    bom = Bom(components=components.values())
    for name, package in packages.items():
        needed = {canonicalize_name(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in package.requires or ()}
        bom.register_dependency(components[name], [components[other] for other in needed if other in components])
    bill = json.loads(JsonV1Dot6(bom).output_as_string())
    # Both differ from one writing to the next.
    bill.pop("serialNumber", None)
    bill["metadata"].pop("timestamp", None)
    file.write_text(json.dumps(bill, indent=2, sort_keys=True) + "\n", encoding="utf-8")


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
        case ["bases", file]:
            Path(file).write_text(pin_bases(Path(file).read_text("utf-8")), encoding="utf-8")
            return 0
    sys.stderr.write(f"{__doc__}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
