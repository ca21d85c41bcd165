{#- Upper limits of the lead-time bands, in days. -#}
{%- set bands = [(0, '0 same day'), (7, '1 to 7'), (14, '8 to 14'), (30, '15 to 30'), (60, '31 to 60')] -%}
with appointments as (
    select
        *,
        coalesce(payer_id, 'unknown') as known_payer_id
    from {{ ref('int_appointments') }}
),

-- The last one sent before the start that is not known to have failed is the one that could remind.
reminders as (
    select
        reminder.tenant_id,
        reminder.appointment_id,
        count(*) as reminders,
        max(case when reminder.outcome = 'confirmed' then 1 else 0 end) as confirmations,
        max(
            case when coalesce(reminder.outcome, 'unknown') <> 'failed' then reminder.sent_at end
        ) as last_reminded_at,
        {{ first_known(
            "case when coalesce(reminder.outcome, 'unknown') <> 'failed' then reminder.channel end",
            'reminder.latest_first'
        ) }} as channel
    from (
        select
            reminder.*,
            row_number() over (
                partition by reminder.tenant_id, reminder.appointment_id
                order by reminder.sent_at desc, reminder.reminder_id
            ) as latest_first
        from (
            {{ collapse(ref('stg_reminders'), 'reminder', 'reminder_id',
                ['appointment_id', 'channel', 'outcome', 'sent_at']) | indent(12) }}
        ) as reminder
        inner join {{ ref('int_appointments') }} as reminded
            on reminder.tenant_id = reminded.tenant_id
            and reminder.appointment_id = reminded.appointment_id
            and reminder.sent_at < reminded.scheduled_start_at
    ) as reminder
    group by reminder.tenant_id, reminder.appointment_id
),

-- What the patient had missed before, in order of the appointments.
histories as (
    select
        appointment.tenant_id,
        appointment.appointment_id,
        sum(case when outcome.outcome = 'no_show' then 1 else 0 end) over (
            partition by appointment.tenant_id, appointment.patient_id
            order by appointment.scheduled_start_at, appointment.appointment_id
            rows between unbounded preceding and 1 preceding
        ) as prior_no_shows
    from appointments as appointment
    inner join {{ ref('int_appointment_outcomes') }} as outcome
        on appointment.tenant_id = outcome.tenant_id
        and appointment.appointment_id = outcome.appointment_id
    where appointment.patient_id is not null
)

select
    appointment.tenant_id,
    appointment.appointment_id,
    appointment.patient_id,
    appointment.encounter_id,
    appointment.referral_id,
    appointment.rescheduled_from_appointment_id,
    {{ service_unit_key('appointment.service_unit_id', 'appointment.tenant_id', 'outcome.appointment_date') }}
        as service_unit_key,
    appointment.service_unit_id,
    {{ entity_key('appointment.provider_id', 'appointment.tenant_id') }} as provider_key,
    appointment.provider_id,
    {{ entity_key('appointment.known_payer_id', 'appointment.tenant_id') }} as payer_key,
    appointment.known_payer_id as payer_id,
    coalesce(payer.payer_class, 'unmapped') as payer_class,
    {{ demographics('person', 'outcome.appointment_date') }},
    {{ patient_kind('visit_type', 'past') }},
    {{ entity_key('appointment.visit_type_id', 'appointment.tenant_id') }} as visit_type_key,
    appointment.visit_type_id,
    appointment.status,
    outcome.outcome,
    outcome.cancel_initiator,
    outcome.cancel_reason_code,
    appointment.source_system,
    appointment.source_position,
    case
        when outcome.lead_time_days is null then 'unknown'
        when outcome.lead_time_days < 0 then 'booked afterwards'
        {%- for limit, name in bands %}
        when outcome.lead_time_days <= {{ limit }} then '{{ name }}'
        {%- endfor %}
        else '61 and more'
    end as lead_time_band,
    cast(appointment.feeds as integer) as feeds,
    {{ weekday('appointment.local_start_at') }} as weekday,
    {{ hour_of_day('appointment.local_start_at') }} as hour_of_day,
    outcome.lead_time_days,
    outcome.cancel_notice_hours,
    cast(coalesce(reminder.reminders, 0) as integer) as reminders,
    reminder.last_reminded_at is not null as is_reminded,
    coalesce(reminder.channel, 'none') as reminder_channel,
    case
        when reminder.last_reminded_at is null then 'none'
        when appointment.scheduled_start_at - reminder.last_reminded_at < interval '24 hours' then '0 within 24 hours'
        when appointment.scheduled_start_at - reminder.last_reminded_at < interval '72 hours' then '1 to 3 days'
        else '3 days and more'
    end as reminder_notice_band,
    case
        when appointment.patient_id is null then 'unknown'
        when coalesce(history.prior_no_shows, 0) = 0 then '0 none'
        when history.prior_no_shows = 1 then '1'
        else '2 and more'
    end as prior_no_show_band,
    case
        when not outcome.is_walk_in
            then {{ date_diff_days('appointment.requested_date', 'appointment.appointment_date') }}
    end as requested_lead_time_days,
    case
        when appointment.status = 'waitlisted'
            then {{ date_diff_days(
                'coalesce(outcome.booked_date, appointment.requested_date)', 'tenant.data_as_of_date'
            ) }}
    end as waitlist_days,
    {{ minutes_between('appointment.scheduled_start_at', 'appointment.scheduled_end_at') }} as scheduled_minutes,
    visit_type.is_new_patient,
    visit_type.is_procedure,
    outcome.is_walk_in,
    coalesce(appointment.is_telehealth, false) as is_telehealth,
    coalesce(reminder.confirmations, 0) > 0 as is_confirmed,
    outcome.outcome not in ('entered_in_error', 'requested', 'held') as is_appointment,
    outcome.is_expected,
    outcome.is_scheduled,
    outcome.outcome = 'completed' as is_completed,
    -- Time that was booked ahead and kept, or given up too late to be given to somebody else.
    outcome.is_expected
    or (
        outcome.is_scheduled
        and outcome.outcome = 'cancelled'
        and outcome.cancel_initiator = 'patient'
        and coalesce(outcome.cancel_notice_hours < 24, false)
    ) as is_booked_time,
    outcome.outcome = 'upcoming'
    and coalesce(appointment.requested_date < appointment.appointment_date, false) as is_deferred,
    outcome.outcome = 'no_show' and not outcome.is_walk_in as is_no_show,
    outcome.is_scheduled and outcome.outcome = 'cancelled' as is_cancelled,
    outcome.is_scheduled
    and outcome.outcome = 'cancelled'
    and outcome.cancel_initiator = 'patient' as is_cancelled_by_patient,
    outcome.is_scheduled
    and outcome.outcome = 'cancelled'
    and outcome.cancel_initiator = 'clinic' as is_bumped,
    appointment.requested_date,
    outcome.booked_date,
    outcome.appointment_date,
    appointment.local_start_at,
    outcome.booked_at,
    appointment.scheduled_start_at,
    appointment.scheduled_end_at,
    outcome.ended_at
from appointments as appointment
inner join {{ ref('int_appointment_outcomes') }} as outcome
    on appointment.tenant_id = outcome.tenant_id
    and appointment.appointment_id = outcome.appointment_id
inner join {{ ref('int_visit_types') }} as visit_type
    on appointment.tenant_id = visit_type.tenant_id
    and appointment.visit_type_id = visit_type.visit_type_id
inner join {{ ref('stg_tenants') }} as tenant on appointment.tenant_id = tenant.tenant_id
left join reminders as reminder
    on appointment.tenant_id = reminder.tenant_id
    and appointment.appointment_id = reminder.appointment_id
left join histories as history
    on appointment.tenant_id = history.tenant_id
    and appointment.appointment_id = history.appointment_id
left join {{ ref('int_payer_classes') }} as payer
    on appointment.tenant_id = payer.tenant_id
    and appointment.payer_id = payer.payer_id
    and outcome.appointment_date between payer.valid_from and payer.valid_to
left join {{ ref('int_patients') }} as person
    on appointment.tenant_id = person.tenant_id
    and appointment.patient_id = person.patient_id
left join {{ ref('int_visit_history') }} as past
    on appointment.tenant_id = past.tenant_id
    and appointment.patient_id = past.patient_id
    and outcome.appointment_date = past.day
order by appointment.tenant_id, outcome.appointment_date
