-- An answer names no place: it is shown with the place of the first visit after it.
select
    {{ entity_key(['answers.source_system', 'answers.eligibility_answer_id'], 'answers.tenant_id') }} as eligibility_answer_key,
    answers.tenant_id,
    answers.eligibility_answer_id,
    answers.patient_id,
    visits.encounter_id,
    coalesce(visits.service_unit_id, 'unknown') as service_unit_id,
    {{ service_unit_key("coalesce(visits.service_unit_id, 'unknown')", 'answers.tenant_id', 'answers.answer_date') }}
        as service_unit_key,
    coalesce(answers.payer_id, 'unknown') as payer_id,
    {{ entity_key("coalesce(answers.payer_id, 'unknown')", 'answers.tenant_id') }} as payer_key,
    coalesce(classes.payer_class, 'unmapped') as payer_class,
    {{ demographics('person', 'answers.answer_date') }},
    answers.status,
    answers.reject_code,
    answers.match_method,
    answers.status = 'active' as is_active,
    answers.status = 'inactive' as is_inactive,
    answers.status = 'error' as is_rejected,
    answers.patient_id is null as is_unmatched,
    answers.answer_date,
    answers.valid_from,
    answers.valid_to,
    answers.source_system,
    answers.source_record_id,
    answers.source_position
from {{ ref('int_eligibility_answers') }} as answers
left join (select * from {{ ref('int_eligibility_checks') }} where visit_choice = 1) as visits
    on answers.tenant_id = visits.tenant_id
    and answers.source_system = visits.source_system
    and answers.eligibility_answer_id = visits.eligibility_answer_id
left join {{ ref('int_payer_classes') }} as classes
    on answers.tenant_id = classes.tenant_id
    and answers.payer_id = classes.payer_id
    and answers.answer_date between classes.valid_from and classes.valid_to
left join {{ ref('int_patients') }} as person
    on answers.tenant_id = person.tenant_id
    and answers.patient_id = person.patient_id
order by answers.tenant_id, answers.answer_date
