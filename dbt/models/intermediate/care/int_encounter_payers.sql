-- Some feeds name no payer on the visit: its charges do, else its claims, else the coverage that came first on that day.
with unpaid as (
    select
        encounters.tenant_id,
        {{ current_id('encounters', 'encounter') }} as encounter_id,
        min({{ current_id('encounters', 'patient') }}) as patient_id,
        min({{ local_date('encounters.started_at', 'units.time_zone') }}) as encounter_date
    from {{ ref('stg_encounters') }} as encounters
    inner join {{ ref('int_service_units') }} as units
        on encounters.tenant_id = units.tenant_id
        and coalesce(encounters.service_unit_id, 'unknown') = units.service_unit_id
    {{ crosswalk_joins('encounters', ['patient', 'encounter']) | indent(4) }}
    group by encounters.tenant_id, {{ current_id('encounters', 'encounter') }}
    having count(encounters.payer_id) = 0
),

coverages as (
    select
        coverages.tenant_id,
        {{ current_id('coverages', 'patient') }} as patient_id,
        {{ current_id('coverages', 'payer') }} as payer_id,
        coalesce(coverages.priority, 1) as priority,
        coalesce(coverages.effective_from, cast('0001-01-01' as date)) as effective_from,
        coalesce(coverages.effective_to, cast('9999-12-31' as date)) as effective_to
    from {{ ref('stg_coverages') }} as coverages
    {{ crosswalk_joins('coverages', ['patient', 'payer']) | indent(4) }}
    where coverages.payer_id is not null
),

candidates as (
    select tenant_id, encounter_id, payer_id, 1 as preference, - sum(billed_amount) as weight
    from {{ ref('int_charges') }}
    where encounter_id is not null and payer_id is not null and status = 'posted'
    group by tenant_id, encounter_id, payer_id
    union all
    select tenant_id, encounter_id, payer_id, 2, - sum(billed_amount)
    from {{ ref('int_claims') }}
    where encounter_id is not null and payer_id is not null
    group by tenant_id, encounter_id, payer_id
    union all
    select unpaid.tenant_id, unpaid.encounter_id, coverages.payer_id, 3, min(coverages.priority)
    from unpaid
    inner join coverages
        on unpaid.tenant_id = coverages.tenant_id
        and unpaid.patient_id = coverages.patient_id
    where unpaid.encounter_date between coverages.effective_from and coverages.effective_to
    group by unpaid.tenant_id, unpaid.encounter_id, coverages.payer_id
),

ranked as (
    select
        candidates.tenant_id,
        candidates.encounter_id,
        candidates.payer_id,
        row_number() over (
            partition by candidates.tenant_id, candidates.encounter_id
            order by candidates.preference, candidates.weight, candidates.payer_id
        ) as choice
    from candidates
    inner join unpaid
        on candidates.tenant_id = unpaid.tenant_id
        and candidates.encounter_id = unpaid.encounter_id
)

select tenant_id, encounter_id, payer_id
from ranked
where choice = 1
order by tenant_id, encounter_id
