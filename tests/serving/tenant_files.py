"""Landed files of a tenant in a small home, and what can be read of them."""

from pathlib import Path

from foundation import duck, formats
from foundation.home import Home
from foundation.keys import Keys


def landed(home: Home, tenant: str, count: int) -> list[Path]:
    """Landed, quarantined and index files of a tenant; the vault too."""
    keys = Keys.of(home)
    paths = [home.landing(tenant, "charge") / f"b{number}.parquet" for number in range(count)]
    paths += [home.quarantine(tenant) / "q.parquet", home.folder("index", tenant, "pm", "charge") / "1.parquet"]
    with duck.session(home) as connection:
        duck.add_parquet_key(connection, keys.derive("landing", tenant))
        for number, path in enumerate(paths):
            target = f"{duck.quoted(str(path))} ({duck.parquet_options(formats.LANDED)})"
            connection.execute(f"copy (select {number} as n, range as r from range(5)) to {target}")
        duck.attach(connection, home.vault(tenant), alias="vault", key=keys.derive_all_hex("vault", tenant))
        connection.execute("create table vault.main.person as select 'Okafor' as family_name")
    return paths


def rows(home: Home, tenant: str, paths: list[Path]) -> list[list[tuple[object, ...]]]:
    with duck.session(home) as connection:
        name_of = duck.add_parquet_keys(connection, Keys.of(home).derive_all("landing", tenant))
        read = [connection.execute(f"from {duck.parquet_of(path, name_of(path))}").fetchall() for path in paths]
        duck.attach(
            connection,
            home.vault(tenant),
            alias="vault",
            key=Keys.of(home).derive_all_hex("vault", tenant),
            read_only=True,
        )
        return [*read, connection.execute("from vault.main.person").fetchall()]


def files_of_tenant(home: Home, tenant: str) -> list[Path]:
    patterns = ("{}/{}/**/*.parquet", "{}/{}/**/*.duckdb")
    folders = ("landing", "quarantine", "index", "published", "closes")
    found = [path for name in folders for pattern in patterns for path in home.path.glob(pattern.format(name, tenant))]
    return [*found, home.vault(tenant)]
