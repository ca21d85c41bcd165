with placed as (
    select
        answers.*,
        context.patient_id,
        coalesce(context.service_unit_id, 'unknown') as service_unit_id,
        coalesce(context.provider_id, 'unknown') as provider_id,
        coalesce(context.payer_id, 'unknown') as payer_id,
        coalesce(context.visit_type_id, 'unknown') as visit_type_id,
        coalesce(context.encounter_class, 'UNK') as encounter_class,
        context.claim_date,
        {{ local_date('answers.reported_at', 'units.time_zone') }} as answered_date
    from {{ ref('int_claim_answers') }} as answers
    left join {{ ref('int_claim_context') }} as context
        on answers.tenant_id = context.tenant_id
        and answers.resolved_claim_id = context.claim_id
    inner join {{ ref('int_service_units') }} as units
        on answers.tenant_id = units.tenant_id
        and coalesce(context.service_unit_id, 'unknown') = units.service_unit_id
)

select
    {{ entity_key('placed.answer_id', 'placed.tenant_id') }} as claim_answer_key,
    placed.tenant_id,
    placed.answer_id,
    placed.claim_id,
    placed.is_matched,
    placed.patient_id,
    placed.service_unit_id,
    {{ service_unit_key('placed.service_unit_id', 'placed.tenant_id', 'coalesce(placed.claim_date, placed.answered_date)') }}
        as service_unit_key,
    {%- for name in ['provider', 'payer'] %}
    placed.{{ name }}_id,
    {{ entity_key('placed.' ~ name ~ '_id', 'placed.tenant_id') }} as {{ name }}_key,
    {%- endfor %}
    coalesce(classes.payer_class, 'unmapped') as payer_class,
    placed.visit_type_id,
    {{ entity_key('placed.visit_type_id', 'placed.tenant_id') }} as visit_type_key,
    placed.encounter_class,
    placed.answered_by,
    coalesce(placed.outcome_code, 'none') as outcome_code,
    placed.reason_code,
    placed.is_accepted,
    coalesce(placed.claim_date, placed.answered_date) as service_date,
    placed.answered_date,
    placed.source_system,
    placed.source_record_id,
    placed.source_position
from placed
left join {{ ref('int_payer_classes') }} as classes
    on placed.tenant_id = classes.tenant_id
    and placed.payer_id = classes.payer_id
    and coalesce(placed.claim_date, placed.answered_date) between classes.valid_from and classes.valid_to
order by placed.tenant_id, placed.answered_date
