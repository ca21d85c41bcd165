"""The worked example of a FHIR vendor's profile in docs/profiles.md does what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest

from ingest.profiles.fhir import IDENTIFIERS, PLACEHOLDERS, FhirProfile
from tests.ingest.fhir_reading import read

PAGE = (Path(__file__).parents[2] / "docs/profiles.md").read_text("utf-8")
SECTION = PAGE[PAGE.index("## A FHIR feed") : PAGE.index("## A sender of HL7 v2 messages")]
BLOCK = re.compile(r"```(?:json|yaml) (\S+)\n(.*?)```", re.DOTALL)
ROW = re.compile(r"^\| `(\w+)` \| `(\w+)` \| (\S+) \|$", re.MULTILINE)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The files of the example; its feed lies in `feed`."""
    (tmp_path / "feed").mkdir()
    result = BLOCK.findall(SECTION)
    assert len(result) == 5
    for name, content in result:
        (tmp_path / ("feed" if name.endswith("json") else "") / name).write_text(content)
    return tmp_path


def test_the_example_gives_with_its_profile_what_the_page_says(example: Path) -> None:
    result = read(example / "feed", str(example / "northwind.yaml"))
    assert (result.refusals, result.bad) == ([], {})
    reported = ROW.findall(SECTION)
    assert len(reported) == 8
    values: list[Any] = [(entity, column, str(result.row(entity)[column])) for entity, column, _ in reported]
    assert values == reported


def test_the_example_shows_with_the_standard_alone_what_the_page_says(example: Path) -> None:
    result = read(example / "feed", "r4")
    assert (result.refusals, result.bad) == ([], {("encounter", "valid_values", "encounter_class"): 1})
    assert result.row("service_unit")["unit_type"] == "clinic"
    assert "patient_merge" not in result.good


def test_the_page_names_every_key_of_a_profile_and_every_placeholder() -> None:
    for name in FhirProfile.__dataclass_fields__:
        assert name == "name" or f"`{name}`" in SECTION, name
    for name in IDENTIFIERS:
        assert f"`{name}`" in SECTION, name
    for name in PLACEHOLDERS:
        assert f"`{{{name}}}`" in SECTION, name
