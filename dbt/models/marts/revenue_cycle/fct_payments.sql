-- Money as it came in, by the day it was paid or posted; fct_charge_lines has the same money by the day of service.
select
    {{ entity_key(['events.event_id', 'events.charge_line_id'], 'events.tenant_id') }} as payment_key,
    lines.tenant_id,
    events.event_id as payment_id,
    lines.charge_line_id,
    events.event_date as payment_date,
    case when events.payer_sequence is null then 'patient' else 'payer' end as paid_by,
    events.is_point_of_service,
    case when events.payer_sequence is null
        then {{ date_diff_days('lines.service_date', 'coalesce(events.paid_date, events.event_date)') }} end
        as days_after_service,
    case when events.payer_sequence is null
        then {{ date_diff_days('events.paid_date', 'events.event_date') }} end as posting_lag_days,
    events.match_method,
    lines.claim_id,
    lines.patient_id,
    {{ line_dimensions('lines') }},
    lines.service_date,
    {{ money('events.payer_paid_amount') }} as payer_paid_amount,
    {{ money('events.patient_paid_amount') }} as patient_paid_amount,
    {{ money('events.payer_paid_amount + events.patient_paid_amount') }} as payment_amount
from {{ ref('int_line_events') }} as events
inner join {{ ref('int_charge_lines') }} as lines
    on events.tenant_id = lines.tenant_id
    and events.charge_line_id = lines.charge_line_id
where events.payer_paid_amount <> 0 or events.patient_paid_amount <> 0
order by lines.tenant_id, events.event_date
