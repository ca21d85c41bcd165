"""The bill of materials names everything that is pinned, and an advisory is told where a source answers."""

import json
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from clinicmart import dependencies
from clinicmart.dependencies import NO_SOURCE, judge, pin_bases, pins, write_sbom

CLEAN = {"name": "click", "version": "8.5.1", "vulns": []}
HIT = {"name": "lxml", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"], "description": ""}]}
SKIPPED = {"name": "arrow", "skip_reason": "Dependency not found and could not be audited"}


def test_the_bill_of_materials_names_every_package_that_is_pinned(tmp_path: Path) -> None:
    write_sbom(tmp_path / "sbom.json")
    bill = json.loads((tmp_path / "sbom.json").read_text("utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    named = {canonicalize_name(part["name"]): part for part in bill["components"]}
    assert len(pins()) > 100
    assert {name: part["version"] for name, part in named.items()} == pins()
    assert [name for name, part in named.items() if not part.get("licenses")] == []
    uses = {item["ref"]: item.get("dependsOn", []) for item in bill["dependencies"]}
    assert named["argon2-cffi-bindings"]["bom-ref"] in uses[named["argon2-cffi"]["bom-ref"]]
    write_sbom(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "sbom.json").read_bytes()


def test_what_only_tests_need_is_not_installed_with_the_product() -> None:
    assert (
        not {"pytest", "hypothesis", "atheris", "playwright", "ruff", "mypy", "sqlfluff", "pip-audit"} & pins().keys()
    )


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_a_package_that_is_pinned_with_an_extra_is_pinned_without_it_too(name: str) -> None:
    text = (dependencies.REQUIREMENTS.parent / name).read_text("utf-8")
    assert pin_bases(text) == text
    only = 'a[x]==1 ; python_version < "3.12" \\\n    --hash=sha256:00\nb==2 \\\n    --hash=sha256:11\n'
    assert pin_bases(only) == only.replace("[x]", "").partition("b==")[0] + only
    assert pin_bases(pin_bases(only)) == pin_bases(only)


def test_an_advisory_fails_and_is_named() -> None:
    code, lines = judge({"dependencies": [CLEAN, HIT, SKIPPED]})
    assert code == 1
    assert lines[0] == "lxml 1.0: PYSEC-1; fixed in 1.1"
    assert judge({"dependencies": [CLEAN, SKIPPED]})[0] == 0


@pytest.mark.parametrize("report", [None, {}, {"dependencies": []}, {"dependencies": [SKIPPED, SKIPPED]}])
def test_no_answer_fails_nothing_and_does_not_pass_for_a_clean_one(report) -> None:  # type: ignore[no-untyped-def]
    assert judge(report) == (0, [NO_SOURCE])


def test_an_accepted_advisory_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "ACCEPTED", {"PYSEC-1": "the parser is not used"})
    assert judge({"dependencies": [HIT]})[0] == 0
