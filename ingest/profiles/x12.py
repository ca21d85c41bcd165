"""The profile of a sender of X12 files: its words and its time zone.

Every key is optional. Codes that the standard defines need no entry.

    kind: x12
    time_zone: tenant                          # of dates and times of envelopes: `tenant`, or an IANA name
    payer_classes: {blue shield: commercial}   # a payer's id (NM109, N104) or name
    filing_indicators: {QQ: medicaid}          # SBR09, CLP06: the payer class
    payer_sequences: {X: secondary}            # SBR01
    claim_frequencies: {R: "7"}                # CLM05-3: the code of the standard
    claim_statuses: {"99": "4"}                # CLP02: the code of the standard
    adjustment_groups: {XX: CO}                # CAS01
    status_categories: {ZZ: A3}                # STC01-1 of a 277
    acknowledgement_codes: {Z: R}              # IK501, AK501, AK901, TA104
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import yaml

from foundation.yaml_nodes import NodeReader
from ingest.profiles.word_lists import NO_WORDS, TENANT_ZONE, time_zone, values_of, word_list

_CATEGORY = re.compile(r"[ADEFPR]\d{1,2}")
_ACKNOWLEDGEMENTS = ("A", "E", "M", "P", "R", "W", "X")


@dataclass(frozen=True, kw_only=True)
class X12Profile:
    """A checked profile; without a file, the standard's own words. Words are folded (`word_lists.folded`)."""

    name: str = ""
    time_zone: str = TENANT_ZONE
    payer_classes: Mapping[str, str] = NO_WORDS
    filing_indicators: Mapping[str, str] = NO_WORDS
    payer_sequences: Mapping[str, str] = NO_WORDS
    claim_frequencies: Mapping[str, str] = NO_WORDS
    claim_statuses: Mapping[str, str] = NO_WORDS
    adjustment_groups: Mapping[str, str] = NO_WORDS
    status_categories: Mapping[str, str] = NO_WORDS
    acknowledgement_codes: Mapping[str, str] = NO_WORDS

    def zone(self, tenant_zone: str) -> ZoneInfo:
        """The time zone of times without an offset."""
        return ZoneInfo(tenant_zone if self.time_zone == TENANT_ZONE else self.time_zone)


# Profile key -> the column whose values its words may mean.
COLUMNS = {
    "payer_classes": ("payer", "payer_class"),
    "filing_indicators": ("payer", "payer_class"),
    "payer_sequences": ("claim", "payer_sequence"),
    "claim_frequencies": ("claim", "frequency_code"),
    "claim_statuses": ("remittance_claim", "claim_status_code"),
    "adjustment_groups": ("remittance_adjustment", "group_code"),
}


def parse_x12(reader: NodeReader, root: yaml.Node, name: str) -> X12Profile:
    """Checks the nodes of one file. Raises ConfigurationError naming file, line and key."""
    found = reader.mapping(root, "", ("kind", "time_zone", *COLUMNS, "status_categories", "acknowledgement_codes"))
    words = {
        key: word_list(reader, found.get(key), key, values_of(entity, column))
        for key, (entity, column) in COLUMNS.items()
    }
    categories, codes = found.get("status_categories"), found.get("acknowledgement_codes")
    return X12Profile(
        name=name,
        time_zone=time_zone(reader, found.get("time_zone")),
        status_categories=word_list(reader, categories, "status_categories", _CATEGORY, "a category such as A3"),
        acknowledgement_codes=word_list(reader, codes, "acknowledgement_codes", _ACKNOWLEDGEMENTS),
        **words,
    )
