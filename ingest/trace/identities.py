"""Reads the vault: names and addresses of patients by the ids of the published file, and the other way round.

For letters to people whose records were reached, and for the question who saw a patient. The caller decides who may ask, and writes
the audit row.
"""

import unicodedata
from collections.abc import Collection
from datetime import date

import polars as pl

from data_contracts import contract
from foundation import duck
from foundation.home import Home
from foundation.keys import Keys
from ingest.issuers import number_of

FIELDS = (
    *("medical_record_number", "family_name", "given_name", "birth_date"),
    *("address_line", "city", "state", "postal_code", "phone", "email"),
)


def identities(home: Home, keys: Keys, tenant_id: str, patient_ids: Collection[str]) -> pl.DataFrame:
    """One row per patient that the vault knows: `patient_id` as given, and FIELDS, each the newest value that any feed says.

    A patient that was merged into another one has the rows of both.
    """
    by_number = {number_of(patient): patient for patient in patient_ids}
    rows = _rows(home, keys, tenant_id).with_columns(
        pl.col("patient_id").map_elements(number_of, return_dtype=pl.String).replace_strict(by_number, default=None)
    )
    newest = rows.drop_nulls("patient_id").sort("source_updated_at", descending=True, nulls_last=True)
    return newest.group_by("patient_id").agg(pl.col(name).drop_nulls().first() for name in FIELDS).sort("patient_id")


def ids_of_number(home: Home, keys: Keys, tenant_id: str, number: str) -> list[str]:
    """The tokens, without issuers, of patients with a medical record number; several where issuers share it."""
    rows = _rows(home, keys, tenant_id).filter(pl.col("medical_record_number") == number)
    return sorted({number_of(patient) for patient in rows["patient_id"]})


def numbers_of_name(
    home: Home, keys: Keys, tenant_id: str, *, family_name: str, given_name: str, birth_date: date | None
) -> list[str]:
    """The tokens, without issuers, of patients whose family name, first given name and birth date (where one is asked for) are these.

    Case, accents and what is neither letter nor digit do not count.
    """
    family, first = _letters(family_name), _letters(given_name)
    matching = {
        number_of(row["patient_id"])
        for row in _rows(home, keys, tenant_id).iter_rows(named=True)
        if _letters(row["family_name"] or "") == family
        and first in (_letters(row["given_name"] or ""), _letters((row["given_name"] or "").partition(" ")[0]))
        and (birth_date is None or row["birth_date"] == birth_date)
    }
    return sorted(matching)


def _letters(name: str) -> str:
    """A name as people compare it: Núñez-Ortiz is nunezortiz."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in plain if letter.isalnum())


def _rows(home: Home, keys: Keys, tenant_id: str) -> pl.DataFrame:
    """The whole vault of a tenant; no rows where nothing was read."""
    names = ("patient_id", *FIELDS, "source_updated_at")
    if not home.vault(tenant_id).exists():
        columns = contract("patient_identity").by_name
        return pl.DataFrame(schema={name: columns[name].polars_type for name in names})
    with duck.session(home) as connection:
        key = keys.derive_all_hex("vault", tenant_id)
        duck.attach(connection, home.vault(tenant_id), alias="vault", key=key, read_only=True)
        return connection.execute(f"select {', '.join(names)} from vault.main.patient_identity").pl()
