"""Claim, ClaimResponse, ExplanationOfBenefit to rows.

A claim response and the explanation of benefit that refers to it are one adjudication: both have the same
`remittance_claim_id`, so it counts once. A claim that a payer could not process gives a claim_status, never a denial. A
cancelled adjudication keeps its id with amounts of zero, so its earlier amounts no longer count.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from ingest.sources.fhir.beside import entity_id
from ingest.sources.fhir.diagnoses import add_claim_diagnoses
from ingest.sources.fhir.rows import Context, Refused
from ingest.sources.fhir.values import (
    Json,
    amount_of,
    code_of,
    codes_of,
    date_part,
    first,
    is_npi,
    mapped,
    number_of,
    total_of,
)

_VOID = ("cancelled", "entered-in-error")
_SEQUENCES = {1: "primary", 2: "secondary", 3: "tertiary"}
_ZERO = Decimal(0)


def _check(resource: Json) -> bool:
    """Refuses a resource that is not a claim for money in US dollars; returns whether the claim was withdrawn."""
    use, status = resource.get("use"), resource.get("status")
    if use not in (None, "claim"):
        raise Refused("not_a_claim", "by its `use` it is a pre-authorisation or an estimate")
    if status == "draft":
        raise Refused("not_submitted", "the claim is a draft")
    return status in _VOID


def check_currency(moneys: Iterable[Json | None]) -> None:
    """Raises Refused for an amount that is not in US dollars."""
    for money in moneys:
        if money is not None and money.get("currency") not in (None, "USD"):
            raise Refused("not_us_dollars", "the amounts are not in US dollars")


def _insurance(resource: Json) -> Json:
    """The insurance the claim is made to: the focal one, else the first."""
    items = resource.get("insurance") or ()
    return next((item for item in items if item.get("focal")), first(items) or {})


def claim(context: Context, resource: Json, record: str) -> None:
    """claim, claim_line (items with an amount), diagnosis, payer."""
    withdrawn = _check(resource)
    profile = context.profile
    claim_id = entity_id(resource, profile, record)
    items = resource.get("item") or ()
    check_currency([resource.get("total"), *(item.get("net") for item in items)])
    insurance = _insurance(resource)
    payer = context.payer_of_coverage(insurance.get("coverage"), resource, "insurance.coverage")
    payer = payer or context.payer(resource.get("insurer"), resource, "insurer")
    replaced = _replaced(resource)
    billed = amount_of(resource.get("total"))
    nets = [_net(item) for item in items]
    encounter = _item_encounter(context, resource, items)
    start, end = _service_dates(resource, items)
    biller = resource.get("provider")
    claim_type = mapped(resource.get("type"), profile.claim_types)
    if claim_type is None:
        context.unknown("claim", "claim_type", code_of(resource.get("type")), became="unknown")
    patient = context.patient(resource.get("patient"), resource, "patient")
    context.add_claim(
        claim_submission_id=record,
        claim_id=claim_id,
        encounter_id=encounter,
        patient_id=patient,
        payer_id=payer,
        service_unit_id=context.unit(resource.get("facility"), resource, "facility")
        or context.unit(biller, resource, "provider"),
        provider_id=_provider(context, resource),
        billing_provider_npi=_billing_npi(context, biller, resource),
        claim_type=claim_type or "unknown",
        frequency_code="8" if withdrawn else "1" if replaced is None else "7",
        original_payer_claim_control_number=(replaced.get("reference") or {}).get("value") if replaced else None,
        replaced_claim_id=context.id_of(replaced.get("claim"), resource, "Claim", "related.claim")
        if replaced
        else None,
        payer_sequence=_SEQUENCES.get(insurance.get("sequence", 0), "unknown"),
        place_of_service=_place(first(items)),
        billed_amount=billed if billed is not None else total_of(nets),
        service_from_date=start,
        service_to_date=end,
        submitted_at=resource.get("created"),
    )
    for item, net in zip(items, nets, strict=True):
        if net is not None:
            _line(context, resource, record, claim_id, item, net)
    if "diagnosis" in resource and not withdrawn:
        add_claim_diagnoses(context, resource, record, claim_id, patient, encounter)


def _replaced(resource: Json) -> Json | None:
    """The related claim that this claim replaces: an earlier instance of it (`prior`), or another claim."""
    related = resource.get("related") or ()
    return next((item for item in related if code_of(item.get("relationship")) in ("prior", "replaces")), None)


def _line(context: Context, resource: Json, record: str, claim_id: str, item: Json, net: Decimal) -> None:
    start, end = _item_dates(item)
    visits = item.get("encounter")
    context.add_claim_line(
        claim_submission_id=record,
        line_number=item["sequence"],
        claim_id=claim_id,
        encounter_id=context.id_of(first(visits), resource, "Encounter", "item.encounter") if visits else None,
        procedure_code=code_of(item.get("productOrService")),
        modifiers=":".join(codes_of(item.get("modifier"))) or None,
        revenue_code=code_of(item.get("revenue")),
        place_of_service=_place(item),
        units=amount_of(item.get("quantity")),
        billed_amount=net,
        service_date=start,
        service_to_date=end,
    )


def _net(item: Json) -> Decimal | None:
    """The amount of an item: net, else unit price x quantity x factor, else the sum of its details."""
    net = amount_of(item.get("net"))
    if net is not None:
        return net
    price = amount_of(item.get("unitPrice"))
    if price is not None:
        quantity, factor = amount_of(item.get("quantity")), number_of(item.get("factor"))
        return price * (Decimal(1) if quantity is None else quantity) * (Decimal(1) if factor is None else factor)
    return total_of(_net(part) for part in item.get("detail") or item.get("subDetail") or ())


def _place(item: Json | None) -> str | None:
    return code_of(item.get("locationCodeableConcept")) if item else None


def _item_dates(item: Json) -> tuple[str | None, str | None]:
    period = item.get("servicedPeriod") or {}
    day = item.get("servicedDate")
    return date_part(day or period.get("start")), date_part(day or period.get("end"))


def _service_dates(resource: Json, items: Iterable[Json]) -> tuple[str | None, str | None]:
    period = resource.get("billablePeriod") or {}
    start, end = date_part(period.get("start")), date_part(period.get("end"))
    if start is None and end is None:
        dates = [_item_dates(item) for item in items]
        start = min((day for day, _ in dates if day), default=None)
        end = max((day for _, day in dates if day), default=None)
    return start, end


def _item_encounter(context: Context, resource: Json, items: Iterable[Json]) -> str | None:
    for item in items:
        if visits := item.get("encounter"):
            return context.id_of(first(visits), resource, "Encounter", "item.encounter")
    return None


def _provider(context: Context, resource: Json) -> str | None:
    """Who rendered: the responsible or first member of the care team, else the provider where it is a person."""
    team = resource.get("careTeam") or ()
    member = next((item for item in team if item.get("responsible")), first(team))
    provider_id = context.provider(member.get("provider"), resource, "careTeam.provider") if member else None
    return provider_id or context.provider(resource.get("provider"), resource, "provider")


def _billing_npi(context: Context, biller: Json | None, resource: Json) -> str | None:
    organization = context.index.find(biller, resource, "Organization", "provider")
    return organization.id if organization is not None and is_npi(organization.id) else None


def explanation_of_benefit(context: Context, resource: Json, record: str) -> None:
    """remittance_claim, remittance_line, remittance_adjustment, payer; claim_status where it was not processed."""
    response = resource.get("claimResponse")
    shared = context.id_of(response, resource, "ClaimResponse", "claimResponse") if response else None
    key = f"ClaimResponse/{shared}" if shared else record
    payer = context.payer(resource.get("insurer"), resource, "insurer")
    payer = payer or context.payer_of_coverage(_insurance(resource).get("coverage"), resource, "insurance.coverage")
    _adjudicated(context, resource, key, "claim", payer, "sequence")


def claim_response(context: Context, resource: Json, record: str) -> None:
    """As explanation_of_benefit."""
    payer = context.payer(resource.get("insurer"), resource, "insurer")
    _adjudicated(context, resource, f"ClaimResponse/{record}", "request", payer, "itemSequence")


def _adjudicated(context: Context, resource: Json, key: str, claim_path: str, payer: str | None, sequence: str) -> None:
    withdrawn = _check(resource)
    number = (first(resource.get("identifier")) or {}).get("value")
    claim_id = context.id_of(resource.get(claim_path), resource, "Claim", claim_path) or number or key
    outcome, created = resource.get("outcome"), resource.get("created")
    if outcome in ("error", "queued"):
        context.add_claim_status(
            claim_status_id=key,
            claim_id=claim_id,
            status_code=outcome,
            is_accepted=outcome == "queued",
            stage="payer",
            reported_at=created,
        )
        return
    items = resource.get("item") or ()
    money = _Amounts(context, resource, items)
    sign = _ZERO if withdrawn else Decimal(1)
    start, end = _service_dates(resource, items)
    paid = money.paid or _ZERO
    payment = resource.get("payment") or {}
    context.add_remittance_claim(
        remittance_claim_id=key,
        claim_id=claim_id,
        patient_id=context.patient(resource.get("patient"), resource, "patient"),
        payer_id=payer,
        payer_claim_control_number=number,
        claim_status_code="22" if withdrawn else _status(resource, money, paid),
        billed_amount=None if money.billed is None else money.billed * sign,
        payer_paid_amount=paid * sign,
        patient_responsibility_amount=None if money.patient is None else money.patient * sign,
        allowed_amount=None if money.allowed is None else money.allowed * sign,
        service_from_date=start,
        service_to_date=end,
        adjudicated_date=date_part(created or payment.get("date")),
    )
    for number_of_item, item in enumerate(items, start=1):
        _remittance_line(context, key, claim_id, item, item.get(sequence, number_of_item), sign)
    _adjustments(context, key, None, claim_id, resource.get("adjudication") or (), sign)


def _status(resource: Json, money: "_Amounts", paid: Decimal) -> str:
    """CLP02: 4 only if the payer denies and pays nothing; else processed as primary to tertiary."""
    if paid == 0 and money.is_denied:
        return "4"
    precedence = resource.get("precedence", 1)
    return str(precedence) if precedence in (1, 2, 3) else "1"


class _Amounts:
    """The amounts of an adjudication. Totals of the resource go before sums over its items."""

    def __init__(self, context: Context, resource: Json, items: Iterable[Json]) -> None:
        words = context.profile.adjudication
        totals = _by_word(resource.get("total") or (), words)
        payment = (resource.get("payment") or {}).get("amount")
        _count_categories(context, resource.get("total") or ())
        for item in items:
            _count_categories(context, item.get("adjudication") or ())
        lines = [_by_word(item.get("adjudication") or (), words) for item in items]
        check_currency(
            [payment, resource.get("totalCost"), *(item.get("amount") for item in resource.get("total") or ())]
        )

        def sum_of(word: str) -> Decimal | None:
            return totals.get(word) if word in totals else total_of(line.get(word) for line in lines)

        self.billed = sum_of("billed")
        if self.billed is None:
            self.billed = amount_of(resource.get("totalCost"))
        if self.billed is None:
            self.billed = total_of(_net(item) for item in items)
        self.paid = amount_of(payment)
        if self.paid is None:
            self.paid = sum_of("paid")
        self.patient = sum_of("patient")
        self.allowed = sum_of("allowed")
        self.is_denied = "denial" in totals or any("denial" in line for line in lines)


def _count_categories(context: Context, adjudications: Iterable[Json]) -> None:
    """Counts the categories that have an amount and that the profile gives no meaning: their money is in no figure."""
    profile = context.profile
    for item in adjudications:
        category, amount = item.get("category"), item.get("amount")
        if amount is None or not amount.get("value") or mapped(category, profile.adjudication) is not None:
            continue
        if mapped(category, profile.adjudication_adjustments) is None:
            context.unknown("remittance_claim", "adjudication", code_of(category))


def _by_word(adjudications: Iterable[Json], words: Mapping[str, str]) -> dict[str, Decimal]:
    """Amounts by the meaning of their category in the profile; a denial counts without an amount too."""
    amounts: dict[str, Decimal] = {}
    for item in adjudications:
        word = mapped(item.get("category"), words)
        amount = amount_of(item.get("amount"))
        if word == "denial":
            amounts[word] = amount or _ZERO
        elif word is not None and amount is not None:
            amounts[word] = amounts.get(word, _ZERO) + amount
    return amounts


def _remittance_line(context: Context, key: str, claim_id: str, item: Json, number: Any, sign: Decimal) -> None:
    """A line if the item has both a billed and a paid amount; its adjustments in any case."""
    adjudications = item.get("adjudication") or ()
    amounts = _by_word(adjudications, context.profile.adjudication)
    billed = amounts.get("billed", _net(item))
    line = None
    if billed is not None and "paid" in amounts:
        line = f"{key}/{number}"
        allowed = amounts.get("allowed")
        context.add_remittance_line(
            remittance_line_id=line,
            remittance_claim_id=key,
            claim_id=claim_id,
            line_number=number,
            procedure_code=code_of(item.get("productOrService")),
            modifiers=":".join(codes_of(item.get("modifier"))) or None,
            revenue_code=code_of(item.get("revenue")),
            billed_amount=billed * sign,
            payer_paid_amount=amounts["paid"] * sign,
            allowed_amount=None if allowed is None else allowed * sign,
            service_date=_item_dates(item)[0],
        )
    _adjustments(context, key, line, claim_id, adjudications, sign, part=f"{number}")


def _adjustments(
    context: Context,
    key: str,
    line: str | None,
    claim_id: str,
    adjudications: Iterable[Json],
    sign: Decimal,
    part: str = "claim",
) -> None:
    """Amounts whose category is an adjustment, by the profile."""
    for number, item in enumerate(adjudications, start=1):
        meaning = mapped(item.get("category"), context.profile.adjudication_adjustments)
        amount = amount_of(item.get("amount"))
        if meaning and amount:
            group, _, reason = meaning.partition("-")
            context.add_remittance_adjustment(
                remittance_adjustment_id=f"{key}/{part}/{number}",
                remittance_claim_id=key,
                remittance_line_id=line,
                claim_id=claim_id,
                group_code=group,
                reason_code=reason,
                adjustment_amount=amount * sign,
            )
