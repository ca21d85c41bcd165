-- PM charges carry the billing where a claim has any (void ones too: that system has spoken); else the lines of the
-- claim's current submission do, and the amount that they lack of the claim's total is a separate line. What several feeds bill is
-- billed by one of them (`int_billing_links`).
with claim_lines as (
    select
        claims.tenant_id,
        claims.claim_id,
        lines.line_number,
        lines.line_control_number,
        {{ current_id('lines', 'encounter') }} as encounter_id,
        lines.procedure_code,
        lines.modifiers,
        lines.revenue_code,
        lines.place_of_service,
        lines.units,
        lines.billed_amount,
        coalesce(lines.service_date, claims.service_from_date) as service_date,
        lines.service_date is not null as has_own_date,
        lines.source_system,
        lines.source_record_id,
        lines.source_position
    from {{ ref('int_claims') }} as claims
    inner join {{ ref('int_claim_context') }} as context
        on claims.tenant_id = context.tenant_id
        and claims.claim_id = context.claim_id
        and not context.has_charges
    inner join {{ ref('stg_claim_lines') }} as lines
        on claims.tenant_id = lines.tenant_id
        and claims.current_submission_id = lines.claim_submission_id
        and claims.source_system = lines.source_system
    {{ crosswalk_joins('lines', ['encounter'], visits=ref('int_billed_encounters')) | indent(4) }}
    where not claims.is_void
),

claim_gaps as (
    select
        claims.tenant_id,
        claims.claim_id,
        claims.billed_amount - coalesce(sum(claim_lines.billed_amount), 0) as billed_amount,
        min(claims.source_system) as source_system,
        min(claims.source_record_id) as source_record_id,
        min(claims.source_position) as source_position
    from {{ ref('int_claims') }} as claims
    inner join {{ ref('int_claim_context') }} as context
        on claims.tenant_id = context.tenant_id
        and claims.claim_id = context.claim_id
        and not context.has_charges
    left join claim_lines
        on claims.tenant_id = claim_lines.tenant_id
        and claims.claim_id = claim_lines.claim_id
    group by claims.tenant_id, claims.claim_id, claims.billed_amount
    having claims.billed_amount <> coalesce(sum(claim_lines.billed_amount), 0)
)

select
    tenant_id,
    'charge/' || charge_id as charge_line_id,
    'charge' as line_kind,
    charge_id,
    claim_id,
    encounter_id,
    patient_id,
    service_unit_id,
    provider_id,
    payer_id,
    line_control_number,
    procedure_code,
    modifiers,
    revenue_code,
    place_of_service,
    units,
    reversal_of_charge_id is not null as is_reversal,
    billed_amount,
    service_date,
    true as has_own_date,
    posted_date,
    entered_at,
    source_system,
    source_record_id,
    source_position
from {{ ref('int_linked_charges') }}
where status = 'posted' and counted_line_id is null
union all
select
    tenant_id,
    'claim_line/' || claim_id || '/' || line_number,
    'claim_line',
    null,
    claim_id,
    encounter_id,
    {{ nulls(4) }},
    line_control_number,
    procedure_code,
    modifiers,
    revenue_code,
    place_of_service,
    units,
    false,
    billed_amount,
    service_date,
    has_own_date,
    {{ nulls(2) }},
    source_system,
    source_record_id,
    source_position
from claim_lines
where {{ is_not_told('claim_lines', "'claim_line/' || claim_id || '/' || line_number") }}
union all
select
    tenant_id,
    'claim/' || claim_id,
    'claim_balance',
    null,
    claim_id,
    {{ nulls(11) }},
    false,
    billed_amount,
    null,
    false,
    {{ nulls(2) }},
    source_system,
    source_record_id,
    source_position
from claim_gaps
where {{ is_not_told('claim_gaps', "'claim/' || claim_id") }}
order by 1, 5, 2
