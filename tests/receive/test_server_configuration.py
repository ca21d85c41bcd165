"""`server` of a FHIR feed in the configuration: every complaint names file, line and key."""

import json
from pathlib import Path
from typing import Any

import pytest

from foundation.config import Feed, load_config
from foundation.errors import ConfigurationError


def _feed(folder: Path, **server: Any) -> Feed:
    feed = {"name": "ehr", "kind": "fhir", "server": {"url": "https://fhir.example.org/r4/"} | server}
    file = folder / "clinicmart.yaml"
    tenants = {"harbor": {"name": "Harbor", "time_zone": "UTC", "feeds": [feed]}}
    file.write_text(json.dumps({"tenants": tenants}), encoding="utf-8")
    return load_config(file).tenants[0].feeds[0]


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    server = _feed(tmp_path).server
    assert server is not None
    assert (server.url, server.export, server.hosts) == ("https://fhir.example.org/r4", "system", ())
    assert (server.wait_minutes, server.maximum_file_gib, server.keep_days) == (60, 16, 30)
    assert (server.history_days, server.horizon_days) == (1095, 180)


def test_every_key_is_read(tmp_path: Path) -> None:
    server = _feed(
        tmp_path,
        authorities="ca.pem",
        hosts=["files.example.org", "other.example.org:8443"],
        wait_minutes=5,
        maximum_file_gib=1,
        history_days=10,
        horizon_days=20,
        keep_days=3,
    ).server
    assert server is not None
    assert server.authorities == tmp_path / "ca.pem"
    assert server.hosts == ("files.example.org", "other.example.org:8443")
    numbers = (server.wait_minutes, server.maximum_file_gib, server.history_days, server.horizon_days, server.keep_days)
    assert numbers == (5, 1, 10, 20, 3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("wait_minutes", 0),
        ("wait_minutes", "soon"),
        ("keep_days", -1),
        ("maximum_file_gib", 2.5),
        ("horizon_days", 99999),
        ("hosts", "files.example.org"),
        ("hosts", ["https://files.example.org"]),
        ("hosts", ["files.example.org/x"]),
        ("hosts", ["me@files.example.org"]),
        ("hosts", ["files.example.org:port"]),
        ("timeout", 3),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"clinicmart.yaml:1: .*server\.{key}"):
        _feed(tmp_path, **{key: value})
