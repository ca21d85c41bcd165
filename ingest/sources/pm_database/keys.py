"""Keys of a PM database as texts that are equal where the database holds them for equal."""

from functools import lru_cache

import polars as pl

from data_contracts import Contract, load_contracts
from ingest.profiles.pm_database import KeyRules


def comparable_keys(frame: pl.DataFrame, entity_contract: Contract, rules: KeyRules) -> pl.DataFrame:
    """The frame of an entity with its keys and references in the form in which equal ones are equal texts.

    Upper case where the database ignores case, no blanks at the end where it ignores padding. Other columns stay as they are.
    """
    if not rules.is_case_insensitive and not rules.is_trimmed:
        return frame
    changed = []
    for name in key_columns(entity_contract.name):
        if name not in frame.columns or frame.schema[name] != pl.String():
            continue
        value = pl.col(name)
        value = value.str.strip_chars_end(" ") if rules.is_trimmed else value
        changed.append(value.str.to_uppercase() if rules.is_case_insensitive else value)
    return frame.with_columns(changed)


@lru_cache(maxsize=128)
def key_columns(entity: str) -> tuple[str, ...]:
    """Columns of an entity that name a row: its key, what other entities refer to, its references, and identifiers of patients.
    `source_record_id` is not among them: it names a record for the source alone."""
    entity_contract = load_contracts()[entity]
    targets = {column.references for other in load_contracts().values() for column in other.columns}
    return tuple(
        column.name
        for column in entity_contract.reader_columns
        if column.name != "source_record_id"
        and (
            column.name in entity_contract.entity_key
            or column.references is not None
            or entity_contract.token_columns.get(column.name) == "patient"
            or f"{entity}.{column.name}" in targets
        )
    )
