-- An un-merge is about one pair: the last word on the pair decides whether it still stands.
with recursive events as (
    select
        tenant_id,
        from_patient_id,
        to_patient_id,
        merge_type,
        merged_at,
        row_number() over (
            partition by tenant_id, from_patient_id, to_patient_id
            order by merged_at desc, merge_type desc, patient_merge_id desc
        ) as recency
    from {{ ref('stg_patient_merges') }}
    where from_patient_id <> to_patient_id
),

pairs as (
    select * from events where recency = 1 and merge_type <> 'unmerge'
),

-- A merge of B into A after one of A into B takes the older one back.
taken_back as (
    select pairs.tenant_id, pairs.from_patient_id, pairs.to_patient_id
    from pairs
    inner join pairs as opposite
        on pairs.tenant_id = opposite.tenant_id
        and pairs.from_patient_id = opposite.to_patient_id
        and pairs.to_patient_id = opposite.from_patient_id
    where opposite.merged_at > pairs.merged_at
        or (opposite.merged_at = pairs.merged_at and opposite.from_patient_id > pairs.from_patient_id)
),

standing as (
    select
        pairs.tenant_id,
        pairs.from_patient_id,
        pairs.to_patient_id,
        row_number() over (
            partition by pairs.tenant_id, pairs.from_patient_id
            order by pairs.merged_at desc, pairs.to_patient_id
        ) as choice
    from pairs
    left join taken_back
        on pairs.tenant_id = taken_back.tenant_id
        and pairs.from_patient_id = taken_back.from_patient_id
        and pairs.to_patient_id = taken_back.to_patient_id
    where taken_back.tenant_id is null
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
    where walk.steps < 32
),

-- The survivor has no way onward. In a circle of merges, which no source should send, all take its smallest token.
ranked as (
    select
        walk.tenant_id,
        walk.patient_id,
        walk.reached_patient_id,
        row_number() over (
            partition by walk.tenant_id, walk.patient_id
            order by
                case when onward.from_patient_id is null then 0 else 1 end,
                case when walk.steps > 16 then 0 else 1 end,
                walk.reached_patient_id
        ) as choice
    from walk
    left join edges as onward
        on walk.tenant_id = onward.tenant_id
        and walk.reached_patient_id = onward.from_patient_id
)

select
    tenant_id,
    patient_id,
    reached_patient_id as current_patient_id
from ranked
where choice = 1
order by tenant_id, patient_id
