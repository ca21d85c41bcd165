"""Small pieces of FHIR R4: references, codes, amounts, identifiers. Nothing here knows a table or a file.

Functions expect the shapes of R4 and raise TypeError, ValueError, AttributeError or KeyError on others; the reader
turns those into a refusal of the resource.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

Json = Mapping[str, Any]
MALFORMED = (TypeError, ValueError, AttributeError, KeyError, IndexError, ArithmeticError)


class Reference(NamedTuple):
    """A reference taken apart. `type` is "" where it is not written (urn:uuid); `system` only in a conditional one."""

    type: str
    id: str
    system: str | None


@lru_cache(maxsize=1 << 16)
def parse_reference(text: str) -> Reference:
    """`Type/id`, an absolute URL, `urn:uuid:id`, `#id` (type "#"), or `Type?identifier=system|value`."""
    if text.startswith("#"):
        return Reference("#", text[1:], None)
    if text.startswith("urn:"):
        return Reference("", text.rsplit(":", 1)[1], None)
    if "?" in text:
        path, _, query = text.partition("?")
        for pair in query.split("&"):
            name, _, value = pair.partition("=")
            if name in ("identifier", "_id"):
                system, bar, code = unquote(value).rpartition("|")
                return Reference(path.rsplit("/", 1)[-1], code, system if bar else "")
        return Reference("", "", None)
    parts = text.split("/")
    if len(parts) >= 4 and parts[-2] == "_history":
        parts = parts[:-2]
    return Reference(parts[-2] if len(parts) > 1 else "", parts[-1], None)


def record_id(resource: Json, full_url: str | None = None) -> str:
    """The id of a resource, or of its bundle entry. Raises ValueError where there is none."""
    found = resource.get("id")
    if found is None and isinstance(full_url, str):
        found = parse_reference(full_url).id
    if not isinstance(found, str) or not found.strip():
        raise ValueError("no id")
    return found


def code_of(concept: Json | None) -> str | None:
    """The first code of a CodeableConcept or Coding, else its text."""
    if concept is None:
        return None
    for item in concept.get("coding") or ():
        if (code := item.get("code")) is not None:
            return _text(code)
    return _text(concept.get("code") or concept.get("text"))


def display_of(concept: Json | None) -> str | None:
    """What a person reads: the text, else the first display, else the code."""
    if concept is None:
        return None
    if text := concept.get("text"):
        return _text(text)
    for item in concept.get("coding") or ():
        if display := item.get("display"):
            return _text(display)
    return code_of(concept)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError("text expected")


def first(items: Any) -> Any:
    """The first of a list, None of an empty or missing one. Raises TypeError for what is no list."""
    if not items:
        return None
    if not isinstance(items, list):
        raise TypeError("list expected")
    return items[0]


def codes_of(concepts: Iterable[Json] | None) -> Iterable[str]:
    """Every code of a list of CodeableConcepts."""
    for concept in concepts or ():
        for coding in concept.get("coding") or ():
            if isinstance(code := coding.get("code"), str):
                yield code


def amount_of(money: Json | None) -> Decimal | None:
    """The value of a Money or Quantity as the shortest decimal that reads back the same: 28.104000000000003 stays itself."""
    return None if money is None else number_of(money.get("value"))


def number_of(value: Any) -> Decimal | None:
    """A JSON number as a decimal. Raises TypeError for anything else."""
    if value is None:
        return None
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    raise TypeError("number expected")


def total_of(values: Iterable[Decimal | None]) -> Decimal | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None


def identifier_of(resource: Json, system: str | None) -> str | None:
    """The value of the identifier of a system; None where there is none, or no system is asked for."""
    if system is None:
        return None
    for item in resource.get("identifier") or ():
        if item.get("system") == system and item.get("value"):
            return _text(item["value"])
    return None


def date_part(text: str | None) -> str | None:
    """The date of a date or dateTime as written, in its own offset; a partial date as it is, for the gate to judge."""
    return text if text is None else text[:10]


def is_npi(value: str | None) -> bool:
    """True for ten digits."""
    return value is not None and len(value) == 10 and value.isascii() and value.isdigit()


def normal_text(text: str) -> str:
    """Text in lower case with single blanks: how payers known by text only are named."""
    return " ".join(text.split()).lower()
