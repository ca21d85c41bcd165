{#- Two appointments: of two people, and more than a day apart. -#}
{%- set apart -%}
    one.patient_id <> other.patient_id and (
        one.scheduled_start_at > other.scheduled_start_at + interval '1 day'
        or other.scheduled_start_at > one.scheduled_start_at + interval '1 day'
    )
{%- endset -%}
with listed as (
    select
        appointments.tenant_id,
        appointments.source_system,
        appointments.appointment_id as identifier,
        {{ current_issued_patient('appointments') }} as patient_id,
        appointments.scheduled_start_at,
        appointments.source_updated_at
    from (select * from {{ source('raw', 'appointment') }}{{ where_touched() }}) as appointments
    {{ issued_patient_joins('appointments') | indent(4) }}
),

{{ issued_keys(
    'appointment',
    ['patient_id', 'scheduled_start_at'],
    is_doubtful="min(patient_id) <> max(patient_id)
        and max(scheduled_start_at) > min(scheduled_start_at) + interval '1 day'",
    contradicts=apart,
    agrees='one.patient_id = other.patient_id',
) }}
