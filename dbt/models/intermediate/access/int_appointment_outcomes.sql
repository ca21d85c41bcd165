{# What the record leaves open about the booking and the ending is taken from the history of the status. -#}
with appointments as (
    select
        appointment.tenant_id,
        appointment.appointment_id,
        appointment.patient_id,
        appointment.status,
        appointment.appointment_date as start_date,
        appointment.scheduled_start_at,
        appointment.requested_date,
        {{ local_date('appointment.source_updated_at', 'appointment.time_zone') }} as updated_date,
        appointment.time_zone,
        tenant.data_as_of_date,
        coalesce(appointment.is_walk_in, false) as is_walk_in,
        coalesce(appointment.booked_at, change.first_scheduled_at) as booked_at,
        {{ local_date(
            'coalesce(appointment.booked_at, change.first_scheduled_at)', 'appointment.time_zone'
        ) }} as booked_date,
        coalesce(appointment.cancelled_at, change.ended_at) as ended_at,
        coalesce(appointment.cancel_initiator, change.ended_by, 'unknown') as ended_by,
        coalesce(appointment.cancel_reason_code, change.end_reason_code) as end_reason_code
    from {{ ref('int_appointments') }} as appointment
    inner join {{ ref('stg_tenants') }} as tenant on appointment.tenant_id = tenant.tenant_id
    left join {{ ref('int_appointment_changes') }} as change
        on appointment.tenant_id = change.tenant_id
        and appointment.appointment_id = change.appointment_id
),

-- On the day that the data reach to, an appointment may be yet to come: it is overdue from the next day on.
judged as (
    select
        *,
        case
            when status in ('proposed', 'waitlisted') then 'requested'
            when status <> 'scheduled' then status
            when patient_id is null then 'held'
            when start_date < data_as_of_date then 'no_outcome'
            else 'upcoming'
        end as outcome
    from appointments
)

select
    tenant_id,
    appointment_id,
    outcome,
    -- An appointment without a start belongs to no day of the schedule. It counts on the day it was cancelled, else the day
    -- that was asked for, else the day of booking, else the day of its last change.
    coalesce(
        start_date,
        case when outcome = 'cancelled' then {{ local_date('ended_at', 'time_zone') }} end,
        requested_date,
        booked_date,
        least(updated_date, data_as_of_date)
    ) as appointment_date,
    case when outcome in ('cancelled', 'rescheduled') then ended_by end as cancel_initiator,
    case when outcome in ('cancelled', 'rescheduled', 'no_show') then end_reason_code end as cancel_reason_code,
    case
        when not is_walk_in then {{ date_diff_days('booked_date', 'start_date') }}
    end as lead_time_days,
    case
        when outcome = 'cancelled'
            then cast({{ minutes_between('ended_at', 'scheduled_start_at') }} / 60 as decimal(18, 4))
    end as cancel_notice_hours,
    is_walk_in,
    -- Its time has come and it was neither moved nor called off before: someone was expected.
    outcome in ('completed', 'arrived', 'no_show', 'no_outcome') and not is_walk_in as is_expected,
    -- Expected, or called off: what the clinic had booked for days that have come.
    outcome in ('completed', 'arrived', 'no_show', 'no_outcome', 'cancelled')
    and not is_walk_in
    and coalesce(start_date <= data_as_of_date, false) as is_scheduled,
    booked_date,
    booked_at,
    case when outcome in ('cancelled', 'rescheduled', 'no_show') then ended_at end as ended_at
from judged
