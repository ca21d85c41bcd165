-- What every feed bills, of tenants in which more than one does: posted charges, and the lines of claims that no charge names.
-- A claim that bills more than its lines has one line for the rest.
with submitted as (
    select
        claims.*,
        coalesce(ranking.precedence, 999) as precedence
    from {{ ref('int_claims') }} as claims
    left join (
        select tenant_id, claim_id from {{ ref('int_charges') }} where claim_id is not null group by tenant_id, claim_id
    ) as charged
        on claims.tenant_id = charged.tenant_id
        and claims.claim_id = charged.claim_id
    left join (select * from {{ ref('stg_system_of_record') }} where entity = 'claim') as ranking
        on claims.tenant_id = ranking.tenant_id
        and claims.source_system = ranking.source_system
    where charged.claim_id is null and not claims.is_void
),

several as (
    select tenant_id
    from (
        select tenant_id, source_system, 'charge' as kind from {{ ref('int_charges') }} where status = 'posted'
        union
        select tenant_id, source_system, 'claim' from submitted
    ) as feeds
    group by tenant_id
    having count(*) > 1
),

-- A credit and the charge that it takes back bill nothing together: they stay as they are.
taken_back as (
    select credits.tenant_id, credits.charge_id, credits.reversal_of_charge_id
    from {{ ref('int_charges') }} as credits
    inner join several
        on credits.tenant_id = several.tenant_id
    inner join {{ ref('int_charges') }} as charges
        on credits.tenant_id = charges.tenant_id
        and credits.reversal_of_charge_id = charges.charge_id
        and credits.billed_amount = - charges.billed_amount
    where credits.status = 'posted' and charges.status = 'posted'
),

charges as (
    select charges.*, coalesce(ranking.precedence, 999) as precedence
    from {{ ref('int_charges') }} as charges
    inner join several
        on charges.tenant_id = several.tenant_id
    left join (
        select tenant_id, charge_id from taken_back
        union
        select tenant_id, reversal_of_charge_id from taken_back
    ) as settled
        on charges.tenant_id = settled.tenant_id
        and charges.charge_id = settled.charge_id
    left join (select * from {{ ref('stg_system_of_record') }} where entity = 'charge') as ranking
        on charges.tenant_id = ranking.tenant_id
        and charges.source_system = ranking.source_system
    where charges.status = 'posted' and settled.charge_id is null
),

claim_lines as (
    select
        submitted.tenant_id,
        submitted.claim_id,
        lines.line_number,
        lines.line_control_number,
        lines.charge_id,
        coalesce({{ current_id('lines', 'encounter') }}, submitted.encounter_id) as encounter_id,
        coalesce(lines.procedure_code, lines.revenue_code) as billed_code,
        coalesce(lines.modifiers, '') as modifiers,
        lines.billed_amount,
        lines.service_date,
        lines.source_position
    from submitted
    inner join several
        on submitted.tenant_id = several.tenant_id
    inner join {{ ref('stg_claim_lines') }} as lines
        on submitted.tenant_id = lines.tenant_id
        and submitted.current_submission_id = lines.claim_submission_id
        and submitted.source_system = lines.source_system
    {{ crosswalk_joins('lines', ['encounter'], visits=ref('int_billed_encounters')) | indent(4) }}
),

lines as (
    select tenant_id, claim_id, 'claim_line/' || claim_id || '/' || line_number as line_id, line_control_number, charge_id,
        encounter_id, billed_code, modifiers, billed_amount, service_date, source_position
    from claim_lines
    union all
    select submitted.tenant_id, submitted.claim_id, 'claim/' || submitted.claim_id, null, null, min(submitted.encounter_id),
        null, '', min(submitted.billed_amount) - coalesce(sum(claim_lines.billed_amount), 0), null, min(submitted.source_position)
    from submitted
    inner join several
        on submitted.tenant_id = several.tenant_id
    left join claim_lines
        on submitted.tenant_id = claim_lines.tenant_id
        and submitted.claim_id = claim_lines.claim_id
    group by submitted.tenant_id, submitted.claim_id
    having min(submitted.billed_amount) <> coalesce(sum(claim_lines.billed_amount), 0)
)

select
    tenant_id,
    'charge/' || charge_id as line_id,
    'charge' as kind,
    source_system,
    precedence,
    charge_id,
    line_control_number,
    claim_id,
    claim_id as claim_number,
    encounter_id,
    patient_id,
    coalesce(procedure_code, revenue_code) as billed_code,
    coalesce(modifiers, '') as modifiers,
    billed_amount,
    service_date,
    true as has_own_date,
    service_date as claim_from_date,
    service_date as claim_to_date,
    source_position
from charges
union all
select
    lines.tenant_id,
    lines.line_id,
    'claim',
    submitted.source_system,
    submitted.precedence,
    lines.charge_id,
    lines.line_control_number,
    lines.claim_id,
    submitted.claim_id,
    lines.encounter_id,
    submitted.patient_id,
    lines.billed_code,
    lines.modifiers,
    lines.billed_amount,
    coalesce(lines.service_date, submitted.service_from_date),
    lines.service_date is not null,
    submitted.service_from_date,
    coalesce(submitted.service_to_date, submitted.service_from_date),
    lines.source_position
from lines
inner join submitted
    on lines.tenant_id = submitted.tenant_id
    and lines.claim_id = submitted.claim_id
order by 1, 2
