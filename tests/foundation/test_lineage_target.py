"""The section `lineage` of the configuration file."""

from pathlib import Path

import pytest

from foundation.config import load_config
from foundation.errors import ConfigurationError

TENANTS = """\
tenants:
  harbor:
    name: Harbor
    time_zone: America/New_York
    feeds: [{name: remits, kind: x12, path: 835}]
"""


def written(folder: Path, section: str) -> Path:
    file = folder / "clinicmart.yaml"
    file.write_text(TENANTS + section, encoding="utf-8")
    return file


def test_without_the_section_nothing_is_told(tmp_path: Path) -> None:
    assert load_config(written(tmp_path, "")).lineage is None


def test_a_file_lies_beside_the_configuration_and_stays_with_one_tenant(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "lineage: {file: told/lineage.ndjson, namespace: harbor-test}\n")).only(
        "harbor"
    )
    assert config.lineage is not None
    assert config.lineage.file == tmp_path / "told" / "lineage.ndjson"
    assert config.lineage.namespace == "harbor-test"


def test_an_address_and_its_key_come_from_the_environment_and_are_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "https://lineage.example.org/secret-path")
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "s3cret")
    section = 'lineage: {url: "${OPENLINEAGE_URL}", api_key: "${OPENLINEAGE_API_KEY}"}\n'
    target = load_config(written(tmp_path, section)).lineage
    assert target is not None
    assert target.api_key == "s3cret"
    assert target.shown == "https://lineage.example.org"
    assert "s3cret" not in repr(target)
    assert "secret-path" not in repr(target)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("lineage: {fil: a}\n", "lineage.fil: unknown key"),
        ("lineage: {namespace: a}\n", "must have file or url"),
        ("lineage: {file: a, url: 'https://x.example.org'}\n", "must have file or url"),
        ("lineage: {file: a, api_key: b}\n", "lineage.api_key: can only be given with url"),
        ("lineage: {url: 'ftp://x.example.org'}\n", "must be an address"),
        ("lineage: {url: 'https://user:word@x.example.org'}\n", "no user name or password"),
        ("lineage: {url: 'http://x.example.org', api_key: b}\n", "must begin with https"),
        ("lineage: {url: 'http://x.example.org:99999'}\n", "must be an address"),
        ("lineage: {file: a, namespace: 'a b'}\n", "lineage.namespace"),
        ("lineage: {url: '${NOT_SET_ANYWHERE}'}\n", "NOT_SET_ANYWHERE is not set"),
    ],
)
def test_a_section_that_cannot_be_meant_is_refused_by_line_and_key(tmp_path: Path, section: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said.replace(".", r"\.")):
        load_config(written(tmp_path, section))
