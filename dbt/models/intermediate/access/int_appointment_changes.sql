with changes as (
    select * from {{ ref('stg_appointment_events') }}
),

-- The last ending counts: an appointment may be cancelled, restored and cancelled again.
endings as (
    select
        *,
        row_number() over (
            partition by tenant_id, appointment_id
            order by occurred_at desc, source_system, appointment_event_id
        ) as newest_first
    from changes
    where status in ('cancelled', 'rescheduled', 'no_show')
),

by_appointment as (
    select
        tenant_id,
        appointment_id,
        min(case when status = 'scheduled' then occurred_at end) as first_scheduled_at
    from changes
    group by tenant_id, appointment_id
)

select
    appointment.tenant_id,
    appointment.appointment_id,
    ending.initiator as ended_by,
    ending.reason_code as end_reason_code,
    appointment.first_scheduled_at,
    ending.occurred_at as ended_at
from by_appointment as appointment
left join endings as ending
    on appointment.tenant_id = ending.tenant_id
    and appointment.appointment_id = ending.appointment_id
    and ending.newest_first = 1
