{#
    Chains of merges are followed. A step of the walk keeps the time during which it holds, so that the steps of a record
    part its time without overlap; the last step is the survivor. In a circle of merges the record survives that the
    circle's newest merge names as survivor.
#}
{%- set steps = 32 -%}
{%- set beginning = "cast('0001-01-01' as timestamp)" -%}
{%- set forever = "cast('9999-12-31' as timestamp)" -%}
with recursive walk as (
    select tenant_id, patient_id, into_patient_id as reached_id, valid_from, valid_to, merged_at, 1 as steps
    from {{ ref('int_patient_merge_spans') }}
    union all
    select
        walk.tenant_id,
        walk.patient_id,
        onward.into_patient_id,
        greatest(walk.valid_from, onward.valid_from),
        least(walk.valid_to, onward.valid_to),
        onward.merged_at,
        walk.steps + 1
    from walk
    inner join {{ ref('int_patient_merge_spans') }} as onward
        on walk.tenant_id = onward.tenant_id
        and walk.reached_id = onward.patient_id
        and walk.valid_from < onward.valid_to
        and onward.valid_from < walk.valid_to
    where walk.steps < {{ steps }}
),

points as (
    select tenant_id, patient_id, valid_from as point_at from walk
    union
    select tenant_id, patient_id, valid_to from walk
    union
    select tenant_id, patient_id, {{ beginning }} from walk
    union
    select tenant_id, patient_id, {{ forever }} from walk
),

spans as (
    select
        tenant_id,
        patient_id,
        point_at as valid_from,
        lead(point_at) over (partition by tenant_id, patient_id order by point_at) as valid_to
    from points
),

reached as (
    select
        spans.*,
        walk.reached_id,
        walk.merged_at,
        walk.steps,
        max(walk.steps) over (partition by spans.tenant_id, spans.patient_id, spans.valid_from) as last_step
    from spans
    left join walk
        on spans.tenant_id = walk.tenant_id
        and spans.patient_id = walk.patient_id
        and spans.valid_from >= walk.valid_from
        and spans.valid_to <= walk.valid_to
    where spans.valid_to is not null
),

-- A walk that does not end is in a circle, which its later half has gone round.
survivors as (
    select
        *,
        row_number() over (
            partition by tenant_id, patient_id, valid_from
            order by
                case when last_step < {{ steps }} then - steps end,
                case when steps > {{ steps // 2 }} then 0 else 1 end,
                merged_at desc,
                reached_id
        ) as choice
    from reached
),

told as (
    select
        tenant_id,
        patient_id,
        coalesce(reached_id, patient_id) as current_patient_id,
        valid_from,
        lag(coalesce(reached_id, patient_id)) over (partition by tenant_id, patient_id order by valid_from) as before
    from survivors
    where choice = 1
),

records as (
    select
        tenant_id,
        patient_id,
        current_patient_id,
        valid_from,
        coalesce(lead(valid_from) over (partition by tenant_id, patient_id order by valid_from), {{ forever }}) as valid_to
    from told
    where before is null or before <> current_patient_id
)

select tenant_id, patient_id, current_patient_id, valid_from, valid_to
from records
union all
select
    aliases.tenant_id,
    aliases.patient_id,
    coalesce(records.current_patient_id, aliases.record_patient_id),
    coalesce(records.valid_from, {{ beginning }}),
    coalesce(records.valid_to, {{ forever }})
from {{ ref('int_patient_aliases') }} as aliases
left join records
    on aliases.tenant_id = records.tenant_id
    and aliases.record_patient_id = records.patient_id
