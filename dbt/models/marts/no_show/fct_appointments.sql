{#- Upper limits of the lead-time bands, in days. -#}
{%- set bands = [(0, '0 same day'), (7, '1 to 7'), (14, '8 to 14'), (30, '15 to 30'), (60, '31 to 60')] -%}
with appointments as (
    select
        *,
        coalesce(payer_id, 'unknown') as known_payer_id
    from {{ ref('int_appointments') }}
),

reminders as (
    select
        tenant_id,
        appointment_id,
        count(*) as reminders,
        max(case when outcome = 'confirmed' then 1 else 0 end) as confirmations
    from (
        {{ collapse(ref('stg_reminders'), 'reminder', 'reminder_id', ['appointment_id', 'outcome']) | indent(8) }}
    ) as reminder
    group by tenant_id, appointment_id
)

select
    appointment.tenant_id,
    appointment.appointment_id,
    appointment.patient_id,
    appointment.encounter_id,
    appointment.referral_id,
    appointment.rescheduled_from_appointment_id,
    {{ entity_key('appointment.service_unit_id', 'appointment.tenant_id') }} as service_unit_key,
    appointment.service_unit_id,
    {{ entity_key('appointment.provider_id', 'appointment.tenant_id') }} as provider_key,
    appointment.provider_id,
    {{ entity_key('appointment.known_payer_id', 'appointment.tenant_id') }} as payer_key,
    appointment.known_payer_id as payer_id,
    coalesce(payer.payer_class, 'unmapped') as payer_class,
    {{ entity_key('appointment.visit_type_id', 'appointment.tenant_id') }} as visit_type_key,
    appointment.visit_type_id,
    appointment.status,
    outcome.outcome,
    outcome.cancel_initiator,
    outcome.cancel_reason_code,
    appointment.source_system,
    case
        when outcome.lead_time_days is null then 'unknown'
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
    appointment.appointment_date,
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
left join reminders as reminder
    on appointment.tenant_id = reminder.tenant_id
    and appointment.appointment_id = reminder.appointment_id
left join {{ ref('int_payer_classes') }} as payer
    on appointment.tenant_id = payer.tenant_id
    and appointment.payer_id = payer.payer_id
    and appointment.appointment_date between payer.valid_from and payer.valid_to
order by appointment.tenant_id, appointment.appointment_date
