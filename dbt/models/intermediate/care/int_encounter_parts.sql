{# Encounters that are parts of another one of the same patient (FHIR Encounter.partOf), at any depth, if both took place. #}
{%- set took_place = "status not in ('planned', 'cancelled', 'entered_in_error')" -%}
with recursive parts as (
    select
        encounters.tenant_id,
        encounters.encounter_id,
        min(encounters.part_of_encounter_id) as whole_encounter_id,
        min({{ current_id('encounters', 'patient') }}) as patient_id
    from {{ ref('stg_encounters') }} as encounters
    {{ crosswalk_joins('encounters', ['patient']) | indent(4) }}
    where encounters.part_of_encounter_id is not null
        and encounters.part_of_encounter_id <> encounters.encounter_id
        and encounters.{{ took_place }}
    group by encounters.tenant_id, encounters.encounter_id
),

wholes as (
    select
        encounters.tenant_id,
        encounters.encounter_id,
        min({{ current_id('encounters', 'patient') }}) as patient_id
    from {{ ref('stg_encounters') }} as encounters
    {{ crosswalk_joins('encounters', ['patient']) | indent(4) }}
    where encounters.{{ took_place }}
        and (encounters.tenant_id, encounters.encounter_id) in (select tenant_id, whole_encounter_id from parts)
    group by encounters.tenant_id, encounters.encounter_id
),

-- A newborn's stay that is a part of its mother's is a separate stay.
links as (
    select parts.tenant_id, parts.encounter_id, parts.whole_encounter_id
    from parts
    inner join wholes
        on parts.tenant_id = wholes.tenant_id
        and parts.whole_encounter_id = wholes.encounter_id
    where coalesce(parts.patient_id = wholes.patient_id, true)
),

-- Encounters that are parts of each other in a circle lead to no whole: they are not parts.
climbed as (
    select tenant_id, encounter_id, whole_encounter_id from links
    union
    select climbed.tenant_id, climbed.encounter_id, links.whole_encounter_id
    from climbed
    inner join links
        on climbed.tenant_id = links.tenant_id
        and climbed.whole_encounter_id = links.encounter_id
)

select
    climbed.tenant_id,
    climbed.encounter_id,
    max(case when links.encounter_id is null then climbed.whole_encounter_id end) as whole_encounter_id,
    cast(count(*) as integer) as depth
from climbed
left join links
    on climbed.tenant_id = links.tenant_id
    and climbed.whole_encounter_id = links.encounter_id
group by climbed.tenant_id, climbed.encounter_id
having max(case when links.encounter_id is null then climbed.whole_encounter_id end) is not null
