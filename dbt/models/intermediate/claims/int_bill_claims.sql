-- Replacements of replacements lead to the first bill, which gives the claim its number. The first claim of a number keeps
-- it as it is, later ones have their place behind it. What replaces itself in a circle is linked to nothing.
{%- set steps = 64 %}
with recursive walk as (
    select tenant_id, bill_id, parent_bill_id as reached_id, 1 as steps
    from {{ ref('int_claim_links') }}
    union all
    select walk.tenant_id, walk.bill_id, onward.parent_bill_id, walk.steps + 1
    from walk
    inner join {{ ref('int_claim_links') }} as onward
        on walk.tenant_id = onward.tenant_id
        and walk.reached_id = onward.bill_id
    where walk.steps < {{ steps }}
),

reached as (
    select
        tenant_id,
        bill_id,
        reached_id,
        steps,
        row_number() over (partition by tenant_id, bill_id order by steps desc) as place
    from walk
),

firsts as (
    select
        bills.*,
        coalesce(reached.reached_id, bills.bill_id) as first_bill_id,
        coalesce(reached.steps, 0) as chain_place
    from {{ ref('int_claim_bills') }} as bills
    left join (select * from reached where place = 1 and steps < {{ steps }}) as reached
        on bills.tenant_id = reached.tenant_id
        and bills.bill_id = reached.bill_id
),

numbered as (
    select
        tenant_id,
        bill_id,
        claim_number,
        row_number() over (
            partition by tenant_id, claim_number
            order by
                case when is_charge then 1 else 0 end,
                case when is_original then 0 else 1 end,
                first_submitted_at,
                first_day,
                bill_id
        ) as place
    from firsts
    where bill_id = first_bill_id and has_other_bills
)

select
    firsts.tenant_id,
    firsts.bill_id,
    firsts.claim_number,
    firsts.is_charge,
    firsts.patient_id,
    firsts.charge_day,
    firsts.has_other_bills,
    case when numbered.place > 1 then first_bills.claim_number || '#' || numbered.place else first_bills.claim_number end
        as claim_id,
    firsts.chain_place
from firsts
inner join {{ ref('int_claim_bills') }} as first_bills
    on firsts.tenant_id = first_bills.tenant_id
    and firsts.first_bill_id = first_bills.bill_id
left join numbered
    on firsts.tenant_id = numbered.tenant_id
    and firsts.first_bill_id = numbered.bill_id
