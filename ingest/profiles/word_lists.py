"""Word lists of `hl7v2` and `x12` profiles: a sender's words and the words of the model that they mean.

A word is compared without regard to case and to the number of blanks. A list has priority over the standard, so that a sender
who uses a standard word with another meaning can be read too.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from zoneinfo import ZoneInfo

import yaml

from data_contracts import contract
from foundation.yaml_nodes import NodeReader

TENANT_ZONE = "tenant"
_NO_WORDS: Mapping[str, str] = MappingProxyType({})


def no_words() -> Mapping[str, str]:
    """An empty list."""
    return _NO_WORDS


def folded(word: str) -> str:
    """A word as lists hold it: lower case, single blanks."""
    return " ".join(word.lower().split())


def values_of(entity: str, column: str) -> tuple[str, ...]:
    """The values that a column of the model may have, or has a meaning for."""
    column_contract = contract(entity).by_name[column]
    return column_contract.known_values or column_contract.valid_values


def word_list(
    reader: NodeReader, node: yaml.Node | None, key: str, meanings: Sequence[str] | re.Pattern[str], what: str = ""
) -> Mapping[str, str]:
    """A mapping of normalised words to meanings.

    `meanings` are the allowed meanings, or a pattern of them that `what` describes. Raises ConfigurationError naming file and line.
    """
    if node is None:
        return no_words()
    words: dict[str, str] = {}
    for word, value in reader.mapping(node, key).items():
        place = f"{key}.{word}"
        if isinstance(meanings, re.Pattern):
            words[folded(word)] = reader.matching(value, place, meanings, what)
            continue
        words[folded(word)] = reader.one_of(value, place, meanings)
    return MappingProxyType(words)


def time_zone(reader: NodeReader, node: yaml.Node | None) -> str:
    """`tenant`, or an IANA name."""
    if node is None:
        return TENANT_ZONE
    name = reader.text(node, "time_zone")
    if name != TENANT_ZONE:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise reader.fail(node, "time_zone", f"{name!r} is neither `tenant` nor an IANA time zone") from None
    return name
