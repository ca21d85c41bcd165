{# Who comes to a department moves within the stay, and who leaves it does not leave the stay. #}
with named_visits as (
    {{ encounter_references(['bed_movements']) | indent(4) }}
),

movements as (
    select
        movement.tenant_id,
        movement.source_system,
        movement.bed_movement_id,
        movement.encounter_id,
        case when part.encounter_id is not null and movement.movement_type = 'admit' then 'transfer' else movement.movement_type end
            as movement_type,
        movement.service_unit_id,
        movement.from_service_unit_id,
        movement.bed,
        movement.occurred_at,
        movement.source_record_id
    from {{ ref('stg_bed_movements') }} as movement
    left join {{ ref('int_encounter_parts') }} as part
        on movement.tenant_id = part.tenant_id
        and movement.encounter_id = part.encounter_id
    where part.encounter_id is null or movement.movement_type <> 'discharge'
    union all
    -- A part without movements still says in which ward the patient was.
    select
        encounter.tenant_id,
        encounter.source_system,
        encounter.encounter_id || '/part',
        encounter.encounter_id,
        'transfer',
        encounter.service_unit_id,
        cast(null as varchar),
        cast(null as varchar),
        encounter.started_at,
        encounter.source_record_id
    from {{ ref('stg_encounters') }} as encounter
    inner join {{ ref('int_encounter_parts') }} as part
        on encounter.tenant_id = part.tenant_id
        and encounter.encounter_id = part.encounter_id
    left join {{ ref('stg_bed_movements') }} as movement
        on encounter.tenant_id = movement.tenant_id
        and encounter.source_system = movement.source_system
        and encounter.encounter_id = movement.encounter_id
    where movement.encounter_id is null
        and encounter.service_unit_id is not null
        and encounter.encounter_class in ('IMP', 'ACUTE', 'NONAC')
),

ranked as (
    select
        movement.tenant_id,
        movement.bed_movement_id,
        {{ current_id('movement', 'encounter') }} as encounter_id,
        movement.movement_type,
        movement.service_unit_id,
        movement.from_service_unit_id,
        movement.bed,
        movement.occurred_at,
        movement.source_system,
        movement.source_record_id,
        dense_rank() over (
            partition by movement.tenant_id, {{ current_id('movement', 'encounter') }}
            order by coalesce(ranking.precedence, 999), movement.source_system
        ) as feed_rank,
        case
            when movement_type in ('admit', 'cancel_admit') then 'admit'
            when movement_type in ('transfer', 'cancel_transfer') then 'transfer'
            else 'discharge'
        end as movement_kind,
        case when movement_type in ('admit', 'transfer', 'discharge') then 1 else -1 end as step,
        case movement_type when 'admit' then 1 when 'transfer' then 2 when 'discharge' then 3 else 4 end as step_order
    from movements as movement
    left join {{ ref('stg_system_of_record') }} as ranking
        on movement.tenant_id = ranking.tenant_id
        and movement.source_system = ranking.source_system
        and ranking.entity = 'bed_movement'
    {{ crosswalk_joins('movement', ['encounter'], visits='named_visits') | indent(4) }}
),

-- Feeds name the same movement differently, so a stay takes all its movements from its best feed.
of_best_feed as (
    select * from ranked where feed_rank = 1
),

-- A cancellation voids the last movement of its kind that still stands, like a closing bracket: `standing` counts the
-- open ones, and a movement is void once the count falls below what it was when the movement came.
counted as (
    select
        *,
        row_number() over (
            partition by tenant_id, encounter_id order by occurred_at, step_order, bed_movement_id
        ) as movement_number,
        sum(step) over (
            partition by tenant_id, encounter_id, movement_kind
            order by occurred_at, step_order, bed_movement_id
            rows between unbounded preceding and current row
        ) as standing
    from of_best_feed
),

judged as (
    select
        *,
        min(standing) over (
            partition by tenant_id, encounter_id, movement_kind
            order by movement_number
            rows between 1 following and unbounded following
        ) as least_standing_after
    from counted
)

select
    tenant_id,
    bed_movement_id,
    encounter_id,
    movement_type,
    movement_number,
    step > 0 and coalesce(least_standing_after, standing) >= standing as is_standing,
    service_unit_id,
    from_service_unit_id,
    bed,
    occurred_at,
    source_system,
    source_record_id
from judged
