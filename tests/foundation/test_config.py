"""The configuration file as the person who writes it meets it."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foundation.config import load_config
from foundation.errors import ConfigurationError

GOOD = """\
tenants:
  harbor:
    name: Harbor Health
    time_zone: America/New_York
    feeds:
      - {name: pm, kind: pm_database, profile: clinicmart, url: "${PM_URL}"}
      - {name: ehr, kind: fhir, profile: synthea, path: feeds/fhir}
    system_of_record:
      encounter: [ehr]
"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PM_URL", "postgresql://reader:s3cret@db/pm")

    def write(text: str) -> Path:
        file = tmp_path / "clinicmart.yaml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_a_good_file_gives_tenants_feeds_and_precedence(written) -> None:
    config = load_config(written(GOOD), entities=frozenset({"encounter"}))
    tenant = config.tenant("harbor")
    assert [feed.name for feed in tenant.feeds] == ["pm", "ehr"]
    assert tenant.feeds[0].url == "postgresql://reader:s3cret@db/pm"
    assert tenant.feeds[1].path == str(config.file.parent / "feeds/fhir")
    assert tenant.precedence("encounter") == {"ehr": 1, "pm": 2}
    assert tenant.precedence("charge") == {"pm": 1, "ehr": 2}


def test_a_feed_is_judged_as_of_its_read_or_of_the_end_of_the_day_that_the_file_names(written) -> None:
    read_at = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
    now = load_config(written(GOOD)).tenants[0].feeds[0]
    assert now.judged_at(read_at) == read_at
    copy = load_config(written(GOOD.replace("    feeds:", "    as_of: 2026-10-31\n    feeds:"))).tenants[0].feeds[0]
    assert copy.judged_at(read_at) == datetime(2026, 11, 1, 4, 0, tzinfo=UTC)


def test_a_secret_never_shows_in_the_representation(written) -> None:
    assert "s3cret" not in repr(load_config(written(GOOD)))


@pytest.mark.parametrize(
    ("change", "line", "key"),
    [
        (("name: Harbor Health", "nmae: Harbor Health"), 3, "tenants.harbor.nmae"),
        (("America/New_York", "America/Boston"), 4, "tenants.harbor.time_zone"),
        (("    feeds:", "    as_of: 31.10.2026\n    feeds:"), 5, "tenants.harbor.as_of"),
        (("    feeds:", "    keep_versions_days: long\n    feeds:"), 5, "tenants.harbor.keep_versions_days"),
        (("tenants:", "keep_runs_days: 0\ntenants:"), 1, "keep_runs_days"),
        (("    feeds:", "    runs_at: [24:00]\n    feeds:"), 5, "tenants.harbor.runs_at"),
        (("    feeds:", "    runs_at: 05:00\n    feeds:"), 5, "tenants.harbor.runs_at"),
        (("kind: fhir", "kind: hl7"), 7, "tenants.harbor.feeds[1].kind"),
        (("name: ehr", "name: pm"), 7, "tenants.harbor.feeds[1].name"),
        (("path: feeds/fhir", "url: feeds/fhir"), 7, "tenants.harbor.feeds[1].url"),
        (("profile: clinicmart, ", ""), 6, "tenants.harbor.feeds[0].profile"),
        (("${PM_URL}", "${NOT_SET_ANYWHERE}"), 6, "tenants.harbor.feeds[0].url"),
        (("encounter: [ehr]", "visit: [ehr]"), 9, "tenants.harbor.system_of_record.visit"),
        (("encounter: [ehr]", "encounter: [billing]"), 9, "tenants.harbor.system_of_record.encounter"),
        (("  harbor:", "  Harbor_1:"), 2, "tenants.Harbor_1"),
        (("    time_zone: America/New_York\n", ""), 2, "tenants.harbor.time_zone"),
    ],
)
def test_a_mistake_names_file_line_and_key(written, change: tuple[str, str], line: int, key: str) -> None:
    assert change[0] in GOOD
    file = written(GOOD.replace(*change))
    with pytest.raises(ConfigurationError) as caught:
        load_config(file, entities=frozenset({"encounter"}))
    assert str(caught.value).startswith(f"{file}:{line}: {key}: ")
    assert caught.value.exit_code == 2
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "tenants: {}", "tenants: [a]", "tenants:\n  a: {x: [", "feeds: 1"])
def test_a_file_that_is_no_configuration_is_refused_with_its_line(written, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"clinicmart\.yaml:\d+: "):
        load_config(written(text))


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_config(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load_config(tmp_path / "binary.yaml")


def test_an_unknown_tenant_names_those_there_are(written) -> None:
    with pytest.raises(ConfigurationError, match="no tenant 'mesa'; the file has harbor"):
        load_config(written(GOOD)).only("mesa")


REMOTE = """\
tenants:
  harbor:
    name: Harbor Health
    time_zone: America/New_York
    feeds:
      - name: ehr
        kind: fhir
        server: {url: "https://fhir.example.org/r4/", client_id: c, key: keys/ehr.pem, key_id: one}
      - name: adt
        kind: hl7v2
        listen: {port: 2575, certificate: tls/a.pem, key: tls/a.key}
"""


def test_a_server_and_a_port_are_places_of_a_feed(written) -> None:
    config = load_config(written(REMOTE))
    ehr, adt = config.tenant("harbor").feeds
    assert ehr.server is not None
    assert adt.listen is not None
    assert ehr.server.url == "https://fhir.example.org/r4"
    assert ehr.server.key == config.file.parent / "keys/ehr.pem"
    assert ehr.server.export == "system"
    assert (adt.listen.host, adt.listen.port, adt.listen.certificate) == (
        "127.0.0.1",
        2575,
        config.file.parent / "tls/a.pem",
    )
    assert ehr.path is ehr.url is adt.path is None


@pytest.mark.parametrize(
    ("change", "line", "key"),
    [
        (("https://fhir", "http://fhir"), 8, "feeds[0].server.url: must begin with https"),
        (("https://fhir", "https://me:secret@fhir"), 8, "feeds[0].server.url: must hold no user name"),
        ((", key: keys/ehr.pem, key_id: one", ""), 8, "feeds[0].server.client_id: needs"),
        (("key_id: one", "export: group"), 8, "feeds[0].server.group"),
        (("key_id: one", "group: g1"), 8, "feeds[0].server.group"),
        (("key_id: one", "export: all"), 8, "feeds[0].server.export: 'all' is not one of"),
        (("kind: fhir", "kind: x12"), 8, "feeds[0].server: a x12 feed has path, not server"),
        (("key_id: one}", "key_id: one}\n        path: here"), 8, "feeds[0].server: a feed has only one of"),
        (("port: 2575", "port: 70000"), 11, "feeds[1].listen.port"),
        ((", key: tls/a.key", ""), 11, "feeds[1].listen.certificate: needs"),
    ],
)
def test_what_is_wrong_with_a_remote_feed_is_named_by_line(written, change, line, key) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_config(written(REMOTE.replace(*change)))
    assert f":{line}:" in str(raised.value)
    assert key in str(raised.value)
    assert "secret" not in str(raised.value)


def test_the_warehouse_section_names_a_server_and_hides_its_password(written, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_config(written(GOOD)).warehouse.postgres is None
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://clinicmart:hunter2@db/warehouse")
    config = load_config(written(GOOD + 'warehouse: {postgres: "${WAREHOUSE_URL}", citus: true}\n'))
    assert config.warehouse.postgres == "postgresql://clinicmart:hunter2@db/warehouse"
    assert config.warehouse.citus
    assert config.only("harbor").warehouse == config.warehouse
    assert "hunter2" not in repr(config)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{url: x}", "warehouse.url: unknown key; known are postgres, citus"),
        ("{citus: true}", "warehouse.citus: needs warehouse.postgres"),
        ("{postgres: x, citus: perhaps}", "warehouse.citus: must be true or false"),
        ('{postgres: "${NOT_SET_ANYWHERE}"}', "warehouse.postgres: environment variable NOT_SET_ANYWHERE is not set"),
    ],
)
def test_a_wrong_warehouse_section_is_refused_by_key(written, section: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        load_config(written(GOOD + f"warehouse: {section}\n"))


def test_a_tenant_is_the_same_after_a_comment_another_order_and_a_move_and_another_after_a_change(
    written, tmp_path: Path
) -> None:
    def digest_of(text: str, folder: Path) -> str:
        folder.mkdir(exist_ok=True)
        file = folder / "clinicmart.yaml"
        file.write_text(text, encoding="utf-8")
        return load_config(file, entities=frozenset({"encounter"})).tenant("harbor").digest(folder)

    first = digest_of(GOOD, tmp_path)
    assert digest_of(f"# a comment\n{GOOD}", tmp_path) == first
    turned = GOOD.replace("    name: Harbor Health\n", "").replace(
        "    time_zone: America/New_York\n", "    time_zone: America/New_York\n    name: Harbor Health\n"
    )
    assert turned != GOOD
    assert digest_of(turned, tmp_path) == first
    assert digest_of(GOOD, tmp_path / "moved") == first
    for change in (("feeds/fhir", "feeds/other"), ("New_York", "Chicago"), ("[ehr]", "[pm]")):
        assert digest_of(GOOD.replace(*change), tmp_path) != first
