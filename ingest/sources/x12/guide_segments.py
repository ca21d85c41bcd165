"""The segments of the X12 implementation guides that are read: for each, the elements that are used, by name, with their numbers.

`CLP.read(segments, separator, "claim_id", "billed_amount")` gives columns of these names; `SE.value(parts, "control_number")` gives
one element of a segment that is already split. The numbers are those of the guides: `billed_amount=3` of CLP is CLP03.
Sources: ASC X12 005010X222A1, 005010X223A2 and 005010X224A2 (837), 005010X221A1 (835), 005010X214 and 005010X212 (277),
005010X231A1 (999), 005010X279A1 (271). Version 004010 has the same elements at the same places.
"""

from collections.abc import Sequence

import polars as pl


def is_tag(*tags: str) -> pl.Expr:
    """Rows whose segment identifier is one of `tags`."""
    return pl.col("tag") == tags[0] if len(tags) == 1 else pl.col("tag").is_in(tags)


def empty_to_null(name: str) -> pl.Expr:
    """A text column without its empty texts."""
    return pl.when(pl.col(name) != "").then(pl.col(name)).alias(name)


class Segment:
    """One segment: its identifier and the numbers of its elements by name. Unknown names raise KeyError."""

    def __init__(self, tag: str, /, **numbers: int) -> None:
        self.tag = tag
        self._numbers = numbers

    def __repr__(self) -> str:
        return f"Segment({self.tag})"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all elements, in the order of their declaration."""
        return tuple(self._numbers)

    def number(self, name: str) -> int:
        """The number of an element: 2 for BPR02."""
        return self._numbers[name]

    def value(self, parts: Sequence[str], name: str) -> str:
        """An element of a segment that is split at its separator (`parts[0]` is the identifier); empty where it is not sent."""
        number = self._numbers[name]
        return parts[number] if number < len(parts) else ""

    def read(self, segments: pl.DataFrame, separator: str, *names: str) -> pl.DataFrame:
        """The rows of `segments` with this identifier, with these elements as columns of their names (String) in place of
        `segment`. An element that is empty or not sent is null."""
        rows = segments.filter(is_tag(self.tag))
        numbers = {name: self._numbers[name] for name in names}
        parts = [f"element_{number}" for number in range(max(numbers.values()) + 2)]
        split = rows.select(
            pl.col("segment").str.split_exact(separator, len(parts) - 1).struct.rename_fields(parts)
        ).unnest("segment")
        columns = [empty_to_null(f"element_{number}").alias(name) for name, number in numbers.items()]
        return rows.drop("segment").hstack(split.select(columns))


def _repeated(first: int, times: int, *names: str) -> dict[str, int]:
    """Elements that repeat as a group: `reason_code_1=2, adjustment_amount_1=3, reason_code_2=4 ...`."""
    return {
        f"{name}_{turn + 1}": first + turn * len(names) + offset
        for turn in range(times)
        for offset, name in enumerate(names)
    }


# The envelope. Elements of ISA have fixed widths; the others do not.
ISA = Segment("ISA", sender=6, date=9, time=10, repetition_separator=11, version=12, control_number=13)
IEA = Segment("IEA", group_count=1, control_number=2)
GS = Segment("GS", sender=2, receiver=3, date=4, time=5, control_number=6, version=8)
GE = Segment("GE", transaction_count=1, control_number=2)
ST = Segment("ST", transaction_kind=1, control_number=2, version=3)
SE = Segment("SE", segment_count=1, control_number=2)
TA1 = Segment("TA1", interchange_control_number=1, outcome_code=4, note_code=5)

# Several transactions.
BHT = Segment("BHT", created_date=4, created_time=5)
HL = Segment("HL", level_code=3)
NM1 = Segment("NM1", entity_code=1, entity_type=2, name=3, first_name=4, id_qualifier=8, identifier=9)
N1 = Segment("N1", entity_code=1, name=2, id_qualifier=3, identifier=4)
REF = Segment("REF", qualifier=1, identifier=2)
DTP = Segment("DTP", qualifier=1, format=2, period=3)
DTM = Segment("DTM", qualifier=1, date=2)
AMT = Segment("AMT", qualifier=1, amount=2)
TRN = Segment("TRN", trace_type=1, trace_number=2, company_number=3)

# 837: claims. CLM05 is a composite of place of service, qualifier and claim frequency; SV101, SV202 and SV301 are composites of
# qualifier, procedure code and modifiers.
SBR = Segment("SBR", payer_sequence=1, filing_indicator=9)
DMG = Segment("DMG", birth_date=2)
CLM = Segment("CLM", claim_id=1, billed_amount=2, service_location=5)
# HI01 .. HI12 are composites of qualifier, code and what else is known of it.
HI = Segment("HI", diagnosis_1=1)
LX = Segment("LX", line_number=1)
SV1 = Segment("SV1", procedure=1, billed_amount=2, units=4, place_of_service=5)
SV2 = Segment("SV2", revenue_code=1, procedure=2, billed_amount=3, units=5)
SV3 = Segment("SV3", procedure=1, billed_amount=2, place_of_service=3, units=6)

# 835: remittances. SVC01 and SVC06 are composites as in SV101; PLB03, 05 .. 13 are composites of reason and reference number.
BPR = Segment("BPR", payment_amount=2, payment_method=4, payment_date=16)
CLP = Segment(
    "CLP",
    claim_id=1,
    claim_status_code=2,
    billed_amount=3,
    payer_paid_amount=4,
    patient_responsibility_amount=5,
    filing_indicator=6,
    payer_claim_control_number=7,
)
SVC = Segment(
    "SVC",
    procedure=1,
    billed_amount=2,
    payer_paid_amount=3,
    revenue_code=4,
    units_paid=5,
    submitted_procedure=6,
    submitted_units=7,
)
# A CAS holds up to six reasons, a PLB up to six pairs.
CAS_REASONS = 6
PLB_PAIRS = 6
CAS = Segment("CAS", group_code=1, **_repeated(2, CAS_REASONS, "reason_code", "adjustment_amount", "quantity"))
PLB = Segment("PLB", provider_npi=1, fiscal_period=2, **_repeated(3, PLB_PAIRS, "reason", "adjustment_amount"))
LQ = Segment("LQ", qualifier=1, code=2)

# 277: claim status. STC01, STC10 and STC11 are composites of category, status and entity.
STC = Segment("STC", status_1=1, date=2, billed_amount=4, status_2=10, status_3=11)

# 271: answers about insurance. EB03 repeats.
AAA = Segment("AAA", reject_code=3)
EB = Segment(
    "EB",
    information=1,
    coverage_level=2,
    service_types=3,
    plan_name=5,
    period=6,
    amount=7,
    percent=8,
    network=12,
)

# 999 and 997: acknowledgements. 999 writes IK3 and IK5 for what 997 writes as AK3 and AK5.
AK1 = Segment("AK1", group_control_number=2)
AK2 = Segment("AK2", transaction_kind=1, control_number=2)
IK3 = Segment("IK3", segment_tag=1, segment_position=2)
AK3 = Segment("AK3", segment_tag=1, segment_position=2)
IK5 = Segment("IK5", outcome_code=1, first_error_code=2)
AK5 = Segment("AK5", outcome_code=1, first_error_code=2)
AK9 = Segment("AK9", outcome_code=1, first_error_code=5)
