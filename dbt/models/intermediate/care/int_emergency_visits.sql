{# Of a visit through several classes only the emergency part is an emergency visit. #}
with visits as (
    select * from {{ ref('int_encounters') }}
    where status not in ('planned', 'cancelled', 'entered_in_error')
),

parts as (
    select
        visit.tenant_id,
        visit.encounter_id,
        visit.started_at,
        visit.ended_at,
        visit.is_start_exact and visit.is_end_exact as is_exact
    from visits as visit
    left join (select distinct tenant_id, encounter_id from {{ ref('int_encounter_classes') }}) as several
        on visit.tenant_id = several.tenant_id
        and visit.encounter_id = several.encounter_id
    where visit.encounter_class = 'EMER'
        and several.encounter_id is null
    union all
    -- The least of what is known: a class that goes on ends with the visit.
    select
        visit.tenant_id,
        visit.encounter_id,
        class.started_at,
        least(class.ended_at, visit.ended_at),
        (class.class_number > 1 or visit.is_start_exact) and (class.ended_at is not null or visit.is_end_exact)
    from visits as visit
    inner join {{ ref('int_encounter_classes') }} as class
        on visit.tenant_id = class.tenant_id
        and visit.encounter_id = class.encounter_id
    where class.class_group = 'emergency'
)

select
    tenant_id,
    encounter_id,
    min(started_at) as started_at,
    case when count(ended_at) = count(*) then max(ended_at) end as ended_at,
    cast(
        case
            when count(ended_at) = count(*)
                then sum(case when ended_at >= started_at and is_exact then {{ minutes_between('started_at', 'ended_at') }} end)
        end as decimal(18, 8)
    ) as emergency_minutes
from parts
group by tenant_id, encounter_id
