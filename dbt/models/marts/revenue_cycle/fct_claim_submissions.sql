with submissions as (
    select
        submissions.*,
        claims.service_unit_id as claim_unit_id,
        claims.provider_id as claim_provider_id,
        claims.payer_id as claim_payer_id,
        claims.visit_type_id,
        claims.encounter_class,
        claims.claim_date,
        {{ local_date('submissions.submitted_at', 'claims.time_zone') }} as local_submitted_date
    from {{ ref('int_claim_submissions') }} as submissions
    inner join {{ ref('int_claim_context') }} as claims
        on submissions.tenant_id = claims.tenant_id
        and submissions.claim_id = claims.claim_id
    where submissions.is_counted
)

select
    {{ entity_key('submissions.claim_submission_id', 'submissions.tenant_id') }} as claim_submission_key,
    submissions.tenant_id,
    submissions.claim_submission_id,
    submissions.claim_id,
    submissions.claim_number,
    cast(submissions.submission_number as integer) as submission_number,
    submissions.claim_type,
    submissions.frequency_code,
    submissions.payer_sequence,
    submissions.claim_unit_id as service_unit_id,
    {{ service_unit_key('submissions.claim_unit_id', 'submissions.tenant_id', 'submissions.claim_date') }}
        as service_unit_key,
    submissions.claim_provider_id as provider_id,
    {{ entity_key('submissions.claim_provider_id', 'submissions.tenant_id') }} as provider_key,
    submissions.claim_payer_id as payer_id,
    {{ entity_key('submissions.claim_payer_id', 'submissions.tenant_id') }} as payer_key,
    coalesce(submissions.payer_id, 'unknown') as destination_payer_id,
    coalesce(classes.payer_class, 'unmapped') as payer_class,
    submissions.visit_type_id,
    {{ entity_key('submissions.visit_type_id', 'submissions.tenant_id') }} as visit_type_key,
    submissions.encounter_class,
    submissions.claim_date as service_date,
    coalesce(submissions.local_submitted_date, submissions.claim_date) as submitted_date,
    {{ money('submissions.billed_amount') }} as submitted_amount,
    submissions.source_system,
    submissions.source_record_id,
    submissions.source_position
from submissions
left join {{ ref('int_payer_classes') }} as classes
    on submissions.tenant_id = classes.tenant_id
    and submissions.claim_payer_id = classes.payer_id
    and submissions.claim_date between classes.valid_from and classes.valid_to
order by submissions.tenant_id, submissions.submitted_at
