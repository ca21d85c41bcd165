{#- While the record says that a visit goes on, no other feed ends it. -#}
{%- set open_encounter = "status in ('planned', 'arrived', 'in_progress', 'on_leave')" -%}
{#- Of a day a feed's own time is noon. Where another feed knows the time on that day, that is the time. -#}
{%- set exact = {} -%}
{%- for name in ['started', 'ended'] -%}
    {%- do exact.update({
        name: "collapsed." ~ name ~ "_exact_at between collapsed." ~ name ~ "_at - interval '12 hours' and collapsed."
            ~ name ~ "_at + interval '12 hours'"
    }) -%}
{%- endfor -%}
-- What is said of a part is not said of the whole.
with wholes as (
    select encounters.*
    from {{ ref('stg_encounters') }} as encounters
    left join {{ ref('int_encounter_parts') }} as parts
        on encounters.tenant_id = parts.tenant_id
        and encounters.encounter_id = parts.encounter_id
    where parts.encounter_id is null
),

collapsed as (
    {{ collapse('wholes', 'encounter', 'encounter_id',
        ['patient_id', 'service_unit_id', 'provider_id', 'payer_id', 'visit_type_id', 'appointment_id',
         'encounter_class', 'status', 'admission_source', 'discharge_disposition', 'started_at', 'started_exact_at',
         'ended_at', 'ended_exact_at', 'signed_at'],
        empty_says={'ended_at': open_encounter, 'ended_exact_at': open_encounter, 'discharge_disposition': open_encounter},
        unknown={'encounter_class': 'UNK', 'status': 'unknown'},
        crosswalk=ref('int_encounter_crosswalk')) }}
),

-- A visit of several classes begins with the first and has the last.
classes as (
    select
        tenant_id,
        encounter_id,
        min(started_at) as started_at,
        max(case when ended_at is null then encounter_class end) as encounter_class
    from {{ ref('int_encounter_classes') }}
    group by tenant_id, encounter_id
),

told as (
    select
        collapsed.tenant_id,
        collapsed.encounter_id,
        collapsed.patient_id,
        collapsed.service_unit_id,
        collapsed.provider_id,
        collapsed.payer_id,
        collapsed.visit_type_id,
        collapsed.appointment_id,
        coalesce(classes.encounter_class, collapsed.encounter_class) as encounter_class,
        collapsed.status,
        collapsed.admission_source,
        collapsed.discharge_disposition,
        case when {{ exact.started }} then collapsed.started_exact_at else collapsed.started_at end as known_started_at,
        classes.started_at as first_class_at,
        case when {{ exact.ended }} then collapsed.ended_exact_at else collapsed.ended_at end as ended_at,
        coalesce({{ exact.started }}, false) as is_known_start_exact,
        coalesce({{ exact.ended }}, false) as is_end_exact,
        collapsed.signed_at,
        collapsed.source_system,
        collapsed.source_record_id,
        collapsed.source_position,
        collapsed.source_updated_at,
        collapsed.feeds
    from collapsed
    left join classes
        on collapsed.tenant_id = classes.tenant_id
        and collapsed.encounter_id = classes.encounter_id
),

visits as (
    select
        told.*,
        case when is_known_start_exact then least(known_started_at, first_class_at) else coalesce(first_class_at, known_started_at) end
            as started_at,
        is_known_start_exact or coalesce(first_class_at <> known_started_at, false) as is_start_exact
    from told
)

select
    visits.tenant_id,
    visits.encounter_id,
    {{ current_id('visits', 'patient') }} as patient_id,
    coalesce(visits.service_unit_id, 'unknown') as service_unit_id,
    coalesce({{ current_id('visits', 'provider') }}, 'unknown') as provider_id,
    coalesce({{ current_id('visits', 'payer') }}, known.payer_id) as payer_id,
    coalesce(visits.visit_type_id, 'unknown') as visit_type_id,
    visits.appointment_id,
    visits.encounter_class,
    visits.status,
    visits.admission_source,
    visits.discharge_disposition,
    visits.started_at,
    visits.ended_at,
    visits.is_start_exact,
    visits.is_end_exact,
    visits.signed_at,
    units.time_zone,
    {{ local_timestamp('visits.started_at', 'units.time_zone') }} as local_started_at,
    {{ local_date('visits.started_at', 'units.time_zone') }} as encounter_date,
    visits.source_system,
    visits.source_record_id,
    visits.source_position,
    visits.source_updated_at,
    visits.feeds
from visits
{{ crosswalk_joins('visits', ['patient', 'provider', 'payer']) }}
left join {{ ref('int_encounter_payers') }} as known
    on visits.tenant_id = known.tenant_id
    and visits.encounter_id = known.encounter_id
inner join {{ ref('int_service_units') }} as units
    on visits.tenant_id = units.tenant_id
    and coalesce(visits.service_unit_id, 'unknown') = units.service_unit_id
