"""CoverageEligibilityResponse to rows of eligibility_answer and eligibility_benefit: an answer for each insurance that it names."""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from ingest.sources.fhir.money import check_currency
from ingest.sources.fhir.rows import Context, Refused
from ingest.sources.fhir.values import Json, amount_of, code_of, date_part, first, number_of

# item.benefit.type (benefit-type) -> benefit_type.
_TYPES: Mapping[str, str] = MappingProxyType(
    {"copay": "copay", "copay-percent": "coinsurance", "coinsurance": "coinsurance", "deductible": "deductible"}
)
# item.network (benefit-network) and item.unit (benefit-unit).
_NETWORKS: Mapping[str | None, str] = MappingProxyType({"in": "in", "out": "out", None: "unknown"})
_LEVELS: Mapping[str | None, str] = MappingProxyType({"individual": "individual", "family": "family", None: "unknown"})


def coverage_eligibility_response(context: Context, resource: Json, record: str) -> None:
    """eligibility_answer and eligibility_benefit. A response that was cancelled or entered in error is deleted, a draft is refused."""
    if resource.get("status") == "draft":
        raise Refused("not_submitted", "the response is a draft")
    if resource.get("status") in ("cancelled", "entered-in-error"):
        context.delete("CoverageEligibilityResponse", record)
        return
    insurances = resource.get("insurance") or ()
    error = code_of((first(resource.get("error")) or {}).get("code"))
    for number, insurance in enumerate(insurances or ({},), start=1):
        answer = f"{record}/{number}"
        period = insurance.get("benefitPeriod") or {}
        payer = context.payer(resource.get("insurer"), resource, "insurer")
        payer = payer or context.payer_of_coverage(insurance.get("coverage"), resource, "insurance.coverage")
        context.add_eligibility_answer(
            eligibility_answer_id=answer,
            patient_id=context.patient(resource.get("patient"), resource, "patient"),
            payer_id=payer,
            plan_name=None,
            status=_status(resource, insurance),
            reject_code=error,
            answered_at=resource.get("created"),
            valid_from=date_part(period.get("start")),
            valid_to=date_part(period.get("end")),
        )
        for place, item in enumerate(insurance.get("item") or (), start=1):
            _benefits(context, answer, f"{answer}/{place}", item)


def _status(resource: Json, insurance: Json) -> str:
    """What inforce says; without it error where the response is one, else unknown."""
    in_force = insurance.get("inforce")
    if in_force is None:
        return "error" if resource.get("outcome") == "error" or resource.get("error") else "unknown"
    return "active" if in_force else "inactive"


def _benefits(context: Context, answer: str, key: str, item: Json) -> None:
    """Rows of one item: what is allowed is the whole of the period, what is used is a row beside it."""
    for number, benefit in enumerate(item.get("benefit") or (), start=1):
        kind = code_of(benefit.get("type"))
        meaning = _TYPES.get(kind or "")
        if meaning is None:
            context.unknown("eligibility_benefit", "benefit_type", kind)
            continue
        for amount_kind, name in (("total", "allowed"), ("used", "used")):
            money = benefit.get(f"{name}Money")
            percent = number_of(benefit.get(f"{name}UnsignedInt")) if meaning == "coinsurance" else None
            if money is None and percent is None:
                continue
            check_currency([money])
            _row(context, answer, f"{key}/{number}/{name}", item, meaning, amount_kind, amount_of(money), percent)


def _row(
    context: Context,
    answer: str,
    key: str,
    item: Json,
    meaning: str,
    amount_kind: str,
    amount: Decimal | None,
    percent: Decimal | None,
) -> None:
    context.add_eligibility_benefit(
        eligibility_benefit_id=key,
        eligibility_answer_id=answer,
        benefit_type=meaning,
        service_type_code=code_of(item.get("category")),
        coverage_level=_LEVELS.get(code_of(item.get("unit")), "other"),
        network=_NETWORKS.get(code_of(item.get("network")), "unknown"),
        amount_kind=amount_kind,
        benefit_amount=amount,
        benefit_percent=percent,
    )
