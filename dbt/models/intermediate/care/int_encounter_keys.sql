{#- Two visits: of two people, and more than a day apart. -#}
{%- set apart -%}
    one.patient_id <> other.patient_id and (
        one.started_at > other.ended_at + interval '1 day' or other.started_at > one.ended_at + interval '1 day'
    )
{%- endset -%}
with listed as (
    select
        encounters.tenant_id,
        encounters.source_system,
        encounters.encounter_id as identifier,
        {{ current_issued_patient('encounters') }} as patient_id,
        encounters.started_at,
        coalesce(encounters.ended_at, encounters.started_at) as ended_at,
        encounters.source_updated_at
    from (select * from {{ source('raw', 'encounter') }}{{ where_touched() }}) as encounters
    {{ issued_patient_joins('encounters') | indent(4) }}
),

{{ issued_keys(
    'encounter',
    ['patient_id', 'started_at', 'ended_at'],
    is_doubtful="min(patient_id) <> max(patient_id) and max(started_at) > min(ended_at) + interval '1 day'",
    contradicts=apart,
    agrees='one.patient_id = other.patient_id',
) }}
