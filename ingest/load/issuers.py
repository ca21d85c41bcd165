"""The issuers of the numbers in the raw tables, and which names mean the same issuer.

    raw.issuer_spelling   one row per tenant, entity and name of an issuer as it stands behind a number (`ingest.issuers`): the
                          issuer it means
    raw.feed_issuer       one row per tenant and feed: who issued the numbers of which the feed says nothing. The row without a feed
                          is the tenant's

Names are the same where the configuration says so (`issuers`), or where a sender states both of them at once: a name together with
a universal id, of which the name has no other. Each entity has separate names: one hospital's medical record numbers and visit
numbers often have two universal ids under one name.

dbt decides with these tables, and with what the rows say, which identifiers are one (`dbt/README.md`, "Who issued a number").
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import duckdb
import polars as pl

from data_contracts import Contract
from foundation.config import Config, Tenant
from ingest.issuers import MARK, issuer_named

# Entities whose rows are identified by numbers of an issuer.
ENTITIES = ("patient", "encounter", "appointment", "provider")
TENANT_WIDE = ""
_SPELLING = {"tenant_id": pl.String, "entity": pl.String, "spelling": pl.String, "issuer": pl.String}
_FEED = {"tenant_id": pl.String, "source_system": pl.String, "issuer": pl.String}


def issued_columns(entity_contract: Contract) -> dict[str, str]:
    """Columns of an entity that hold such a number, and the entity that it names."""
    columns = {}
    for column in entity_contract.columns:
        for entity in ENTITIES:
            if column.name.endswith(f"{entity}_id") and column.name not in ("source_record_id", "patient_merge_id"):
                columns[column.name] = entity
    # A coverage of an HL7 v2 feed is named by the visit on which it came.
    return columns | ({"coverage_id": "encounter"} if entity_contract.name == "coverage" else {})


def make_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes the tables of this module where absent."""
    for name, schema in (("issuer_spelling", _SPELLING), ("feed_issuer", _FEED)):
        columns = ", ".join(f"{column} varchar" for column in schema)
        connection.execute(f"create table if not exists warehouse.raw.{name} ({columns})")


def configure(connection: duckdb.DuckDBPyConnection, config: Config) -> set[str]:
    """Writes the issuers of the configuration into the tables; returns the tenants whose issuers changed. Tenants that the
    configuration does not name stay unchanged."""
    rows = [
        (tenant.tenant_id, feed, issuer_named(issuer))
        for tenant in config.tenants
        for feed, issuer in _defaults(tenant)
    ]
    query = "select * from warehouse.raw.feed_issuer where tenant_id in (select unnest(?::varchar[]))"
    before = set(connection.execute(query, [[tenant.tenant_id for tenant in config.tenants]]).fetchall())
    connection.execute(
        "delete from warehouse.raw.feed_issuer where tenant_id in (select unnest(?::varchar[]))",
        [[tenant.tenant_id for tenant in config.tenants]],
    )
    connection.register("feed_issuers", pl.DataFrame(rows, schema=_FEED, orient="row"))
    connection.execute("insert into warehouse.raw.feed_issuer from feed_issuers")
    connection.unregister("feed_issuers")
    return {row[0] for row in before ^ set(rows)} | settle(connection, config)


def _defaults(tenant: Tenant) -> list[tuple[str, str]]:
    """(feed, issuer) of every feed that has one, and of the tenant."""
    feeds = [(feed.name, feed.issuer or tenant.issuer) for feed in tenant.feeds]
    return [(name, issuer) for name, issuer in [*feeds, (TENANT_WIDE, tenant.issuer)] if issuer]


def note_spellings(connection: duckdb.DuckDBPyConnection, entity_contract: Contract, table: str) -> bool:
    """Adds the names of issuers in a table of arrived rows to those that are known; returns whether there were new ones, which
    `settle` must then give a meaning."""
    added = 0
    for column, entity in issued_columns(entity_contract).items():
        spellings = connection.execute(
            "insert into warehouse.raw.issuer_spelling (tenant_id, entity, spelling) "
            f"select tenant_id, '{entity}', split_part({column}, '{MARK}', 2) from {table} where contains({column}, '{MARK}') "
            "except select tenant_id, entity, spelling from warehouse.raw.issuer_spelling"
        ).fetchone()
        added += int(spellings[0]) if spellings else 0
    return added > 0


def settle(connection: duckdb.DuckDBPyConnection, config: Config) -> set[str]:
    """Decides again which issuer each name means; returns the tenants for which a name now means another issuer."""
    configured = {tenant.tenant_id: tenant for tenant in config.tenants}
    held = connection.execute(
        "select tenant_id, entity, spelling, issuer from warehouse.raw.issuer_spelling"
    ).fetchall()
    spellings: dict[tuple[str, str], set[str]] = defaultdict(set)
    for tenant_id, entity, spelling, _ in held:
        spellings[tenant_id, entity].add(spelling)
    for tenant_id, tenant in configured.items():
        for entity in ENTITIES:
            spellings[tenant_id, entity] |= {issuer_named(issuer) for _, issuer in _defaults(tenant)}
    before = {(tenant_id, entity, spelling): issuer for tenant_id, entity, spelling, issuer in held}
    now = {
        (tenant_id, entity, spelling): issuer
        for (tenant_id, entity), names in spellings.items()
        for spelling, issuer in meanings(names, _equals(configured.get(tenant_id))).items()
    }
    # A run for some tenants does not know the configuration of the others.
    now |= {key: issuer for key, issuer in before.items() if issuer is not None and key[0] not in configured}
    connection.register(
        "issuer_spellings", pl.DataFrame([(*key, now[key]) for key in sorted(now)], schema=_SPELLING, orient="row")
    )
    connection.execute("create or replace table warehouse.raw.issuer_spelling as from issuer_spellings")
    connection.unregister("issuer_spellings")
    return {key[0] for key, issuer in before.items() if issuer is not None and now[key] != issuer}


def _equals(tenant: Tenant | None) -> dict[str, str]:
    """Name to issuer, from the configuration."""
    if tenant is None:
        return {}
    return {
        issuer_named(name): issuer_named(issuer)
        for issuer, names in tenant.issuers.items()
        for name in (issuer, *names)
    }


def meanings(spellings: Iterable[str], equals: Mapping[str, str]) -> dict[str, str]:
    """The issuer that each name means. `equals` is the configuration: name to issuer.

    A universal id is one issuer. A name beside it (`NORTH&1.2.3`) means the same, and so does the name alone, if it occurs with
    no other universal id. A universal id in the configuration has priority over a name beside it.
    """
    beside: dict[str, set[str]] = defaultdict(set)
    for text in set(spellings):
        name, mark, unique = text.partition("&")
        if mark and name:
            beside[name].add(f"&{unique}")
            beside[f"&{unique}"].add(name)

    def meaning(text: str) -> str:
        name, mark, unique = text.partition("&")
        if not mark:
            return equals.get(name) or (meaning(*beside[name]) if len(beside[name]) == 1 else name)
        stated = {equals[other] for other in beside[f"&{unique}"] if other in equals}
        return equals.get(f"&{unique}") or (min(stated) if stated else f"&{unique}")

    return {text: meaning(text) for text in set(spellings)}
