-- CM-PLAUS-011: appointments booked after their day, from one in a hundred of the feed's appointments with a time of booking on.
-- Single ones are noticed as they land (order_not_plausible).
with appointments as (
    select
        appointment.tenant_id,
        appointment.source_system as feed,
        appointment.source_position,
        outcome.appointment_date,
        outcome.lead_time_days,
        count(*) over (partition by appointment.tenant_id, appointment.source_system) as all_rows,
        sum(case when outcome.lead_time_days < 0 then 1 else 0 end) over (
            partition by appointment.tenant_id, appointment.source_system
        ) as afterwards_rows
    from {{ ref('int_appointments') }} as appointment
    inner join {{ ref('int_appointment_outcomes') }} as outcome
        on appointment.tenant_id = outcome.tenant_id
        and appointment.appointment_id = outcome.appointment_id
    where outcome.lead_time_days is not null
)

select
    tenant_id,
    'CM-PLAUS-011' as code,
    feed,
    '' as other_feed,
    'appointment' as entity,
    source_position,
    appointment_date as found_day,
    1 as found_rows,
    cast(null as decimal(18, 4)) as found_amount
from appointments
where lead_time_days < 0 and {{ is_material('afterwards_rows', 'all_rows') }}
