-- Money that names only a claim is spread over the lines of the claim, in proportion to what all other movements leave
-- open on them, to the cent. Movements are taken in order of their days, and each moves what the claim's lines hold from one
-- level to the next: a reversal takes back from each line exactly what it got, and no line ends with a credit while
-- the claim has none.
with events as (
    select
        *,
        payer_paid_amount + patient_paid_amount + contractual_amount + written_off_amount as movement,
        sum(payer_paid_amount + patient_paid_amount + contractual_amount + written_off_amount) over (
            partition by tenant_id, claim_id
            order by event_date, coalesce(payer_sequence, 0), event_id
            rows unbounded preceding
        ) as level_after,
        sum(case when is_reversal then 0 else greatest(- payer_paid_amount, 0) end) over (
            partition by tenant_id, claim_id
            order by event_date, coalesce(payer_sequence, 0), event_id
            rows unbounded preceding
        ) as corrected_after
    from {{ ref('int_posted_events') }}
    where match_method = 'claim' and charge_line_id = 'claim/' || claim_id
),

-- What a payer leaves to the patient goes where its lines do not state it.
crossed as (
    select
        events.*,
        lines.charge_line_id as line_id,
        lines.place,
        lines.is_last,
        {%- for name in ['open', 'over', 'posted', 'billed'] %}
        lines.{{ name }}_running,
        lines.{{ name }}_total,
        {%- endfor %}
        events.level_after - events.movement as level_before,
        events.corrected_after - case when events.is_reversal then 0 else greatest(- events.payer_paid_amount, 0) end
            as corrected_before,
        greatest(
            lines.open_amount + lines.patient_paid_amount
                - case events.payer_sequence when 1 then share_1 when 2 then share_2 when 3 then share_3 else 0 end,
            0
        ) as share_part
    from events
    inner join {{ ref('int_claim_capacities') }} as lines
        on events.tenant_id = lines.tenant_id
        and events.claim_id = lines.claim_id
),

moved as (
    select
        *,
        {{ held_by_lines('level_after', 'corrected_after') }}
            - {{ held_by_lines('level_before', 'corrected_before') }} as moved_running,
        sum(share_part) over (partition by tenant_id, event_id order by place rows unbounded preceding) as share_running,
        sum(share_part) over (partition by tenant_id, event_id) as share_total
    from crossed
),

running as (
    select
        *,
        {{ share_of_movement('payer_paid_amount') }} as paid_running,
        {{ share_of_movement('allowed_amount') }} as allowed_running,
        case
            when is_last then patient_share_amount
            when share_total = 0 then sign(patient_share_amount)
                * {{ portion('abs(patient_share_amount)', 'billed_running', 'billed_total') }}
            else sign(patient_share_amount) * {{ portion('abs(patient_share_amount)', 'share_running', 'share_total') }}
        end as patient_share_running
    from moved
),

shares as (
    select
        *,
        {%- for name in ['moved', 'paid', 'allowed', 'patient_share'] %}
        {{ name }}_running - coalesce(lag({{ name }}_running) over line, 0) as {{ name }}_part{{ ',' if not loop.last }}
        {%- endfor %}
    from running
    window line as (partition by tenant_id, event_id order by place)
)

select
    tenant_id,
    event_id,
    line_id as charge_line_id,
    claim_id,
    event_date,
    match_method,
    payer_sequence,
    is_reversal,
    paid_part as payer_paid_amount,
    case when patient_paid_amount <> 0 then moved_part else 0 end as patient_paid_amount,
    case when patient_paid_amount <> 0 or written_off_amount <> 0 then 0 else moved_part - paid_part end
        as contractual_amount,
    case when written_off_amount <> 0 then moved_part else 0 end as written_off_amount,
    patient_share_part as patient_share_amount,
    allowed_part as allowed_amount,
    paid_date,
    is_point_of_service,
    adjustment_type
from shares
-- That a later payer decided counts on every line: what it leaves to the patient replaces what was left before.
where payer_sequence > 1 or moved_part <> 0 or paid_part <> 0 or patient_share_part <> 0 or allowed_part <> 0
order by tenant_id, charge_line_id
