"""De-identification: what a column becomes in a scope without identity.

What a model's YAML says of a column decides; where it says nothing, the name does, and a text identifier that is not known
to be of an organisation counts as one of a person. So a column that somebody forgets to mark is hidden, not shown.
The surrogate of an identifier is a keyed hash (SHA-256, key of the tenant and the scope): equal values stay equal, so
that tables still join and people are still counted, but two scopes cannot be matched with each other.
"""

from datetime import date

from foundation import duck
from serving.metrics.registry import PublishedTable, TableColumn

# Identifiers of the organisation: of units, staff, payers, codes and runs.
ORGANISATION = frozenset(
    {
        *("tenant", "source_system", "feed", "batch", "run"),
        *("service_unit", "parent_service_unit", "business_unit", "program", "service_line", "clinic", "ward"),
        *("provider", "rendering_provider", "billing_provider", "referring_provider"),
        *(
            "payer",
            "electronic_payer",
            "payer_class",
            "visit_type",
            "contract_rate",
            "procedure_code",
            "denial_category",
            "carc",
            "rarc",
        ),
    }
)
_SUFFIXES = ("_id", "_key", "_number", "_token")
_RECORD = frozenset({"source_record_id"})
# File names and positions can name a person (a feed's file may be called after its patient).
_REMOVED = frozenset({"source_position", "unit", "file_name"})
OLDEST = 90
# ZIP areas of at most 20,000 people (45 CFR 164.514(b)(2)(i)(B), Census 2000 and 2010): shown as 000.
SMALL_AREAS = (
    *("036", "059", "063", "102", "203", "205", "369", "556", "692", "753", "772"),
    *("790", "821", "823", "830", "831", "878", "879", "884", "890", "893"),
)


def _is_level(stem: str) -> bool:
    return stem.startswith("level_") and stem.removeprefix("level_").isdigit()


def treatment(column: TableColumn) -> str:
    """keep, surrogate, remove, birth_year, age or zip3."""
    name = column.name
    if name in {"birth_year", "zip3"}:
        return name
    if name in {"age", "age_years"}:
        return "age"
    if name in _REMOVED:
        return "remove"
    if column.identity in {"patient", "account"} or name in _RECORD:
        return "surrogate"
    if column.identity == "none" or not column.data_type.upper().startswith("VARCHAR"):
        return "keep"
    stem = next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), None)
    if stem is None or stem in ORGANISATION or _is_level(stem):
        return "keep"
    return "surrogate"


def expression(column: TableColumn, *, key_hex: str, as_of: date) -> str:
    """The column as an SQL expression without identity."""
    name = f'"{column.name}"'
    match treatment(column):
        case "surrogate":
            hashed = f"substr(sha256({duck.quoted(key_hex)} || cast({name} as varchar)), 1, 32)"
            return f"case when {name} is null or {name} = 'unknown' then {name} else {hashed} end as {name}"
        case "remove":
            return f"cast(null as {column.data_type}) as {name}"
        case "birth_year":
            return f"cast(greatest({name}, {as_of.year - OLDEST}) as {column.data_type}) as {name}"
        case "age":
            return f"cast(least({name}, {OLDEST}) as {column.data_type}) as {name}"
        case "zip3":
            small = ", ".join(duck.quoted(area) for area in SMALL_AREAS)
            return f"case when {name} in ({small}) then '000' else {name} end as {name}"
    return name


def expressions(table: PublishedTable, *, level: str, key_hex: str, as_of: date) -> str:
    """The select list of a table at an identity level."""
    if level != "none":
        return ", ".join(f'"{column.name}"' for column in table.columns)
    return ", ".join(expression(column, key_hex=key_hex, as_of=as_of) for column in table.columns)
