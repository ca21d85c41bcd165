"""The sample's senders use special words: their profiles explain them, and without a profile every one is reported as unknown."""

from pathlib import Path

import pytest

from clinicmart.sample import write_sample
from clinicmart.sample.overlaps import ADT_WORDS, CLAIM_WORDS
from foundation.config import Feed
from ingest.landing.unknown_words import unknown_words
from ingest.load.partial_rows import landing_contract
from ingest.sources import source_for


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, tenants=1, appointments=2000)
    return folder


@pytest.mark.parametrize(
    ("name", "kind", "folder", "lists"), [("adt", "hl7v2", "hl7", ADT_WORDS), ("claims", "x12", "837", CLAIM_WORDS)]
)
def test_words_of_senders_are_taught_by_their_profiles(
    sample: Path, name: str, kind: str, folder: str, lists: dict[str, dict[str, str]]
) -> None:
    def unknown(profile: str | None) -> set[str]:
        path = str(sample / "harbor" / folder)
        feed = Feed(tenant_id="t", name=name, kind=kind, path=path, profile=profile, time_zone="America/New_York")
        source = source_for(kind)
        result = set()
        for unit in source.discover(feed):
            for chunk in source.read(unit):
                result |= {word.word for word in chunk.unknown_words}
                for entity, rows in chunk.rows.items():
                    result |= {word.word for word in unknown_words(landing_contract(kind, entity), rows)}
        return result

    assert unknown(None) == {word for words in lists.values() for word in words}
    assert unknown(str(sample / "profiles" / f"{name}.yaml")) == set()
