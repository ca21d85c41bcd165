"""`/readyz` and the metrics: what Prometheus' own parser reads of a home, and what it must not."""

import socket
import sqlite3
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from clinicmart.metrics_server import address_of, metrics_served
from foundation import formats
from foundation.errors import ConfigurationError
from foundation.home import FORMAT_FILE, Home
from ingest import ledger as tables
from ingest.ledger import Ledger, now
from serving.model import MetricQuery
from serving.people.principal import PLATFORM
from serving.people.store import AccessStore
from serving.readiness import REASONS, not_ready
from serving.versions.store import current_version, files_of, outcome, record_outcome
from tests.serving.conftest import Place
from tests.support import clinicmart_here

PATIENT = "OKAFOR_ADAEZE"
FEED = {"run_id": "run-1", "tenant_id": "harbor", "feed": "remits"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scrape(home: Home) -> tuple[str, dict[tuple[str, frozenset[tuple[str, str]]], float]]:
    """The text that is served, and sample (name and labels) to value as Prometheus' parser reads it."""
    port = free_port()
    with metrics_served(home, str(port)):
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30).read().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return text, {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


def sample(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"clinicmart_{name}", frozenset(labels.items())


def write_ledger(home: Home) -> None:
    """A run that published, with a refused file and rows in quarantine."""
    ledger = Ledger(home)
    ledger.start_run("run-1", "clinicmart.yaml")
    ledger.end_run("run-1", "published")
    rows: list[tuple[sa.Table, dict[str, object]]] = [
        (
            tables.feed_run,
            {"kind": "x12", "outcome": "partly", "problem": f"{PATIENT}.835 is broken", "read_at": now()},
        ),
        (tables.unit, {"name": f"{PATIENT}.835", "fingerprint": "f", "outcome": "refused", "read_at": now()}),
        (
            tables.batch,
            {
                "batch_id": "b",
                "entity": "claim",
                "rows_read": 7,
                "rows_landed": 5,
                "rows_quarantined": 2,
                "landed_at": now(),
            },
        ),
        (
            tables.held,
            {
                "batch_id": "b",
                "entity": "claim",
                "reason": "file_not_read",
                "rows": 2,
                "first_position": "unit 1",
                "detail": PATIENT,
                "held_at": now(),
            },
        ),
    ]
    with ledger.write() as connection:
        for table, values in rows:
            connection.execute(sa.insert(table).values(**FEED, **values))
    ledger.close()


def test_a_scrape_tells_runs_feeds_quarantine_versions_and_sessions_and_no_name(place: Place) -> None:
    write_ledger(place.home)
    person = place.access.principal("harbor", "ceo@harbor")
    place.access.create_session(person)
    version, ended = current_version(place.home, "harbor"), outcome(place.home, "harbor")
    assert version is not None
    assert ended is not None
    text, samples = scrape(place.home)
    remits = {"tenant": "harbor", "feed": "remits"}
    expected = {
        sample("ready"): 1,
        sample("serving_ok"): 1,
        sample("ledger_ok"): 1,
        sample("sessions", tenant="harbor"): 1,
        sample("sessions", tenant="mesa"): 0,
        sample("published_rows", tenant="harbor"): version.rows,
        sample("published_timestamp_seconds", tenant="harbor"): version.published_at.timestamp(),
        sample("tenant_run_timestamp_seconds", tenant="harbor"): ended.at.timestamp(),
        sample("tenant_run_outcome", tenant="harbor", outcome="published"): 1,
        sample("tenant_run_outcome", tenant="harbor", outcome="failed"): 0,
        sample("runs", outcome="published"): 1,
        sample("last_run_outcome", outcome="published"): 1,
        sample("last_run_outcome", outcome="killed"): 0,
        sample("feed_rows_landed", **remits): 5,
        sample("feed_rows_quarantined", **remits): 2,
        sample("feed_units_refused", **remits): 1,
        sample("quarantine_rows", code="CM-FEED-001", **remits): 2,
        **{sample("not_ready", reason=reason): 0 for reason in REASONS},
    }
    assert {name: samples.get(name) for name in expected} == expected
    for name in ("last_run_started_timestamp_seconds", "last_run_ended_timestamp_seconds"):
        assert samples[sample(name)] > 1.7e9
    assert samples[sample("feed_last_read_timestamp_seconds", **remits)] > 1.7e9
    assert not any(secret in text for secret in (PATIENT, ".835", "ceo@", str(place.home.path), PLATFORM))


def test_questions_are_counted_with_their_time(place: Place) -> None:
    from serving.reader import open_reader

    def asked() -> float:
        return scrape(place.home)[1].get(sample("query_seconds_count", kind="query"), 0.0)

    before = asked()
    reader = open_reader(place.home, place.access.principal("harbor", "admin@harbor"))
    reader.query(MetricQuery(metrics=["visits"]))
    assert asked() == before + 1


def test_a_run_that_was_killed_is_told_and_a_damaged_ledger_silences_nothing_else(place: Place) -> None:
    ledger = Ledger(place.home)
    ledger.start_run("run-2", "clinicmart.yaml")
    ledger.close()
    assert scrape(place.home)[1][sample("last_run_outcome", outcome="killed")] == 1
    for suffix in ("", "-wal", "-shm"):
        place.home.ledger.with_name(place.home.ledger.name + suffix).unlink(missing_ok=True)
    place.home.ledger.write_bytes(b"these are not the bytes of a database, " * 400)
    _, samples = scrape(place.home)
    assert (samples[sample("ledger_ok")], samples[sample("serving_ok")], samples[sample("ready")]) == (0, 1, 1)


def no_version(home: Home) -> None:
    (home.path / "published" / "mesa" / "current.json").unlink()


def lost_version(home: Home) -> None:
    version = current_version(home, "mesa")
    assert version is not None
    files_of(home, "mesa", version.version).base.unlink()


def later_people(home: Home) -> None:
    with sqlite3.connect(home.access) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    connection.close()


FAULTS: dict[str, Callable[[Home], object]] = {
    "home_unreadable": lambda home: (home.path / FORMAT_FILE).write_text(f"{formats.HOME + 1}\n"),
    "key_wrong": lambda home: home.master_key.write_bytes(b"k" * 32),
    "people_unreadable": later_people,
    "version_missing": no_version,
    "version_damaged": lost_version,
}


@pytest.mark.parametrize("reason", REASONS)
def test_a_home_that_cannot_be_served_says_why_without_a_name(place: Place, reason: str) -> None:
    FAULTS[reason](place.home)
    assert not_ready(place.home.path) == (reason,)


def test_a_published_home_is_ready(place: Place) -> None:
    assert not_ready(place.home.path) == ()


def test_a_new_tenant_stops_nobody_until_a_run_has_ended_for_it(place: Place) -> None:
    place.access.create_tenant("delta", "Delta", actor="test")
    assert not_ready(place.home.path) == ()
    record_outcome(place.home, "delta", run_id="run-1", outcome="stopped")
    assert not_ready(place.home.path) == ("version_missing",)


def test_a_home_in_which_nothing_was_published_is_not_ready(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    AccessStore.open(home).create_tenant("delta", "Delta", actor="test")
    home.note_format()
    assert not_ready(home.path) == ("version_missing",)


def test_a_folder_that_is_no_home_is_not_ready(tmp_path: Path) -> None:
    assert not_ready(tmp_path) == not_ready(tmp_path / "gone") == ("home_unreadable",)


@given(
    st.one_of(
        st.text(), st.integers().map(str), st.tuples(st.text(), st.integers(0, 70_000)).map(lambda a: f"{a[0]}:{a[1]}")
    )
)
def test_an_address_is_a_port_and_an_address_of_a_machine_or_refused(text: str) -> None:
    try:
        host, port = address_of(text)
    except ConfigurationError:
        return
    assert 0 < port < 65536
    assert host == "localhost" or socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)


def test_an_address_without_a_host_is_this_machine() -> None:
    assert address_of("9464") == ("127.0.0.1", 9464)
    assert address_of("[::1]:9464") == ("::1", 9464)
    with pytest.raises(
        ConfigurationError, match="--metrics-address 'nonsense': write a port, or an address and a port"
    ):
        address_of("nonsense")


def test_an_address_in_use_is_a_sentence(place: Place) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = clinicmart_here("serve", "--home", place.home.path, "--metrics-address", str(port))
    assert ran.code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in ran.err
    assert "choose another --metrics-address" in ran.err
