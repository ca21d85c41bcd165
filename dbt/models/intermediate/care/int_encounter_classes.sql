{#
    The classes that a visit had, one after the other, where it had several: an emergency visit that became a stay. A feed tells
    them by changes of class (encounter_event) or by parts (int_encounter_parts): while a part of an emergency, observation or
    inpatient class lasts, the visit has the class of the part.
#}
{%- set groups = {
    'inpatient': "('IMP', 'ACUTE', 'NONAC')",
    'emergency': "('EMER')",
    'observation': "('OBSENC')",
} -%}
{%- set order = "partition by encounter.tenant_id, encounter.source_system, encounter.encounter_id
        order by change.occurred_at, case when change.encounter_class = 'UNK' then 0 else 1 end, change.encounter_class" -%}
with changes as (
    select tenant_id, source_system, encounter_id, encounter_class, occurred_at
    from {{ ref('stg_encounter_events') }}
    where event_type = 'class_change' and encounter_class is not null
),

told as (
    select
        tenant_id,
        source_system,
        encounter_id,
        min(encounter_class) as one_class,
        max(encounter_class) as other_class,
        min(occurred_at) as first_told_at
    from changes
    group by tenant_id, source_system, encounter_id
),

-- Nearly all visits have one class throughout and end here.
candidates as (
    select encounter.tenant_id, {{ current_id('encounter', 'encounter') }} as visit_id
    from {{ ref('stg_encounters') }} as encounter
    inner join told
        on encounter.tenant_id = told.tenant_id
        and encounter.source_system = told.source_system
        and encounter.encounter_id = told.encounter_id
    {{ crosswalk_joins('encounter', ['encounter']) | indent(4) }}
    where told.one_class <> told.other_class or told.one_class <> encounter.encounter_class
    union
    select part.tenant_id, {{ current_id('part', 'encounter') }}
    from {{ ref('int_encounter_parts') }} as part
    {{ crosswalk_joins('part', ['encounter']) | indent(4) }}
),

encounters as (
    select
        encounter.tenant_id,
        encounter.source_system,
        encounter.encounter_id,
        candidates.visit_id,
        coalesce(part.depth, 0) as depth,
        encounter.encounter_class,
        encounter.started_at,
        encounter.started_exact_at,
        encounter.ended_at
    from {{ ref('stg_encounters') }} as encounter
    {{ crosswalk_joins('encounter', ['encounter']) | indent(4) }}
    inner join candidates
        on encounter.tenant_id = candidates.tenant_id
        and {{ current_id('encounter', 'encounter') }} = candidates.visit_id
    left join {{ ref('int_encounter_parts') }} as part
        on encounter.tenant_id = part.tenant_id
        and encounter.encounter_id = part.encounter_id
    where encounter.status not in ('planned', 'cancelled', 'entered_in_error')
),

-- An unknown class counts only before all others. The last class is what the feed says of the encounter now.
numbered as (
    select
        encounter.*,
        change.encounter_class as changed_to,
        change.occurred_at,
        row_number() over ({{ order }}) as change_number,
        lead(change.occurred_at) over ({{ order }}) as next_at
    from encounters as encounter
    left join (
        select changes.*
        from changes
        inner join told
            on changes.tenant_id = told.tenant_id
            and changes.source_system = told.source_system
            and changes.encounter_id = told.encounter_id
        where changes.encounter_class <> 'UNK' or changes.occurred_at = told.first_told_at
    ) as change
        on encounter.tenant_id = change.tenant_id
        and encounter.source_system = change.source_system
        and encounter.encounter_id = change.encounter_id
),

spans as (
    select
        tenant_id,
        source_system,
        visit_id,
        encounter_id,
        depth,
        case when next_at is null and encounter_class <> 'UNK' then encounter_class else coalesce(changed_to, encounter_class) end
            as encounter_class,
        -- Of a start that is only a day the first change says the time.
        case
            when change_number > 1 then occurred_at
            when occurred_at is null then started_at
            else least(coalesce(started_exact_at, occurred_at), occurred_at)
        end as from_at,
        coalesce(next_at, case when depth > 0 then ended_at end) as to_at
    from numbered
),

-- A contact with a clinic during a stay does not end it.
classed as (
    select *
    from spans
    where depth = 0
        or encounter_class in {{ groups.inpatient }}
        or encounter_class in {{ groups.emergency }}
        or encounter_class in {{ groups.observation }}
),

-- Feeds tell the changes at slightly different times: all are taken from the best feed that knows several classes, else parts.
feeds as (
    select
        classed.tenant_id,
        classed.visit_id,
        classed.source_system,
        row_number() over (
            partition by classed.tenant_id, classed.visit_id
            order by
                case when count(distinct classed.encounter_class) > 1 then 0 else 1 end,
                coalesce(min(ranking.precedence), 999),
                classed.source_system
        ) as feed_rank
    from classed
    left join {{ ref('stg_system_of_record') }} as ranking
        on classed.tenant_id = ranking.tenant_id
        and classed.source_system = ranking.source_system
        and ranking.entity = 'encounter'
    group by classed.tenant_id, classed.visit_id, classed.source_system
    having count(distinct classed.encounter_class) > 1 or count(distinct classed.encounter_id) > 1
),

chosen as (
    select classed.*
    from classed
    inner join feeds
        on classed.tenant_id = feeds.tenant_id
        and classed.visit_id = feeds.visit_id
        and classed.source_system = feeds.source_system
    where feeds.feed_rank = 1
),

ends as (
    select encounters.tenant_id, encounters.visit_id, encounters.source_system, max(encounters.ended_at) as ended_at
    from encounters
    where encounters.depth = 0
    group by encounters.tenant_id, encounters.visit_id, encounters.source_system
),

boundaries as (
    select tenant_id, visit_id, source_system, from_at as boundary_at from chosen
    union
    select tenant_id, visit_id, source_system, to_at from chosen where to_at is not null
),

-- At every moment the innermost part that lasts says the class, of several the one that began last. Between a part and a whole
-- that begins later there may be no class.
states as (
    select
        boundary.tenant_id,
        boundary.visit_id,
        boundary.boundary_at,
        span.encounter_class,
        row_number() over (
            partition by boundary.tenant_id, boundary.visit_id, boundary.boundary_at
            order by span.depth desc, span.from_at desc, span.encounter_id
        ) as choice
    from boundaries as boundary
    inner join ends
        on boundary.tenant_id = ends.tenant_id
        and boundary.visit_id = ends.visit_id
        and boundary.source_system = ends.source_system
        and boundary.boundary_at < coalesce(ends.ended_at, boundary.boundary_at + interval '1 second')
    left join chosen as span
        on boundary.tenant_id = span.tenant_id
        and boundary.visit_id = span.visit_id
        and span.from_at <= boundary.boundary_at
        and boundary.boundary_at < coalesce(span.to_at, boundary.boundary_at + interval '1 second')
),

grouped as (
    select
        tenant_id,
        visit_id,
        boundary_at,
        encounter_class,
        case
            when encounter_class is null then 'none'
            {%- for group, classes in groups.items() %}
            when encounter_class in {{ classes }} then '{{ group }}'
            {%- endfor %}
            else 'other'
        end as class_group
    from states
    where choice = 1
),

compared as (
    select
        *,
        lag(class_group) over (partition by tenant_id, visit_id order by boundary_at) as group_before,
        row_number() over (partition by tenant_id, visit_id order by boundary_at) as state_number
    from grouped
),

numbered_runs as (
    select
        *,
        sum(case when group_before is null or group_before <> class_group then 1 else 0 end) over (
            partition by tenant_id, visit_id order by boundary_at
        ) as run_number
    from compared
),

runs as (
    select
        tenant_id,
        visit_id,
        run_number,
        class_group,
        {{ first_known('encounter_class', '- state_number') }} as encounter_class,
        min(boundary_at) as started_at,
        lead(min(boundary_at)) over (partition by tenant_id, visit_id order by run_number) as ended_at
    from numbered_runs
    group by tenant_id, visit_id, run_number, class_group
)

select
    tenant_id,
    visit_id as encounter_id,
    cast(row_number() over (partition by tenant_id, visit_id order by run_number) as integer) as class_number,
    encounter_class,
    class_group,
    started_at,
    ended_at
from runs
where class_group <> 'none'
