{# The times that a visit in a clinic should leave behind, in their order. Video and home visits have no room. #}
{%- set expected = ['checked_in_at', 'roomed_at', 'provider_in_at', 'provider_out_at', 'checked_out_at'] -%}
{%- set classes = "('AMB', 'EMER')" -%}
with links as (
    select
        tenant_id,
        encounter_id,
        min(appointment_id) as appointment_id
    from {{ ref('int_appointments') }}
    where encounter_id is not null
        and status not in ('cancelled', 'rescheduled', 'entered_in_error')
    group by tenant_id, encounter_id
),

-- Some feeds name the appointment on the encounter, others the encounter on the appointment.
visits as (
    select
        encounter.tenant_id,
        encounter.encounter_id,
        coalesce(encounter.appointment_id, link.appointment_id) as appointment_id,
        encounter.encounter_class in {{ classes }} and encounter.status = 'finished' as is_timed
    from {{ ref('int_encounters') }} as encounter
    left join links as link
        on encounter.tenant_id = link.tenant_id
        and encounter.encounter_id = link.encounter_id
),

-- A patient who comes early waits from the scheduled time on, one who comes late from the check-in on.
clocks as (
    select
        visit.*,
        appointment.scheduled_start_at,
        coalesce(appointment.is_walk_in, false) as is_walk_in,
        greatest(event.checked_in_at, appointment.scheduled_start_at) as clock_started_at,
        event.room_out_at,
        event.admit_decided_at
        {%- for name in expected %},
        event.{{ name }}
        {%- endfor %}
    from visits as visit
    left join {{ ref('int_encounter_timestamps') }} as event
        on visit.tenant_id = event.tenant_id
        and visit.encounter_id = event.encounter_id
    left join {{ ref('int_appointments') }} as appointment
        on visit.tenant_id = appointment.tenant_id
        and visit.appointment_id = appointment.appointment_id
)

-- A duration whose two ends are out of order is left out, not turned round; what is out of order is counted.
select
    tenant_id,
    encounter_id,
    appointment_id,
    scheduled_start_at,
    {%- for name in expected %}
    {{ name }},
    {%- endfor %}
    room_out_at,
    admit_decided_at,
    is_timed,
    case when is_timed then {{ expected | length }} else 0 end as expected_timestamps,
    case
        when is_timed
            then 0
            {%- for name in expected %}
            + case when {{ name }} is null then 0 else 1 end
            {%- endfor %}
        else 0
    end as recorded_timestamps,
    0
    {%- for name in expected[1:] %}
    + case
        when {{ name }} < greatest({{ expected[:loop.index] | join(', ') }}) then 1
        else 0
    end
    {%- endfor %} as order_violations,
    case
        when checked_out_at >= checked_in_at
            then {{ minutes_between('clock_started_at', 'checked_out_at') }}
    end as cycle_time_minutes,
    case
        when checked_out_at >= checked_in_at then {{ minutes_between('checked_in_at', 'checked_out_at') }}
    end as presence_minutes,
    case
        when roomed_at >= checked_in_at
            then greatest(0, {{ minutes_between('clock_started_at', 'roomed_at') }})
    end as wait_time_minutes,
    case
        when provider_in_at >= roomed_at then {{ minutes_between('roomed_at', 'provider_in_at') }}
    end as room_to_provider_minutes,
    case
        when provider_out_at >= provider_in_at then {{ minutes_between('provider_in_at', 'provider_out_at') }}
    end as provider_minutes,
    case
        when room_out_at >= roomed_at then {{ minutes_between('roomed_at', 'room_out_at') }}
    end as room_minutes,
    case
        when not is_walk_in then {{ minutes_between('scheduled_start_at', 'provider_in_at') }}
    end as start_delay_minutes
from clocks
