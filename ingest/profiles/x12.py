"""The profile of a sender of X12 files: its words and its time zone.

Every key is optional. Codes that the standard defines need no entry.

    kind: x12
    time_zone: tenant                          # of dates and times of envelopes: `tenant`, or an IANA name
    payer_classes: {blue shield: commercial}   # a payer's id (NM109, N104) or name
    filing_indicators: {QQ: MC}                # SBR09, CLP06; these and the following lead to the code of the standard
    payer_sequences: {X: S}                    # SBR01
    claim_frequencies: {R: "7"}                # CLM05-3
    claim_statuses: {"99": "4"}                # CLP02
    adjustment_groups: {XX: CO}                # CAS01
    status_categories: {ZZ: A3}                # STC01-1, STC10-1, STC11-1 of a 277
    acknowledgement_codes: {Z: R}              # IK501, AK501, AK901
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import yaml

from foundation.yaml_nodes import NodeReader
from ingest.profiles.word_lists import TENANT_ZONE, no_words, time_zone, values_of, word_list

_CATEGORY = re.compile(r"[ADEFPR]\d{1,2}")
# X12 element 1032, the claim filing indicator. Not every code decides a payer class.
FILING_INDICATORS = (
    *("09", "10", "11", "12", "13", "14", "15", "16", "17", "AM", "BL", "CH", "CI", "DS", "FI", "HM", "HN", "LI", "LM"),
    *("MA", "MB", "MC", "MH", "OF", "SA", "TV", "VA", "WC", "ZZ"),
)
# X12 element 1138, the order of a payer.
PAYER_SEQUENCES = ("P", "S", "T", "A", "B", "C", "D", "E", "F", "G", "H", "U")
# X12 elements 717 and 715: what became of a transaction or a group.
ACKNOWLEDGEMENT_CODES = ("A", "E", "M", "P", "R", "W", "X")


@dataclass(frozen=True, kw_only=True)
class X12Profile:
    """A checked profile; without a file, the standard's own words. Words are folded (`word_lists.folded`)."""

    name: str = ""
    time_zone: str = TENANT_ZONE
    payer_classes: Mapping[str, str] = field(default_factory=no_words)
    filing_indicators: Mapping[str, str] = field(default_factory=no_words)
    payer_sequences: Mapping[str, str] = field(default_factory=no_words)
    claim_frequencies: Mapping[str, str] = field(default_factory=no_words)
    claim_statuses: Mapping[str, str] = field(default_factory=no_words)
    adjustment_groups: Mapping[str, str] = field(default_factory=no_words)
    status_categories: Mapping[str, str] = field(default_factory=no_words)
    acknowledgement_codes: Mapping[str, str] = field(default_factory=no_words)

    def zone(self, tenant_zone: str) -> ZoneInfo:
        """The time zone of times without an offset."""
        return ZoneInfo(tenant_zone if self.time_zone == TENANT_ZONE else self.time_zone)


# Profile key -> the meanings its words may have.
_MEANINGS = {
    "payer_classes": values_of("payer", "payer_class"),
    "filing_indicators": FILING_INDICATORS,
    "payer_sequences": PAYER_SEQUENCES,
    "claim_frequencies": values_of("claim", "frequency_code"),
    "claim_statuses": values_of("remittance_claim", "claim_status_code"),
    "adjustment_groups": values_of("remittance_adjustment", "group_code"),
    "acknowledgement_codes": ACKNOWLEDGEMENT_CODES,
}


def parse_x12(reader: NodeReader, root: yaml.Node, name: str) -> X12Profile:
    """Checks the nodes of one file. Raises ConfigurationError naming file, line and key."""
    nodes = reader.mapping(root, "", ("kind", "time_zone", *_MEANINGS, "status_categories"))
    words = {key: word_list(reader, nodes.get(key), key, meanings) for key, meanings in _MEANINGS.items()}
    categories = nodes.get("status_categories")
    return X12Profile(
        name=name,
        time_zone=time_zone(reader, nodes.get("time_zone")),
        status_categories=word_list(reader, categories, "status_categories", _CATEGORY, "a category such as A3"),
        **words,
    )
