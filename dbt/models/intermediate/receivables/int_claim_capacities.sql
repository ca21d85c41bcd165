-- How much money on the claim each line of the claim can hold, from what all other movements leave on it: what is open, what it
-- holds above its charge, what else was posted on it, and what it bills. The line that bills most comes last.
with moved as (
    select
        tenant_id,
        charge_line_id,
        sum(payer_paid_amount + patient_paid_amount + contractual_amount + written_off_amount) as amount,
        sum(patient_paid_amount) as patient_paid_amount,
        {%- for sequence in [1, 2, 3] %}
        sum(case when payer_sequence = {{ sequence }} then patient_share_amount else 0 end) as share_{{ sequence }}
        {{- ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('int_posted_events') }}
    where match_method <> 'claim'
    group by tenant_id, charge_line_id
),

-- A charge that was reversed and its reversal are nothing together.
lines as (
    select
        billed.tenant_id,
        billed.claim_id,
        billed.charge_line_id,
        billed.billed_amount,
        billed.billed_amount - coalesce(moved.amount, 0) as open_amount,
        coalesce(moved.patient_paid_amount, 0) as patient_paid_amount
        {%- for sequence in [1, 2, 3] %},
        coalesce(moved.share_{{ sequence }}, 0) as share_{{ sequence }}
        {%- endfor %}
    from {{ ref('int_billed_lines') }} as billed
    inner join (
        select tenant_id, claim_id
        from {{ ref('int_posted_events') }}
        where match_method = 'claim'
        group by tenant_id, claim_id
    ) as claims
        on billed.tenant_id = claims.tenant_id
        and billed.claim_id = claims.claim_id
    left join (
        select tenant_id, reversal_of_charge_id
        from {{ ref('int_charges') }}
        where status = 'posted'
        group by tenant_id, reversal_of_charge_id
    ) as reversed_charges
        on billed.tenant_id = reversed_charges.tenant_id
        and billed.charge_id = reversed_charges.reversal_of_charge_id
    left join moved
        on billed.tenant_id = moved.tenant_id
        and billed.charge_line_id = moved.charge_line_id
    where not billed.is_reversal and reversed_charges.reversal_of_charge_id is null
),

capacities as (
    select
        *,
        greatest(open_amount, 0) as open_part,
        greatest(- open_amount, 0) as over_part,
        greatest(billed_amount - greatest(open_amount, 0), 0) as posted_part,
        greatest(billed_amount, 0) as billed_part
    from lines
),

placed as (
    select
        *,
        row_number() over (partition by tenant_id, claim_id order by billed_amount, charge_line_id) as place,
        count(*) over (partition by tenant_id, claim_id) as places
    from capacities
)

select
    tenant_id,
    claim_id,
    charge_line_id,
    place,
    place = places as is_last,
    open_amount,
    patient_paid_amount
    {%- for sequence in [1, 2, 3] %},
    share_{{ sequence }}
    {%- endfor %}
    {%- for name in ['open', 'over', 'posted', 'billed'] %},
    sum({{ name }}_part) over (partition by tenant_id, claim_id order by place rows unbounded preceding)
        as {{ name }}_running,
    sum({{ name }}_part) over (partition by tenant_id, claim_id) as {{ name }}_total
    {%- endfor %}
from placed
order by tenant_id, claim_id
