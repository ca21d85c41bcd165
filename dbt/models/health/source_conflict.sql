{#- Names are left out: every system writes them its own way. -#}
{%- set entities = [
    ('encounter', 'encounter_id', 'entity.part_of_encounter_id is null',
        ['patient_id', 'service_unit_id', 'provider_id', 'payer_id', 'visit_type_id', 'appointment_id',
         'encounter_class', 'status', 'admission_source', 'discharge_disposition', 'started_at', 'ended_at']),
    ('appointment', 'appointment_id', 'true',
        ['patient_id', 'service_unit_id', 'provider_id', 'payer_id', 'visit_type_id', 'encounter_id', 'status',
         'cancel_initiator', 'is_walk_in', 'is_telehealth', 'scheduled_start_at', 'scheduled_end_at', 'cancelled_at']),
    ('charge', 'charge_id', 'true',
        ['patient_id', 'encounter_id', 'claim_id', 'service_unit_id', 'provider_id', 'payer_id', 'procedure_code',
         'modifiers', 'status', 'units', 'billed_amount', 'service_date']),
    ('patient', 'patient_id', 'true', ['birth_year', 'sex', 'zip3', 'language']),
    ('provider', 'provider_id', 'true', ['npi', 'specialty', 'is_active']),
    ('payer', 'payer_id', 'entity.effective_to is null', ['payer_class', 'electronic_payer_id']),
] -%}
{%- for entity, key, rows, columns in entities %}
select * from (
    {{ source_conflicts(ref('stg_' ~ entity ~ 's'), entity, key, columns, rows) | indent(4) }}
) as {{ entity }}_conflicts
union all
{%- endfor %}
{#- Numbers under which two feeds tell of two: the column is the number itself, and the marts hold both. -#}
{%- for entity in ['patient', 'encounter', 'appointment', 'provider'] %}
select
    tenant_id,
    '{{ entity }}',
    '{{ entity }}_id',
    record_feed,
    source_system,
    count(distinct issued_key),
    min(issued_key),
    min(first_seen_at),
    max(first_seen_at)
from {{ ref('int_' ~ entity ~ '_keys') }}
where separated_by = 'evidence' and source_system <> record_feed and first_seen_at is not null
group by tenant_id, record_feed, source_system
{{ 'union all' if not loop.last }}
{%- endfor %}
