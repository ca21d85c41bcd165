"""Small pieces of FHIR R4: references, codes, amounts, identifiers. Nothing here knows a table or a file.

Functions expect the shapes of R4 and raise one of MALFORMED on others; the reader turns those into a refusal of the resource.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import unquote

from ingest.issuers import issued, issuer_named

Json = Mapping[str, Any]
# RecursionError: items within items, deeper than any claim goes.
MALFORMED = (TypeError, ValueError, AttributeError, KeyError, IndexError, ArithmeticError, RecursionError)


class Reference(NamedTuple):
    """A reference taken apart. `type` is "" where it is not written (urn:uuid), "#" for a contained resource; `system` is None
    except in a conditional one ("" where it names no system); `base` is the address before Type/id of an absolute one."""

    type: str
    id: str
    system: str | None = None
    base: str = ""


def parse_reference(text: str) -> Reference:
    """`Type/id`, an absolute URL, either with `/_history/n`, `urn:uuid:id`, `#id`, or `Type?identifier=system|value`."""
    kind, _, resource_id = text.partition("/")
    if kind.isalpha() and resource_id and "/" not in resource_id and "?" not in resource_id:
        return Reference(kind, resource_id)
    if text.startswith("#"):
        return Reference("#", text[1:])
    if text.startswith("urn:"):
        return Reference("", text.rsplit(":", 1)[1])
    if "?" in text:
        path, _, query = text.partition("?")
        for pair in query.split("&"):
            name, _, value = pair.partition("=")
            if name == "identifier":
                system, _, code = unquote(value).rpartition("|")
                return Reference(path.rsplit("/", 1)[-1], code, system)
            if name == "_id":
                return Reference(path.rsplit("/", 1)[-1], unquote(value))
        return Reference("", "")
    parts = text.split("/")
    if len(parts) >= 4 and parts[-2] == "_history":
        parts = parts[:-2]
    base = "/".join(parts[:-2]) if "://" in text else ""
    return Reference(parts[-2] if len(parts) > 1 else "", parts[-1], None, base)


def record_id(resource: Json, full_url: str | None = None) -> str:
    """The id of a resource, or of its bundle entry. Raises ValueError where there is none."""
    resource_id = resource.get("id")
    if resource_id is None and isinstance(full_url, str):
        resource_id = parse_reference(full_url).id
    if not isinstance(resource_id, str) or not resource_id.strip():
        raise ValueError("no id")
    return resource_id


def code_of(concept: Json | None) -> str | None:
    """The first code of a CodeableConcept or Coding, else its text."""
    if concept is None:
        return None
    for item in concept.get("coding") or ():
        if (code := item.get("code")) is not None:
            return code if type(code) is str else _text(code)
    return _text(concept.get("code") or concept.get("text"))


def name_of(concept: Json) -> str | None:
    """The text for a person: the text, else the first display."""
    if text := concept.get("text"):
        return _text(text)
    for item in concept.get("coding") or ():
        if display := item.get("display"):
            return _text(display)
    return None


def display_of(concept: Json | None) -> str | None:
    """The text for a person: the text, else the first display, else the code."""
    return None if concept is None else name_of(concept) or code_of(concept)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError("text expected")


def first(items: Any) -> Any:
    """The first element of a list, None for an empty or missing one. Raises TypeError for another value."""
    if not items:
        return None
    if not isinstance(items, list):
        raise TypeError("list expected")
    return items[0]


def mapped(concept: Json | None, meanings: Mapping[str, str]) -> str | None:
    """The meaning of the first code of a concept that has one, else of its text. Vendors put their code before the standard
    code."""
    if concept is None:
        return None
    for item in concept.get("coding") or ():
        if (meaning := meanings.get(item.get("code"))) is not None:
            return meaning
    return meanings.get(concept.get("code") or concept.get("text") or "")


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
    """The sum of the known values; None if all are unknown."""
    amounts = [value for value in values if value is not None]
    return sum(amounts, Decimal(0)) if amounts else None


def identifier_of(resource: Json, system: str | None) -> str | None:
    """The value of the identifier of a system; None where there is none, or no system is asked for."""
    if system is None:
        return None
    for item in resource.get("identifier") or ():
        if item.get("value") and is_system(item.get("system"), system):
            return _text(item["value"])
    return None


def identifier_of_type(resource: Json, wanted: str | None) -> str | None:
    """The value of the identifier of a type, one that still holds before one that has ended; None as `identifier_of`."""
    ended = None
    for item in (resource.get("identifier") or ()) if wanted is not None else ():
        if item.get("value") and item.get("use") != "old" and is_type(item, wanted):
            if "end" not in (item.get("period") or ()):
                return str(item["value"])
            ended = ended or str(item["value"])
    return ended


def number_of_system(resource: Json, system: str | None) -> str | None:
    """As `identifier_of`, with the issuer behind the value where `system` stands for several (`issued_by`)."""
    if system is None or "*" not in system:
        return identifier_of(resource, system)
    for item in resource.get("identifier") or ():
        if item.get("value") and is_system(item.get("system"), system):
            return issued_by(item["value"], item.get("system"), system)
    return None


def number_of_type(resource: Json, wanted: str | None) -> str | None:
    """As `identifier_of_type`, with the issuer behind the value: identifiers of one type may be of several systems."""
    value = identifier_of_type(resource, wanted)
    if value is None:
        return None
    for item in resource["identifier"]:
        if str(item.get("value")) == value and is_type(item, wanted):
            return issued_by(value, item.get("system"))
    return value


def issued_by(value: Any, system: str | None, profile_system: str | None = None) -> str:
    """An identifier with its issuer, its system (`ingest.issuers`). An identifier of exactly the system that the profile names
    has none: all such rows of the feed have that issuer."""
    if not system or system == profile_system:
        return str(value)
    return issued(str(value), issuer_named(system))


def is_system(system: str | None, wanted: str | None) -> bool:
    """True for the wanted system, in which one `*` matches anything."""
    if system is None or wanted is None or "*" not in wanted:
        return system is not None and system == wanted
    head, _, tail = wanted.partition("*")
    return len(system) >= len(head) + len(tail) and system.startswith(head) and system.endswith(tail)


def is_type(identifier: Json, wanted: str | None) -> bool:
    """True for an identifier whose type has the wanted code, or that text and no codes."""
    kind = identifier.get("type") or {}
    codings = kind.get("coding")
    return any(coding.get("code") == wanted for coding in codings) if codings else kind.get("text") == wanted


def date_part(text: str | None) -> str | None:
    """The date of a date or dateTime as written, in its own offset; a partial date as it is, for the gate to judge."""
    return text if text is None else text[:10]


def is_npi(value: str | None) -> bool:
    """True for ten digits."""
    return value is not None and len(value) == 10 and value.isascii() and value.isdigit()


def normal_text(text: str) -> str:
    """Text in lower case with single blanks: how payers known by text only are named."""
    return " ".join(text.split()).lower()
