"""By which rule a tenant takes identity out of what people without identity see, as its configuration says.

    tenants:
      harbor:
        deidentification: {rule: safe_harbor, smallest_cell: 11}      # these are what counts without it

`safe_harbor` follows 45 CFR 164.514(b)(2), `limited` the limited data set of 45 CFR 164.514(e).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from foundation.yaml_nodes import NodeReader

SAFE_HARBOR, LIMITED = "safe_harbor", "limited"
RULES = (SAFE_HARBOR, LIMITED)
_LARGEST = 1_000


@dataclass(frozen=True, kw_only=True)
class Deidentification:
    """`smallest_cell`: figures of fewer people are not shown to those who see no rows; 1 shows all."""

    rule: str = SAFE_HARBOR
    smallest_cell: int = 11


# What counts where a configuration says nothing.
STRICT = Deidentification()


def parse_deidentification(reader: NodeReader, nodes: Mapping[str, yaml.Node], key: str) -> Deidentification:
    """The tenant's `deidentification`. Raises ConfigurationError for another rule and for a number below 1 or above 1,000."""
    if "deidentification" not in nodes:
        return STRICT
    node, place = nodes["deidentification"], f"{key}.deidentification"
    settings = reader.mapping(node, place, ("rule", "smallest_cell"))
    rule = STRICT.rule
    if "rule" in settings:
        rule = reader.text(settings["rule"], f"{place}.rule")
        if rule not in RULES:
            raise reader.fail(settings["rule"], f"{place}.rule", f"{rule!r} is not one of {', '.join(RULES)}")
    smallest = settings.get("smallest_cell")
    number = (
        STRICT.smallest_cell if smallest is None else reader.number(smallest, f"{place}.smallest_cell", 1, _LARGEST)
    )
    return Deidentification(rule=rule, smallest_cell=number)
