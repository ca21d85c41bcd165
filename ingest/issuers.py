"""Numbers with the authority that issued them: `55^^^NORTH`.

A medical record number, a visit number or an id of a clinician means nothing without who issued it. Where a source says it, a
reader writes it behind the number, as HL7 v2 does (CX.1 and CX.4). A number without a stated issuer has nothing behind it; its issuer
follows from the configuration and from the other rows (`dbt/README.md`, "Who issued a number").

    55^^^NORTH            a name that the sender chose (HD.1, namespace id)
    55^^^&1.2.840.1       a name that is unique everywhere (HD.2, universal id; `Identifier.system` of FHIR)
    55^^^NORTH&1.2.840.1  both, as a sender states that they are the same

Names are in upper case, universal ids in lower case without `urn:oid:` and the like, because senders write them either way.
"""

import re
from functools import lru_cache

MARK = "^^^"
_LONGEST = 120
_URN = re.compile(r"^urn:(oid|uuid):", re.IGNORECASE)
_UNIVERSAL = re.compile(r"[0-9]+(\.[0-9]+)+|.*[:/].*")
# What would break the notation, and blanks of any kind.
_UNFIT = re.compile(r"[\^&|\s\x00-\x1f]+")


@lru_cache(maxsize=4096)
def issuer_of(namespace: str | None, universal: str | None = None) -> str:
    """The issuer as it is written behind a number; empty if neither of its names is given."""
    name = _UNFIT.sub(" ", namespace or "").strip().upper()[:_LONGEST]
    unique = _UNFIT.sub(" ", _URN.sub("", universal or "")).strip().rstrip("/ ").lower()[:_LONGEST]
    return f"{name}&{unique}" if unique else name


@lru_cache(maxsize=4096)
def issuer_named(text: str) -> str:
    """An authority by one of its names, as a person writes it in a configuration or as a FHIR system: an OID, a URL or a URN is
    unique everywhere, anything else is a name."""
    bare = _URN.sub("", text.strip())
    return issuer_of(None, bare) if bare != text.strip() or _UNIVERSAL.fullmatch(bare) else issuer_of(bare)


def issued(number: str, issuer: str) -> str:
    """A number with its issuer, alone where the issuer is empty."""
    return f"{number}{MARK}{issuer}" if issuer and MARK not in number else number


def number_of(identifier: str) -> str:
    """The number without its issuer."""
    return identifier.partition(MARK)[0]


def stated_issuer(identifier: str) -> str:
    """The issuer behind a number; empty where none is stated."""
    return identifier.partition(MARK)[2]


def extended(identifier: str, addition: str) -> str:
    """The id of something that belongs to what an identifier names: the addition goes behind the number, before the issuer."""
    number, mark, issuer = identifier.partition(MARK)
    return f"{number}{addition}{mark}{issuer}"
