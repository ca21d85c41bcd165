"""Keyed tokens in place of identifiers, and the vault that holds the identifiers.

A token is the first 32 hexadecimal digits of HMAC-SHA-256(key of the tenant, domain | 0x1f | value): 128 bits, the same for the
same person in every feed of a tenant, unrelated between tenants. Of a number with its issuer (`ingest.issuers`) the number alone
becomes a token and the issuer stays behind it: so the same number of two issuers is two identifiers, and it can be seen that they
are one number. The vault is one encrypted DuckDB file a tenant.
"""

import hashlib
import hmac
from collections.abc import Mapping

import duckdb
import polars as pl

from data_contracts import Contract, contract, load_contracts
from foundation import duck, formats
from foundation.home import Home
from foundation.keys import Keys
from ingest.issuers import MARK

TOKEN_DIGITS = 32
FAMILY_NAME = "family_name"


def token(key: bytes, domain: str, value: str) -> str:
    """The token of one identifier."""
    message = f"{domain}\x1f{value}".encode()
    return hmac.digest(key, message, hashlib.sha256).hex()[:TOKEN_DIGITS]


def _token_with_issuer(key: bytes, domain: str, identifier: str) -> str:
    number, mark, issuer = identifier.partition(MARK)
    return f"{token(key, domain, number)}{mark}{issuer}"


def tokenise(frame: pl.DataFrame, columns: Mapping[str, str], key: bytes) -> pl.DataFrame:
    """The frame with every column of `columns` (name to token domain) replaced by tokens; null and blank stay null."""
    for name, domain in columns.items():
        if name not in frame.columns:
            continue
        value = pl.col(name).cast(pl.String).str.strip_chars()
        if domain == FAMILY_NAME:
            # Systems write one name as O'Neil, ONEIL and O NEIL.
            value = value.str.to_uppercase().str.replace_all(r"[^\p{L}]", "")
        frame = frame.with_columns(pl.when(value != "").then(value).alias(name))
        identifiers = frame[name].drop_nulls().unique()
        mapping = pl.DataFrame(
            {name: identifiers, "_token": [_token_with_issuer(key, domain, item) for item in identifiers.to_list()]},
            schema={name: pl.String, "_token": pl.String},
        )
        position = frame.columns
        frame = (
            frame.join(mapping, on=name, how="left", maintain_order="left")
            .drop(name)
            .rename({"_token": name})
            .select(position)
        )
    return frame


def tokenise_rows(entity_contract: Contract, frame: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """A frame of one entity with tokens for identifiers, wherever its contract names a domain.

    Where the domain is that of another entity's records (`token_domain_of`), each row gets the domain of the entity it names;
    an unknown entity gets the domain of patients, because its id may be that of a patient.
    """
    frame = tokenise(frame, entity_contract.token_columns, key)
    entities = load_contracts()
    for column in entity_contract.columns:
        if column.token_domain_of is None or column.name not in frame.columns:
            continue
        names = frame[column.token_domain_of].cast(pl.String).fill_null("") if column.token_domain_of in frame else None
        parts = []
        for name in [""] if names is None else names.unique(maintain_order=True).to_list():
            rows = frame if names is None else frame.with_row_index("_row").filter(names == name)
            domain = entities[name].by_name["source_record_id"].token_domain if name in entities else "patient"
            parts.append(rows if domain is None else tokenise(rows, {column.name: domain}, key))
        frame = pl.concat(parts) if parts else frame
        frame = frame.sort("_row").drop("_row") if "_row" in frame else frame
    return frame


def write_to_vault(home: Home, keys: Keys, tenant_id: str, rows: pl.DataFrame) -> None:
    """Adds identity rows (every column of the `patient_identity` contract) to the tenant's vault; the latest by source wins."""
    identity: Contract = contract("patient_identity")
    with duck.session(home) as connection:
        duck.attach(connection, home.vault(tenant_id), alias="vault", key=keys.derive_all_hex("vault", tenant_id))
        columns = ", ".join(f"{column.name} {column.duckdb_type}" for column in identity.columns)
        connection.execute(f"create table if not exists vault.main.patient_identity ({columns})")
        duck.note_number(connection, "vault", formats.VAULT)
        _upsert(connection, "vault.main.patient_identity", rows, identity)


def remove_from_vault(home: Home, keys: Keys, tenant_id: str, deletions: pl.DataFrame) -> None:
    """Deletes identity rows of deleted records from the tenant's vault (rows of the `record_deletion` contract)."""
    if not deletions.height or not home.vault(tenant_id).exists():
        return
    with duck.session(home) as connection:
        duck.attach(connection, home.vault(tenant_id), alias="vault", key=keys.derive_all_hex("vault", tenant_id))
        connection.register("deletions", deletions.with_columns(pl.col("source_updated_at").dt.replace_time_zone(None)))
        connection.execute(
            "delete from vault.main.patient_identity held using deletions d where d.tenant_id = held.tenant_id "
            "and d.source_system = held.source_system and d.deleted_record_id = held.source_record_id "
            "and (d.found_by = 'absent' or d.source_updated_at >= held.source_updated_at)"
        )
        connection.unregister("deletions")


def _upsert(connection: duckdb.DuckDBPyConnection, table: str, rows: pl.DataFrame, entity_contract: Contract) -> None:
    """Puts rows into a table of the contract's columns, one row per primary key; a newer `source_updated_at` wins, on a tie the new row."""
    names = ", ".join(entity_contract.column_names)
    key = ", ".join(entity_contract.primary_key)
    same = " and ".join(f"held.{name} = incoming.{name}" for name in entity_contract.primary_key)
    connection.register("incoming_rows", rows.select(entity_contract.column_names))
    connection.execute(
        f"create or replace temp table incoming as select {names} from incoming_rows "
        f"qualify row_number() over (partition by {key} order by source_updated_at desc, source_position desc) = 1"
    )
    connection.unregister("incoming_rows")
    connection.execute("begin")
    connection.execute(
        f"delete from incoming using {table} held where {same} and held.source_updated_at > incoming.source_updated_at"
    )
    connection.execute(f"delete from {table} held using incoming where {same}")
    connection.execute(f"insert into {table} select {names} from incoming")
    connection.execute("commit")
    connection.execute("drop table incoming")
