-- Shares by ward and day are cut out of a stay; none of it may be lost or counted twice. Stays too long to be true have none.
with shares as (
    select
        tenant_id,
        encounter_id,
        sum(bed_days) as bed_days
    from {{ ref('fct_bed_days') }}
    group by tenant_id, encounter_id
)

select
    encounter.tenant_id,
    encounter.encounter_id,
    encounter.length_of_stay_days,
    share.bed_days
from {{ ref('fct_encounters') }} as encounter
left join shares as share
    on encounter.tenant_id = share.tenant_id
    and encounter.encounter_id = share.encounter_id
where encounter.is_discharge
    and encounter.length_of_stay_days <= {{ var('longest_stay_days') }}
    and (share.bed_days is null or share.bed_days <> encounter.length_of_stay_days)
