-- A line's balance changes only on days with a movement: each state holds until the day before the next one. What is
-- dated after the last snapshot is known already and counts in it, so that the last snapshot is the balance of the
-- lines.
with movements as (
    select
        tenant_id,
        charge_line_id,
        posted_date as movement_date,
        billed_amount as balance_change,
        0 as patient_paid_amount,
        {%- for sequence in [1, 2, 3] %}
        0 as share_{{ sequence }}_amount,
        0 as decisions_{{ sequence }},
        {%- endfor %}
        0 as share_events
    from {{ ref('int_charge_lines') }}
    where billed_amount <> 0
    union all
    select
        tenant_id,
        charge_line_id,
        event_date,
        - payer_paid_amount - patient_paid_amount - contractual_amount - written_off_amount,
        patient_paid_amount,
        {%- for sequence in [1, 2, 3] %}
        case when payer_sequence = {{ sequence }} then patient_share_amount else 0 end,
        case when payer_sequence = {{ sequence }} then case when is_reversal then -1 else 1 end else 0 end,
        {%- endfor %}
        case when patient_share_amount <> 0 then 1 else 0 end
    from {{ ref('int_line_events') }}
),

last_days as (
    select tenant_id, max(snapshot_date) as last_day
    from {{ ref('int_receivable_snapshots') }}
    group by tenant_id
),

daily as (
    select
        movements.tenant_id,
        movements.charge_line_id,
        least(movements.movement_date, last_days.last_day) as movement_date,
        sum(balance_change) as balance_change,
        sum(patient_paid_amount) as patient_paid_amount,
        {%- for sequence in [1, 2, 3] %}
        sum(share_{{ sequence }}_amount) as share_{{ sequence }}_amount,
        sum(decisions_{{ sequence }}) as decisions_{{ sequence }},
        {%- endfor %}
        sum(share_events) as share_events
    from movements
    inner join last_days
        on movements.tenant_id = last_days.tenant_id
    group by 1, 2, 3
),

running as (
    select
        tenant_id,
        charge_line_id,
        movement_date,
        lead(movement_date) over line as next_movement_date,
        sum(balance_change) over line as open_balance,
        sum(patient_paid_amount) over line as patient_paid_amount,
        -- What a later payer leaves to the patient replaces what those before it left, until its decision is taken back.
        case
            when sum(decisions_3) over line > 0 then sum(share_3_amount) over line
            when sum(decisions_2) over line > 0 then sum(share_2_amount) over line
            else sum(share_1_amount) over line
        end as patient_share_amount,
        min(case when share_events > 0 then movement_date end) over line as transferred_date
    from daily
    window line as (partition by tenant_id, charge_line_id order by movement_date)
)

select
    tenant_id,
    charge_line_id,
    movement_date as valid_from,
    next_movement_date as valid_before,
    transferred_date,
    open_balance,
    greatest(patient_share_amount - patient_paid_amount, 0) as patient_due_amount
from running
where open_balance <> 0
order by tenant_id, charge_line_id
