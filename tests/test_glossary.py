"""The glossary names places in code: each of them is there."""

import re

from tests.support import ROOT

_PLACE = re.compile(r"`((?:foundation|data_contracts|ingest|serving|dashboards|clinicmart)(?:\.\w+)+)`")


def _is_there(place: str) -> bool:
    """Whether a dotted name is a package, a module, or a name that stands in the text of its module."""
    path = ROOT.joinpath(*place.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    module, _, name = place.rpartition(".")
    if name[:1].islower() and not ROOT.joinpath(*module.split(".")).with_suffix(".py").is_file():
        module, _, name = module.rpartition(".")
    file = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    return file.is_file() and re.search(rf"\b{name}\b", file.read_text("utf-8")) is not None


def test_every_place_of_the_glossary_is_there() -> None:
    places = _PLACE.findall((ROOT / "docs" / "glossary.md").read_text("utf-8"))
    assert len(places) > 30
    assert [place for place in places if not _is_there(place)] == []
    assert not _is_there("ingest.sources.absent.Reader")
