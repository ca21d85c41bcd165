-- A line's balance changes only in months with a movement: each state holds until the month before the next one. What
-- is dated after the last snapshot is known already and counts in it, so that the last snapshot is the balance of the
-- lines.
with movements as (
    select
        tenant_id,
        charge_line_id,
        {{ month_number('posted_date') }} as month_number,
        billed_amount as balance_change,
        0 as patient_paid_amount,
        0 as primary_share_amount,
        0 as later_share_amount,
        0 as later_events
    from {{ ref('int_charge_lines') }}
    where billed_amount <> 0
    union all
    select
        tenant_id,
        charge_line_id,
        {{ month_number('event_date') }},
        - payer_paid_amount - patient_paid_amount - contractual_amount - written_off_amount,
        patient_paid_amount,
        case when payer_sequence = 1 then patient_share_amount else 0 end,
        case when payer_sequence > 1 then patient_share_amount else 0 end,
        case when payer_sequence > 1 then 1 else 0 end
    from {{ ref('int_line_events') }}
),

last_months as (
    select tenant_id, max(month_number) as last_month
    from {{ ref('int_receivable_snapshots') }}
    group by tenant_id
),

monthly as (
    select
        movements.tenant_id,
        movements.charge_line_id,
        least(movements.month_number, last_months.last_month) as month_number,
        sum(balance_change) as balance_change,
        sum(patient_paid_amount) as patient_paid_amount,
        sum(primary_share_amount) as primary_share_amount,
        sum(later_share_amount) as later_share_amount,
        sum(later_events) as later_events
    from movements
    inner join last_months
        on movements.tenant_id = last_months.tenant_id
    group by 1, 2, 3
),

running as (
    select
        tenant_id,
        charge_line_id,
        month_number,
        lead(month_number) over line as next_month_number,
        sum(balance_change) over line as open_balance,
        sum(patient_paid_amount) over line as patient_paid_amount,
        -- What a later payer leaves to the patient replaces what the first one left.
        case
            when sum(later_events) over line > 0 then sum(later_share_amount) over line
            else sum(primary_share_amount) over line
        end as patient_share_amount
    from monthly
    window line as (partition by tenant_id, charge_line_id order by month_number)
)

select
    tenant_id,
    charge_line_id,
    month_number,
    next_month_number - 1 as until_month_number,
    open_balance,
    greatest(patient_share_amount - patient_paid_amount, 0) as patient_due_amount
from running
where open_balance <> 0
order by tenant_id, charge_line_id
