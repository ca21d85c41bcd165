"""Every file that a run, people and a close write into a home has a format number, and the number that is listed."""

import gzip
import json
import shutil
from pathlib import Path

import duckdb
import pytest

from foundation import duck, formats
from foundation.errors import ConfigurationError
from foundation.formats import FORMATS, Format, format_of
from foundation.home import FORMAT_FILE, Home
from foundation.kept_files import Derived
from foundation.keys import Keys
from ingest.inbox.inbox import MAGIC
from ingest.inbox.mllp_journal import JOURNAL
from ingest.landing.payment_memory import PAYMENTS
from ingest.ledger import LEDGER
from ingest.sources.hl7v2.seen_messages import MESSAGES
from serving.people.tables import ACCESS
from tests.support import clinicmart_here

STORES = {
    "access.sqlite": (ACCESS, formats.ACCESS),
    "ledger.sqlite": (LEDGER, formats.LEDGER),
    "messages/*.sqlite": (MESSAGES, formats.MESSAGES),
    "payments/*.sqlite": (PAYMENTS, formats.PAYMENTS),
    "inbox/*/*/messages.sqlite": (JOURNAL, formats.JOURNAL),
}
# Sources of the demo, which are not the home's.
NOT_OF_THE_HOME = ("sample",)


def keys_of(keys: Keys, parts: tuple[str, ...]) -> list[str]:
    """The keys that may open a DuckDB file, by its path in the home."""
    if parts[0] == "warehouse":
        return [keys.derive_hex("warehouse")]
    tenant = Path(parts[1]).stem
    if parts[0] == "published" and parts[-2] == "by_scope":
        return list(keys.of_scope_file(tenant, Path(parts[-1]).stem))
    return [keys.derive_hex({"published": "published", "closes": "closes", "vault": "vault"}[parts[0]], tenant)]


def number_in(home: Home, path: Path, listed: Format) -> int:
    """The number that a file carries."""
    parts = path.relative_to(home.path).parts
    keys = Keys.of(home)
    if listed.kind == "json":
        return int(json.loads(path.read_bytes()).get("format", 0))
    if listed.kind == "sqlite":
        return int(STORES[listed.pattern][0].form(path) or 0)
    if listed.kind == "parquet":
        return duck.parquet_number(path, keys.derive("landing", parts[1]))
    if listed.kind == "sealed":
        return int(path.read_bytes()[: len(MAGIC)].split()[-1])
    with duck.session(home) as connection:
        duck.attach(connection, path, alias="held", key=keys_of(keys, parts)[0], read_only=True)
        return duck.number_of(connection, "held")


@pytest.mark.slow
def test_every_file_of_a_home_is_listed_and_carries_its_number(demo_home: Path, tmp_path: Path) -> None:
    shutil.copytree(demo_home, tmp_path / "home", ignore=shutil.ignore_patterns(*NOT_OF_THE_HOME))
    home = Home.at(tmp_path / "home")
    asked = ("metrics", "query", "no_shows", "--tenant", "harbor", "--as", "analyst@harbor", "--home", home.path)
    assert clinicmart_here(*asked).code in (0, 1)
    unlisted: list[str] = []
    wrong: dict[str, tuple[int, int]] = {}
    seen: set[str] = set()
    for path in sorted(home.path.rglob("*")):
        name = str(path.relative_to(home.path))
        if not path.is_file():
            continue
        listed = format_of(name)
        if listed is None:
            unlisted.append(name)
        elif listed.kind in ("json", "sqlite", "duckdb", "parquet", "sealed"):
            seen.add(listed.pattern)
            number = number_in(home, path, listed)
            if number != listed.number:
                wrong[name] = (number, listed.number)
    assert unlisted == []
    assert wrong == {}
    assert {"landing/*/*/*.parquet", "index/*/*/*/*.parquet", "quarantine/*/*.parquet", "vault/*.duckdb"} <= seen
    assert {"published/*/*/*.duckdb", "published/*/*/registry.json", "published/*/current.json"} <= seen
    assert (home.path / FORMAT_FILE).read_text() == f"{formats.HOME}\n"


def test_the_list_has_the_numbers_of_the_databases() -> None:
    for pattern, (store, number) in STORES.items():
        assert int(store.newest) == number
        assert next(item for item in FORMATS if item.pattern == pattern).number == number


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("inbox/t/adt/20261101-000001-new/Patient.ndjson.sealed", "inbox/*/*/**/*.sealed"),
        ("inbox/t/adt/progress.state.sealed", "inbox/*/*/**/*.sealed"),
        ("published/t/v/base.duckdb", "published/*/*/*.duckdb"),
        ("closes/t/2026-09.1.restated.duckdb", "closes/*/*.restated.duckdb"),
        ("closes/compiled/ab.json", "closes/compiled/*.json"),
        ("dbt/target/lineage.json", "dbt/target/lineage.json"),
        ("dbt/target/compiled/a/b.sql", "dbt/target/**"),
    ],
)
def test_a_path_has_one_form(path: str, pattern: str) -> None:
    found = format_of(path)
    assert found is not None
    assert found.pattern == pattern


@pytest.mark.parametrize(
    "path", ["notes.txt", "published/t/v/more.json", "published/t/v/w/base.duckdb", "landing/x.parquet"]
)
def test_a_file_that_nobody_listed_has_none(path: str) -> None:
    assert format_of(path) is None


def test_a_file_with_more_fields_is_read_and_one_with_a_higher_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    path.write_text(json.dumps({"format": formats.DERIVED, "content": {"a": 1}, "later": True}))
    noted = Derived.read(path)
    assert noted is not None
    assert noted.content == {"a": 1}
    path.write_text(json.dumps({"format": formats.DERIVED + 1, "content": {}}))
    with pytest.raises(
        ConfigurationError,
        match=rf"note\.json was written by a later release of Clinicmart \(format {formats.DERIVED + 1},",
    ):
        Derived.read(path)


def test_a_parquet_file_without_a_number_counts_as_number_nought_and_another_key_is_named(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    key = Keys.of(home).derive("landing", "t")
    with duck.session(home) as connection:
        duck.add_parquet_key(connection, key)
        options = f"format parquet, encryption_config {{footer_key: '{duck.PARQUET_KEY}'}}"
        for name, written in (("old", options), ("new", duck.parquet_options(7))):
            connection.execute(f"copy (select 1 as a) to {duck.quoted(str(tmp_path / name))} ({written})")
    assert (duck.parquet_number(tmp_path / "old", key), duck.parquet_number(tmp_path / "new", key)) == (0, 7)
    (tmp_path / "other").write_bytes(gzip.compress(b"something else"))
    for name, opened_with in (("new", bytes(32)), ("other", key)):
        with pytest.raises(Exception, match="is not a Parquet file that was written under this key"):
            duck.parquet_number(tmp_path / name, opened_with)


def test_a_published_file_of_a_later_form_is_refused(tmp_path: Path) -> None:
    from serving.scope_files.connection import ScopeConnection

    home = Home.at(tmp_path / "home")
    key, path = Keys.of(home).derive_hex("published", "t"), tmp_path / "base.duckdb"
    with duck.session(home) as connection:
        duck.attach(connection, path, alias="base", key=key)
        duck.note_number(connection, "base", formats.PUBLISHED + 1)
    with pytest.raises(ConfigurationError, match="later release"):
        ScopeConnection(home, path, key)
    with pytest.raises(duckdb.Error), duck.session(home) as connection:
        duck.attach(connection, path, alias="base", key="00" * 32)
