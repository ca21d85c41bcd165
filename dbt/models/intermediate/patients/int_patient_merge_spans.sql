{#
    The last word on a pair of records, merge or un-merge, decides whether the pair stands: the last by the time it took
    effect, so that it does not matter when we heard of it. A merge the other way round replaces it; of a merge and an
    un-merge at one moment the un-merge stands. Of a record that was merged into two, the newer merge counts.
#}
{%- set forever = "cast('9999-12-31' as timestamp)" -%}
with events as (
    select
        merges.tenant_id,
        coalesce(ended.record_patient_id, merges.from_patient_id) as from_id,
        coalesce(kept.record_patient_id, merges.to_patient_id) as to_id,
        merges.merge_type,
        merges.merged_at,
        merges.source_system || '/' || merges.patient_merge_id as event_id
    from {{ ref('stg_patient_merges') }} as merges
    left join {{ ref('int_patient_aliases') }} as ended
        on merges.tenant_id = ended.tenant_id
        and merges.from_patient_id = ended.patient_id
    left join {{ ref('int_patient_aliases') }} as kept
        on merges.tenant_id = kept.tenant_id
        and merges.to_patient_id = kept.patient_id
    where merges.merge_type <> 'alias'
),

words as (
    select
        *,
        lead(merged_at) over (
            partition by tenant_id, least(from_id, to_id), greatest(from_id, to_id)
            order by merged_at, merge_type, from_id, event_id
        ) as next_word_at
    from events
    where from_id <> to_id
),

standing as (
    select tenant_id, from_id, to_id, merged_at, coalesce(next_word_at, {{ forever }}) as ended_at
    from words
    where merge_type = 'merge' and merged_at < coalesce(next_word_at, {{ forever }})
),

points as (
    select tenant_id, from_id, merged_at as point_at from standing
    union
    select tenant_id, from_id, ended_at from standing
),

spans as (
    select
        tenant_id,
        from_id,
        point_at as valid_from,
        lead(point_at) over (partition by tenant_id, from_id order by point_at) as valid_to
    from points
),

choices as (
    select
        spans.tenant_id,
        spans.from_id,
        spans.valid_from,
        spans.valid_to,
        standing.to_id,
        standing.merged_at,
        row_number() over (
            partition by spans.tenant_id, spans.from_id, spans.valid_from
            order by standing.merged_at desc, standing.to_id
        ) as choice
    from spans
    inner join standing
        on spans.tenant_id = standing.tenant_id
        and spans.from_id = standing.from_id
        and spans.valid_from >= standing.merged_at
        and spans.valid_to <= standing.ended_at
)

select
    tenant_id,
    from_id as patient_id,
    to_id as into_patient_id,
    valid_from,
    valid_to,
    merged_at
from choices
where choice = 1
order by tenant_id, from_id, valid_from
