"""Condition, Encounter.diagnosis and Claim.diagnosis to rows of diagnosis.

A Condition states a code. A visit or claim states its own code (diagnosisCodeableConcept), or refers to a Condition: then its row names
that Condition in `code_stated_in_id`, and the marts find the code there. The order in which both arrive does not matter.
"""

from collections.abc import Mapping
from types import MappingProxyType

from ingest.sources.code_systems import code_system, preferred
from ingest.sources.fhir.rows import Context
from ingest.sources.fhir.values import Json, codes_of, first

# Condition.verificationStatus: the diagnosis is not, or no longer, taken to be true.
_WITHDRAWN = frozenset({"refuted", "entered-in-error"})
# Condition.category: an entry of a list of the patient's problems, and no diagnosis of a visit.
_PROBLEMS = frozenset({"problem-list-item", "health-concern"})
# Encounter.diagnosis.use (diagnosis-role) and Claim.diagnosis.type (ex-diagnosistype).
_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "AD": "admitting",
        "CC": "reason_for_visit",
        "CM": "secondary",
        "admitting": "admitting",
        "principal": "principal",
        "patientreasonforvisit": "reason_for_visit",
    }
)


def condition(context: Context, resource: Json, record: str) -> None:
    """diagnosis."""
    code, system = _code(resource.get("code"))
    states = set(codes_of([resource.get("verificationStatus") or {}]))
    categories = set(codes_of(resource.get("category")))
    is_problem = bool(categories & _PROBLEMS) and "encounter-diagnosis" not in categories
    context.add_diagnosis(
        diagnosis_id=record,
        encounter_id=context.id_of(resource.get("encounter"), resource, "Encounter", "encounter"),
        claim_submission_id=None,
        claim_id=None,
        patient_id=context.patient(resource.get("subject"), resource, "subject"),
        code_stated_in_id=None,
        diagnosis_code=code,
        code_system=system,
        diagnosis_type="problem_list" if is_problem else "unknown",
        sequence_number=None,
        status="withdrawn" if states & _WITHDRAWN else "stated",
        recorded_at=_moment(resource.get("recordedDate")) or _moment(resource.get("onsetDateTime")),
    )


def add_visit_diagnoses(context: Context, resource: Json, encounter_id: str, patient: str | None) -> None:
    """A row for each diagnosis of an Encounter; `rank` gives the order, and the first rank of a use that says nothing else is principal."""
    for number, item in enumerate(resource["diagnosis"] or (), start=1):
        rank = item.get("rank")
        use = item.get("use")
        kind = _kind([use] if isinstance(use, Mapping) else use)
        if kind == "unknown" and rank is not None:
            kind = "principal" if rank == 1 else "secondary"
        _add(
            context,
            _stated(context, resource, item.get("condition"), None),
            diagnosis_id=f"{encounter_id}/diagnosis/{number}",
            encounter_id=encounter_id,
            patient_id=patient,
            diagnosis_type=kind,
            sequence_number=rank,
        )


def add_claim_diagnoses(
    context: Context, resource: Json, record: str, claim_id: str, patient: str | None, encounter: str | None
) -> None:
    """A row for each diagnosis of a Claim. Without a type the first of the sequence is the principal one."""
    for number, item in enumerate(resource["diagnosis"] or (), start=1):
        sequence = item["sequence"]
        kind = _kind(item.get("type"))
        if kind == "unknown":
            kind = "principal" if sequence == 1 else "secondary"
        _add(
            context,
            _stated(context, resource, item.get("diagnosisReference"), item.get("diagnosisCodeableConcept")),
            diagnosis_id=f"{record}/diagnosis/{number}",
            encounter_id=encounter,
            claim_submission_id=record,
            claim_id=claim_id,
            patient_id=patient,
            diagnosis_type=kind,
            sequence_number=sequence,
        )


def _add(
    context: Context,
    stated: tuple[str | None, str | None, str],
    *,
    diagnosis_id: str,
    encounter_id: str | None,
    patient_id: str | None,
    diagnosis_type: str,
    sequence_number: int | None,
    claim_submission_id: str | None = None,
    claim_id: str | None = None,
) -> None:
    """Adds a diagnosis that a visit or a claim states; `stated` is what `_stated` gives."""
    condition_of, code, system = stated
    context.add_diagnosis(
        diagnosis_id=diagnosis_id,
        encounter_id=encounter_id,
        claim_submission_id=claim_submission_id,
        claim_id=claim_id,
        patient_id=patient_id,
        code_stated_in_id=condition_of,
        diagnosis_code=code,
        code_system=system,
        diagnosis_type=diagnosis_type,
        sequence_number=sequence_number,
        status="stated",
        recorded_at=None,
    )


def _stated(
    context: Context, resource: Json, reference: Json | None, concept: Json | None
) -> tuple[str | None, str | None, str]:
    """The Condition that a diagnosis refers to, or its own code and code system. R5 has a list of references or concepts in `condition`."""
    if isinstance(reference, list):
        reference = first(reference)
    inner = None if reference is None else reference.get("reference")
    if reference is not None and ("concept" in reference or isinstance(inner, Mapping)):
        concept = reference.get("concept") or concept
        reference = inner
    code, system = _code(concept)
    if code is not None or reference is None:
        return None, code, system
    return context.id_of(reference, resource, "Condition", "diagnosis"), None, "unknown"


def _code(concept: Json | None) -> tuple[str | None, str]:
    """Code and code system of a concept: of its codings the one of ICD-10, else the first. Its text is not read, because it may name
    the patient: without a coding there is no code."""
    if concept is None:
        return None, "unknown"
    codings = [
        (code, code_system(coding.get("system")))
        for coding in concept.get("coding") or ()
        if isinstance(code := coding.get("code"), str)
    ]
    return preferred(codings)


def _kind(concepts: list[Json] | None) -> str:
    return next((kind for code in codes_of(concepts) if (kind := _TYPES.get(code))), "unknown")


def _moment(text: str | None) -> str | None:
    """A date and time; None for a date or a part of one, which is no moment."""
    return text if text is not None and "T" in text else None
