"""The parts of a message that may be shown to people who work with rows but not with names: default deny. Only the elements
listed here are shown: those that a reader maps to a column of the unified model and that identify nobody (states, codes, dates
of events, amounts, units, clinics, payers), and only where the value looks like one: a code without blanks, a number, a date.
Everything else is `MASK`, be it known to carry a name or number of a person or unknown to us, also parts of elements that are
listed and their repetitions. Names of clinicians and payers are masked too: a name is a name, whosever it is.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from data_contracts import Contract
from ingest.trace.source_text import SourceText

MASK = "[masked]"
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+&-]{0,39}|[<>=]?-?[0-9]+(?:\.[0-9]+)?")
_ADDRESS = re.compile(r"(?:https?://|urn:)[A-Za-z0-9./:_-]{1,160}")  # a code system
_TAG = re.compile(r"[A-Z][A-Z0-9]{1,2}")

Allowed = Mapping[
    int, tuple[int, ...]
]  # element to the components shown of it; () stands for an element without components
_WHOLE: tuple[int, ...] = ()


def _whole(*elements: int, **parts: tuple[int, ...]) -> Allowed:
    """Elements shown whole, and by `f<number>` those of which some components are."""
    return MappingProxyType(
        {**dict.fromkeys(elements, _WHOLE), **{int(name[1:]): shown for name, shown in parts.items()}}
    )


# HL7 v2, by segment and field; see the modules `hl7v2_*` beside the readers for what each is read as.
HL7V2: Mapping[str, Allowed] = MappingProxyType(
    {
        "MSH": _whole(7, 11, 12, f3=(1,), f4=(1,), f5=(1,), f6=(1,), f9=(1, 2, 3)),
        "EVN": _whole(1, 2, 6),
        "PID": _whole(1, 8, f15=(1,)),
        "PV1": _whole(1, 2, 14, 36, 44, 45, f3=(1, 4), f7=(1,)),
        "PV2": _whole(8),
        "IN1": _whole(1, 12, 13, f3=(1,), f15=(1,)),
        "SCH": _whole(9, 10, f6=(1,), f7=(1,), f8=(1,), f11=(4, 5), f25=(1,)),
        "TQ1": _whole(1, 7, 8),
        "RGS": _whole(1, 2),
        "AIS": _whole(1, 2, 4, 7, 8, f3=(1,)),
        "AIL": _whole(1, 2, 6, 9, 10, f3=(1, 4)),
        "AIP": _whole(1, 2, 6, 9, 10, f3=(1,)),
        "AIG": _whole(1, 2, 8, 11, 12, f3=(1,)),
        "FT1": _whole(1, 4, 5, 6, 10, f7=(1,), f11=(1,), f12=(1,), f13=(1,), f16=(1, 4), f20=(1,), f25=(1,), f26=(1,)),
    }
)
_PROCEDURE = (1, 2, 3, 4, 5, 6)
_ADJUSTMENT = tuple(range(1, 20))
# X12, by segment and element; elements of REF, NM1 and DTP by their qualifier, below.
X12: Mapping[str, Allowed] = MappingProxyType(
    {
        "ST": _whole(1, 3),
        "BHT": _whole(1, 2, 4, 5, 6),
        "HL": _whole(1, 2, 3, 4),
        "SBR": _whole(1, 9),
        "CLM": _whole(2, f5=(1, 2, 3)),
        "LX": _whole(1),
        "SV1": _whole(2, 3, 4, 5, f1=_PROCEDURE),
        "SV2": _whole(1, 3, 4, 5, f2=_PROCEDURE),
        "SV3": _whole(2, 3, 6, f1=_PROCEDURE),
        "BPR": _whole(1, 2, 3, 4, 16),
        "TRN": _whole(1),
        "DTM": _whole(1, 2),
        "DTP": _whole(1, 2),
        "CLP": _whole(2, 3, 4, 5, 6, 8, 9),
        "SVC": _whole(2, 3, 4, 5, 7, f1=_PROCEDURE, f6=_PROCEDURE),
        "CAS": _whole(*_ADJUSTMENT),
        "AMT": _whole(1, 2),
        "LQ": _whole(1, 2),
        "PLB": _whole(2, 4, 6, 8, 10, 12, 14, **{f"f{number}": (1,) for number in range(3, 14, 2)}),
        "STC": _whole(2, 3, 4, 5, f1=(1, 2, 3), f10=(1, 2, 3), f11=(1, 2, 3)),
        "NM1": _whole(1, 2, 8),
        "N1": _whole(1, 3),
        "REF": _whole(1),
        "TA1": _whole(2, 3, 4, 5),
        "AK1": _whole(1, 3),
        "AK2": _whole(1, 3),
        "AK5": _whole(1, 2, 3, 4, 5, 6),
        "IK5": _whole(1, 2, 3, 4, 5, 6),
        "AK9": _whole(1, 2, 3, 4, 5),
        "SE": _whole(1),
    }
)
# Qualifier of the first element to a further one that is then shown: days of service, and of the payer its number.
_X12_QUALIFIED: Mapping[tuple[str, str], int] = MappingProxyType(
    {
        **{("DTP", code): 3 for code in ("472", "434")},
        **{("NM1", code): 9 for code in ("PR", "82", "85")},
        ("N1", "PR"): 4,
    }
)
# Only these kinds of number are of an organisation: NM108 and N103.
_ORGANISATION_NUMBERS = frozenset({"XX", "PI", "XV"})


def _coded(*names: str) -> tuple[str, ...]:
    """Paths of concepts: their codes and code systems."""
    return tuple(f"{name}.coding.{part}" for name in names for part in ("code", "system"))


def _money(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}.{part}" for name in names for part in ("value", "currency"))


def _period(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}.{part}" for name in names for part in ("start", "end"))


_ADJUDICATED = (
    *_coded("item.adjudication.category", "item.adjudication.reason", "item.productOrService", "item.modifier"),
    *_coded("adjudication.category", "adjudication.reason", "total.category", "type", "item.revenue"),
    *_coded("item.locationCodeableConcept", "payment.type", "payment.adjustmentReason"),
    *_money("item.adjudication.amount", "adjudication.amount", "total.amount", "payment.amount", "item.net"),
    *_money("total", "item.unitPrice", "payment.adjustment"),
    *_period("billablePeriod", "item.servicedPeriod"),
    *("status", "use", "outcome", "created", "payment.date", "item.sequence", "item.itemSequence"),
    *("item.servicedDate", "item.quantity.value", "item.adjudication.value", "insurance.sequence", "insurance.focal"),
)
# FHIR, by type of resource: paths from its top, lists left out.
FHIR: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        kind: frozenset({"resourceType", "meta.lastUpdated", *paths})
        for kind, paths in {
            "Encounter": (
                *("status", "class.code", "class.system", "statusHistory.status", "location.status"),
                *_period("period", "statusHistory.period", "location.period"),
                *_coded("type", "serviceType", "priority", "hospitalization.admitSource"),
                *_coded("hospitalization.dischargeDisposition", "participant.type", "location.physicalType"),
            ),
            "Appointment": (
                *("status", "start", "end", "created", "participant.status", "cancellationDate"),
                *_period("requestedPeriod"),
                *_coded(
                    "cancelationReason", "cancellationReason", "appointmentType", "serviceType", "participant.type"
                ),
            ),
            "Slot": ("status", "start", "end", *_coded("serviceType", "appointmentType")),
            "Claim": _ADJUDICATED,
            "ClaimResponse": _ADJUDICATED,
            "ExplanationOfBenefit": _ADJUDICATED,
            "Coverage": ("status", "order", *_period("period"), *_coded("type", "class.type")),
            "Patient": ("active", "gender"),
            "Practitioner": ("active",),
            "Organization": ("active", *_coded("type")),
            "Location": ("status", *_coded("physicalType", "type")),
        }.items()
    }
)


def masked(text: SourceText) -> SourceText:
    """A message in which every element is masked, except elements that are known to identify no person."""
    if text.kind == "hl7v2":
        return replace(text, segments=tuple(_hl7v2(segment, text.separators) for segment in text.segments))
    if text.kind == "x12":
        return replace(text, segments=tuple(_x12(segment, text.separators) for segment in text.segments))
    if text.kind == "fhir":
        kind = text.resource.get("resourceType") if isinstance(text.resource, dict) else None
        return replace(text, resource=_fhir(text.resource, FHIR.get(str(kind), frozenset()), ""))
    return replace(text, segments=(), resource=None)


def _shown(value: str) -> str:
    return value if not value or _CODE.fullmatch(value) else MASK


def _element(value: str, parts: tuple[int, ...] | None, component: str, others: str = "") -> str:
    """One element: whole where `parts` is empty, its components named in `parts`, else masked. If it contains a repetition or
    another part that is not parsed, all of it is masked."""
    if not value:
        return value
    if parts is None or any(mark in value for mark in others):
        return MASK
    components = value.split(component)
    if parts == _WHOLE:
        return (
            _shown(value) if len(components) == 1 else component.join([_shown(components[0]), *_masks(components[1:])])
        )
    return component.join(
        _shown(item) if number in parts else (MASK if item else "") for number, item in enumerate(components, start=1)
    )


def _masks(items: list[str]) -> list[str]:
    return [MASK if item else "" for item in items]


def _hl7v2(segment: str, separators: tuple[str, ...]) -> str:
    field, component, repetition, escape, subcomponent = separators
    tag, *values = segment.split(field)
    allowed = HL7V2.get(tag, {})
    # A segment that is not read may contain anything, also in place of its name.
    name = tag if _TAG.fullmatch(tag) else MASK
    if tag == "MSH":
        # MSH-1 is the separator itself and MSH-2 the other marks.
        fields = [
            _element(v, allowed.get(n), component, repetition + escape) for n, v in enumerate(values[1:], start=3)
        ]
        return field.join([tag, values[0] if values else "", *fields])
    others = repetition + escape + subcomponent
    return field.join([name, *(_element(v, allowed.get(n), component, others) for n, v in enumerate(values, start=1))])


def _x12(segment: str, separators: tuple[str, ...]) -> str:
    element, component = separators
    tag, *values = segment.split(element)
    allowed = dict(X12.get(tag, {}))
    qualified = _X12_QUALIFIED.get((tag, values[0] if values else ""))
    kind_at = {"NM1": 7, "N1": 2}.get(tag)
    if qualified is not None and (
        kind_at is None or (len(values) > kind_at and values[kind_at] in _ORGANISATION_NUMBERS)
    ):
        allowed[qualified] = _WHOLE
    name = tag if _TAG.fullmatch(tag) else MASK
    return element.join([name, *(_element(v, allowed.get(n), component) for n, v in enumerate(values, start=1))])


def _fhir(value: Any, allowed: frozenset[str], path: str) -> Any:
    """A JSON value in which everything not allowed is masked, keys included, because a key may be a name. All masked entries of
    one object become one entry, so that number and order are hidden too."""
    if isinstance(value, dict):
        masked: dict[str, Any] = {}
        for key, item in value.items():
            below = f"{path}.{key}" if path else str(key)
            if below in allowed or any(allowed_path.startswith(f"{below}.") for allowed_path in allowed):
                masked[str(key)] = _fhir(item, allowed, below)
            else:
                masked[MASK] = MASK
        return masked
    if isinstance(value, list):
        return [_fhir(item, allowed, path) for item in value]
    if value is None or path not in allowed:
        return None if value is None else MASK
    if isinstance(value, bool | int | float):
        return value
    if path.endswith(".system"):
        return value if _ADDRESS.fullmatch(str(value)) else MASK
    return _shown(str(value))


# Ids of the organisation; any other id or number may lead to a person.
_ORGANISATION_IDS = frozenset(
    {
        *("tenant_id", "source_system", "batch_id", "source_position", "service_unit_id", "from_service_unit_id"),
        *("provider_id", "payer_id", "visit_type_id", "billing_provider_npi", "payee_npi"),
    }
)
_PEOPLE = frozenset({"patient", "patient_identity", "patient_merge"})


def masked_row(entity_contract: Contract, row: Mapping[str, Any]) -> dict[str, Any]:
    """A landed row for the same readers: columns of its contract that hold a number, a date of an event, one of a list of values
    or a code; identifiers, names and words masked, and of patients everything but the sex."""
    masked: dict[str, Any] = {}
    for name, value in row.items():
        column = entity_contract.by_name.get(name)
        if column is None:
            continue
        if value is None or name in _ORGANISATION_IDS:
            masked[name] = value
        elif entity_contract.name in _PEOPLE:
            masked[name] = value if name == "sex" else MASK
        elif column.logical_type != "string":
            masked[name] = value
        elif column.valid_values:
            masked[name] = value if value in column.valid_values else MASK
        elif _is_identifier(column.name) or column.token_domain or column.token_domain_of or column.classification:
            masked[name] = MASK
        else:
            masked[name] = _shown(str(value))
    return masked


def _is_identifier(name: str) -> bool:
    return name.endswith(("_id", "_number", "_token", "_key", "name", "description", "address"))
