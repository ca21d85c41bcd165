-- A claim is known where it was submitted or where charges carry its number. The charge that bills most speaks for
-- them.
with charged as (
    select
        charges.*,
        row_number() over (
            partition by tenant_id, claim_id order by billed_amount desc, charge_id
        ) as weight,
        min(service_date) over (partition by tenant_id, claim_id) as first_service_date,
        max(case when names_claim then 1 else 0 end) over (partition by tenant_id, claim_id) = 1 as is_named
    from {{ ref('int_linked_charges') }} as charges
    where claim_id is not null
),

known as (
    select
        coalesce(claims.tenant_id, charged.tenant_id) as tenant_id,
        coalesce(claims.claim_id, charged.claim_id) as claim_id,
        claims.claim_id is not null as is_submitted,
        coalesce(charged.is_named, false) as has_charges,
        coalesce(claims.encounter_id, charged.encounter_id) as encounter_id,
        coalesce(claims.patient_id, charged.patient_id) as patient_id,
        coalesce(claims.service_unit_id, charged.service_unit_id) as service_unit_id,
        coalesce(claims.provider_id, charged.provider_id) as provider_id,
        coalesce(claims.payer_id, charged.payer_id) as payer_id,
        coalesce(claims.service_from_date, charged.first_service_date) as service_from_date,
        claims.first_submitted_at
    from {{ ref('int_claims') }} as claims
    full outer join (select * from charged where weight = 1) as charged
        on claims.tenant_id = charged.tenant_id
        and claims.claim_id = charged.claim_id
)

select
    known.tenant_id,
    known.claim_id,
    known.is_submitted,
    known.has_charges,
    known.encounter_id,
    coalesce(known.patient_id, encounters.patient_id) as patient_id,
    coalesce(known.service_unit_id, encounters.service_unit_id, 'unknown') as service_unit_id,
    coalesce(known.provider_id, encounters.provider_id, 'unknown') as provider_id,
    coalesce(known.payer_id, encounters.payer_id, 'unknown') as payer_id,
    coalesce(encounters.visit_type_id, 'unknown') as visit_type_id,
    coalesce(encounters.encounter_class, 'UNK') as encounter_class,
    coalesce(
        known.service_from_date,
        encounters.encounter_date,
        {{ local_date('known.first_submitted_at', 'units.time_zone') }}
    ) as claim_date,
    {{ local_date('known.first_submitted_at', 'units.time_zone') }} as first_submitted_date,
    units.time_zone
from known
left join {{ ref('int_encounters') }} as encounters
    on known.tenant_id = encounters.tenant_id
    and known.encounter_id = encounters.encounter_id
inner join {{ ref('int_service_units') }} as units
    on known.tenant_id = units.tenant_id
    and coalesce(known.service_unit_id, encounters.service_unit_id, 'unknown') = units.service_unit_id
order by known.tenant_id, known.claim_id
