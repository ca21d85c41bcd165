-- A claim, charge, visit or patient has each code once, as the record that comes first states it.
with ranked as (
    select
        diagnoses.*,
        row_number() over (
            partition by tenant_id, owner_kind, owner_id, coalesce(diagnosis_code, stated_code, '')
            order by listing_order
        ) as choice
    from {{ ref('int_diagnoses') }} as diagnoses
),

placed as (
    select
        ranked.*,
        first_of.diagnosis_id is not null as is_first,
        {%- for name in ['service_unit', 'provider', 'payer'] %}
        coalesce(nullif(context.{{ name }}_id, 'unknown'), encounters.{{ name }}_id, 'unknown') as {{ name }}_id,
        {%- endfor %}
        coalesce(ranked.patient_id, encounters.patient_id) as known_patient_id,
        coalesce(context.claim_date, encounters.encounter_date) as service_date
    from ranked
    left join {{ ref('int_claim_context') }} as context
        on ranked.tenant_id = context.tenant_id
        and ranked.claim_id = context.claim_id
    left join {{ ref('int_encounters') }} as encounters
        on ranked.tenant_id = encounters.tenant_id
        and ranked.encounter_id = encounters.encounter_id
    left join {{ ref('int_first_diagnoses') }} as first_of
        on ranked.tenant_id = first_of.tenant_id
        and ranked.owner_kind = first_of.owner_kind
        and ranked.owner_id = first_of.owner_id
        and ranked.source_system = first_of.source_system
        and ranked.diagnosis_id = first_of.diagnosis_id
    where ranked.choice = 1
)

select
    {{ entity_key(['placed.source_system', 'placed.diagnosis_id'], 'placed.tenant_id') }} as diagnosis_key,
    placed.tenant_id,
    placed.diagnosis_id,
    placed.owner_kind,
    placed.claim_id,
    placed.charge_id,
    placed.encounter_id,
    placed.known_patient_id as patient_id,
    placed.service_unit_id,
    {{ service_unit_key('placed.service_unit_id', 'placed.tenant_id', 'placed.service_date') }} as service_unit_key,
    placed.provider_id,
    {{ entity_key('placed.provider_id', 'placed.tenant_id') }} as provider_key,
    placed.payer_id,
    {{ entity_key('placed.payer_id', 'placed.tenant_id') }} as payer_key,
    coalesce(classes.payer_class, 'unmapped') as payer_class,
    {{ demographics('person', 'placed.service_date') }},
    placed.diagnosis_code,
    placed.diagnosis_category,
    placed.diagnosis_chapter,
    placed.stated_code,
    placed.code_system,
    placed.code_state,
    placed.code_state = 'in a chapter' as is_in_chapter,
    placed.diagnosis_type,
    placed.sequence_number,
    placed.is_first,
    coalesce(placed.service_date, {{ local_date('placed.recorded_at', 'units.time_zone') }}) as service_date,
    placed.source_system,
    placed.source_record_id,
    placed.source_position
from placed
inner join {{ ref('int_service_units') }} as units
    on placed.tenant_id = units.tenant_id
    and placed.service_unit_id = units.service_unit_id
left join {{ ref('int_payer_classes') }} as classes
    on placed.tenant_id = classes.tenant_id
    and placed.payer_id = classes.payer_id
    and placed.service_date between classes.valid_from and classes.valid_to
left join {{ ref('int_patients') }} as person
    on placed.tenant_id = person.tenant_id
    and placed.known_patient_id = person.patient_id
order by placed.tenant_id, placed.service_date
