{#
    Two feeds may know one person by two identifiers (a FHIR id and a medical record number). An alias has no time: it
    says what an identifier always meant. An un-merge of the very pair takes it back. The newest alias of an identifier
    counts, a chain is followed to its end, in a circle all take its smallest token.
#}
{%- set steps = 16 -%}
with recursive words as (
    select
        tenant_id,
        from_patient_id,
        to_patient_id,
        merge_type,
        merged_at,
        source_updated_at,
        row_number() over (
            partition by
                tenant_id, least(from_patient_id, to_patient_id), greatest(from_patient_id, to_patient_id)
            order by merged_at desc, merge_type desc, source_updated_at desc, from_patient_id desc, source_system
        ) as recency
    from {{ ref('stg_patient_merges') }}
    where merge_type in ('alias', 'unmerge')
        and from_patient_id <> to_patient_id
),

standing as (
    select
        tenant_id,
        from_patient_id,
        to_patient_id,
        row_number() over (
            partition by tenant_id, from_patient_id
            order by merged_at desc, source_updated_at desc, to_patient_id
        ) as choice
    from words
    where recency = 1 and merge_type = 'alias'
),

edges as (
    select tenant_id, from_patient_id, to_patient_id from standing where choice = 1
),

walk as (
    select tenant_id, from_patient_id as patient_id, to_patient_id as reached_patient_id, 1 as steps
    from edges
    union all
    select walk.tenant_id, walk.patient_id, edges.to_patient_id, walk.steps + 1
    from walk
    inner join edges
        on walk.tenant_id = edges.tenant_id
        and walk.reached_patient_id = edges.from_patient_id
    where walk.steps < {{ steps }}
),

resolved as (
    select
        tenant_id,
        patient_id,
        case
            when max(steps) < {{ steps }} then {{ first_known('reached_patient_id', '- steps') }}
            else min(case when steps > {{ steps // 2 }} then reached_patient_id end)
        end as record_patient_id
    from walk
    group by tenant_id, patient_id
)

select tenant_id, patient_id, record_patient_id
from resolved
where patient_id <> record_patient_id
order by tenant_id, patient_id
