"""Packs a home as a test file: `python -m tests.golden.pack HOME OUT.tar.xz`.

What can be made again is left out (warehouse, dbt, Dagster, DuckDB's extension, logs, compiled questions, scope files, locks). Encrypted
databases are written again with blocks of 16 KB, because blocks of 256 KB that are nearly empty do not compress when encrypted. Tables
with a row a day keep the days around the closed month. Paths of the machine are taken out. The rest is as the release wrote it.
"""

import hashlib
import json
import shutil
import sqlite3
import sys
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

from foundation import duck
from foundation.home import Home
from foundation.keys import Keys

LEFT_OUT = ("warehouse", "dbt", "dagster", "extensions", "logs", "tmp", "feeds", "sample", "postgres")
CONFIGURATION = "clinicmart.yaml"
BLOCK_BYTES = 16_384
# Tables with rows for many days, and the column of the day. Days around the closed month, 2026-09, are kept.
MANY_DAYS = {
    "dim_dates": "date_day",
    "fct_bed_hours": "bed_date",
    "fct_bed_days": "bed_date",
    "fct_receivables": "snapshot_date",
    "fct_slot_snapshots": "snapshot_date",
}
FIRST_DAY, LAST_DAY = "2026-08-25", "2026-10-05"


def pack(source: Path, archive: Path) -> None:
    """Writes the archive of a home; the home itself is not changed."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "home"
        shutil.copytree(
            source, copy, ignore=lambda at, names: [n for n in names if Path(at) == source and n in LEFT_OUT]
        )
        for path in [*copy.glob("published/*/*/*scope*"), copy / "closes" / "compiled"]:
            shutil.rmtree(path, ignore_errors=True)
        for path in copy.rglob("*.sqlite"):
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                if path.name == "ledger.sqlite":
                    connection.execute("update run set config_file = ?", (CONFIGURATION,))
                    connection.execute("update feed_run set profile = replace(profile, ?, '')", (f"{source}/",))
                connection.execute("pragma wal_checkpoint(truncate)")
                connection.execute("vacuum")
                connection.execute("pragma journal_mode = delete")
        for path in copy.rglob("*"):
            if path.is_file() and path.name.endswith((".lock", "-wal", "-shm")):
                path.unlink()
        note = copy / "config.json"
        note.write_text(json.dumps(json.loads(note.read_bytes()) | {"file": CONFIGURATION}))
        home = Home(copy)
        keys = Keys.of(home)
        for tenant in (path.name for path in copy.glob("published/*")):
            for pattern, purpose in (("published/{}/*/*.duckdb", "published"), ("closes/{}/*.duckdb", "closes")):
                for path in copy.glob(pattern.format(tenant)):
                    _write_again(home, path, keys.derive_hex(purpose, tenant))
            _write_again(home, copy / "vault" / f"{tenant}.duckdb", keys.derive_hex("vault", tenant))
            for noted in (
                *copy.glob(f"published/{tenant}/*/version.json"),
                copy / "published" / tenant / "current.json",
            ):
                _note_digests(copy / "published" / tenant, noted)
        for name in ("extensions", "tmp"):
            shutil.rmtree(copy / name, ignore_errors=True)
        with tarfile.open(archive, "w:xz", preset=9) as tar:
            tar.add(copy, "home")


def _write_again(home: Home, path: Path, key: str) -> None:
    if not path.exists():
        return
    small = path.with_suffix(".small")
    with duck.session(home) as connection:
        duck.attach(connection, path, alias="large", key=key, read_only=True)
        connection.execute(
            f"attach {duck.quoted(str(small))} as small (encryption_key {duck.quoted(key)}, block_size {BLOCK_BYTES})"
        )
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'large' order by all"
        ).fetchall()
        for schema, table in tables:
            day = MANY_DAYS.get(table)
            where = f"where {day} between {duck.quoted(FIRST_DAY)} and {duck.quoted(LAST_DAY)}" if day else ""
            connection.execute(f'create schema if not exists small."{schema}"')
            connection.execute(f'create table small."{schema}"."{table}" as from large."{schema}"."{table}" {where}')
        connection.execute("checkpoint small")
    small.replace(path)


def _note_digests(folder: Path, noted: Path) -> None:
    """The digests of the files that were written again, where the release kept digests."""
    content = json.loads(noted.read_bytes())
    for name in content.get("digests", {}):
        content["digests"][name] = hashlib.sha256((folder / content["version"] / name).read_bytes()).hexdigest()
    noted.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    pack(Path(sys.argv[1]).resolve(), Path(sys.argv[2]))
