with entered as (
    select tenant_id, claim_id, min(entered_date) as first_entered_date
    from {{ ref('int_charge_lines') }}
    where not is_reversal and claim_id is not null
    group by tenant_id, claim_id
),

-- The first time a claim was sent to the primary payer again once that had decided.
sent_again as (
    select
        submissions.tenant_id,
        submissions.claim_id,
        min({{ local_date('submissions.submitted_at', 'context.time_zone') }}) as first_resubmitted_date
    from {{ ref('int_claim_submissions') }} as submissions
    inner join {{ ref('int_claim_context') }} as context
        on submissions.tenant_id = context.tenant_id
        and submissions.claim_id = context.claim_id
    inner join {{ ref('int_claim_decisions') }} as decided
        on submissions.tenant_id = decided.tenant_id
        and submissions.claim_id = decided.claim_key
        and {{ local_date('submissions.submitted_at', 'context.time_zone') }} >= decided.first_decision_date
    where submissions.is_counted
        and submissions.submission_number > 1
        and submissions.payer_sequence not in ('secondary', 'tertiary')
    group by submissions.tenant_id, submissions.claim_id
),

joined as (
    select
        coalesce(context.tenant_id, decided.tenant_id) as tenant_id,
        coalesce(context.claim_id, decided.claim_key) as claim_number,
        case
            when coalesce(claims.submissions, 0) > 0 then 'submitted'
            when context.claim_id is not null then 'charged'
            else 'remitted_only'
        end as claim_origin,
        claims.claim_type,
        context.encounter_id,
        coalesce(context.patient_id, claims.patient_id) as patient_id,
        coalesce(context.service_unit_id, 'unknown') as service_unit_id,
        coalesce(context.provider_id, 'unknown') as provider_id,
        coalesce(context.payer_id, decided.payer_id, 'unknown') as payer_id,
        coalesce(context.visit_type_id, 'unknown') as visit_type_id,
        coalesce(context.encounter_class, 'UNK') as encounter_class,
        coalesce(context.claim_date, decided.service_date) as service_date,
        context.first_submitted_date,
        coalesce(claims.submissions, 0) as submissions,
        coalesce(claims.has_replacement, false) as has_replacement,
        coalesce(claims.is_void, false) as is_void,
        answers.claim_id is not null as is_acknowledged,
        coalesce(answers.is_rejected, false) as is_rejected,
        answers.rejected_by,
        coalesce(claims.billed_amount, 0) as billed_amount,
        decided.first_decision_date,
        coalesce(decided.remittance_claims, 0) as remittance_claims,
        coalesce(decided.remitted_billed_amount, 0) as remitted_billed_amount,
        coalesce(decided.first_billed_amount, 0) as first_billed_amount,
        decided.first_allowed_later_date,
        entered.first_entered_date,
        sent_again.first_resubmitted_date,
        coalesce(decided.payer_paid_amount, 0) as payer_paid_amount,
        coalesce(decided.is_denied, 0) = 1 as is_denied,
        coalesce(decided.is_denied, 0) = 1 and decided.is_allowed_later = 1 as is_overturned,
        coalesce(decided.is_paid_first, 0) = 1 as is_paid_first,
        coalesce(decided.has_reversal, 0) = 1 as has_reversal,
        decided.denial_category,
        decided.denial_carc,
        decided.denied_amount,
        coalesce(claims.source_system, decided.source_system) as source_system,
        coalesce(claims.source_record_id, decided.source_record_id) as source_record_id,
        coalesce(claims.source_position, decided.source_position) as source_position
    from {{ ref('int_claim_context') }} as context
    full outer join {{ ref('int_claim_decisions') }} as decided
        on context.tenant_id = decided.tenant_id
        and context.claim_id = decided.claim_key
    left join {{ ref('int_claims') }} as claims
        on context.tenant_id = claims.tenant_id
        and context.claim_id = claims.claim_id
    left join {{ ref('int_claim_acknowledgements') }} as answers
        on context.tenant_id = answers.tenant_id
        and context.claim_id = answers.claim_id
    left join entered
        on context.tenant_id = entered.tenant_id
        and context.claim_id = entered.claim_id
    left join sent_again
        on context.tenant_id = sent_again.tenant_id
        and context.claim_id = sent_again.claim_id
),

-- The rate of initial denials as HFMA has it divides by what was submitted in the three months before. A claim counts in
-- each of the three months after its own, for a third, or for more where the tenant's data begin later than that: in
-- sixths, so that sums are exact. Months after the one the data reach to are not counted: they have no decisions yet.
counted as (
    select
        tenant_id,
        claim_number,
        {%- for months in [1, 2, 3] %}
        {{ add_days(month_number_end('(submitted_month + ' ~ (months - 1) ~ ')'), 1) }} as counted_in_month_{{ months }},
        case
            when submitted_month + {{ months }} <= last_month
                then 6 / least(submitted_month + {{ months }} - min(submitted_month) over (partition by tenant_id), 3)
        end as counted_sixths_{{ months }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select
            joined.tenant_id,
            joined.claim_number,
            {{ month_number('joined.first_submitted_date') }} as submitted_month,
            {{ month_number('tenants.data_as_of_date') }} as last_month
        from joined
        inner join {{ ref('stg_tenants') }} as tenants
            on joined.tenant_id = tenants.tenant_id
        where joined.claim_origin = 'submitted' and joined.first_submitted_date is not null
    ) as submitted
)

select
    {{ entity_key('joined.claim_number', 'joined.tenant_id') }} as claim_key,
    joined.tenant_id,
    joined.claim_number as claim_id,
    -- What bears a number that no other claim has is of its claim.
    case
        when claim_numbers.claim_number is null and joined.claim_origin <> 'remitted_only'
            and joined.claim_number not like '%#%' then joined.claim_number
    end as claim_number,
    joined.claim_origin,
    coalesce(joined.claim_type, 'unknown') as claim_type,
    joined.encounter_id,
    joined.patient_id,
    joined.service_unit_id,
    {{ service_unit_key('joined.service_unit_id', 'joined.tenant_id', 'joined.service_date') }} as service_unit_key,
    joined.provider_id,
    {{ entity_key('joined.provider_id', 'joined.tenant_id') }} as provider_key,
    joined.payer_id,
    {{ entity_key('joined.payer_id', 'joined.tenant_id') }} as payer_key,
    coalesce(classes.payer_class, 'unmapped') as payer_class,
    {{ demographics('person', 'joined.service_date') }},
    {{ first_diagnosis(['claim', 'visit']) }},
    joined.visit_type_id,
    {{ entity_key('joined.visit_type_id', 'joined.tenant_id') }} as visit_type_key,
    joined.encounter_class,
    joined.service_date,
    joined.first_submitted_date,
    coalesce(joined.first_decision_date, joined.service_date) as decision_date,
    joined.claim_origin = 'submitted' as is_submitted,
    joined.remittance_claims > 0 as is_remitted,
    joined.first_decision_date is not null as is_decided,
    joined.is_denied,
    joined.is_overturned,
    joined.first_decision_date is not null and not joined.is_denied as is_resolved_first_pass,
    joined.is_paid_first and not joined.has_replacement and not joined.has_reversal as is_paid_first_time,
    joined.has_replacement,
    joined.is_void,
    joined.has_reversal,
    joined.is_acknowledged,
    joined.is_rejected,
    joined.is_acknowledged and not joined.is_rejected as is_accepted_first_time,
    joined.is_denied and joined.first_resubmitted_date is not null as is_resubmitted,
    joined.is_overturned and joined.first_resubmitted_date is not null as is_overturned_after_resubmission,
    coalesce(joined.rejected_by, 'not_rejected') as rejected_by,
    case when joined.is_denied then coalesce(joined.denial_category, 'unspecified') else 'not_denied' end
        as denial_category,
    case when joined.is_denied then coalesce(joined.denial_carc, 'unspecified')
        else 'not_denied' end as carc,
    {{ money('case when joined.is_denied
        then coalesce(joined.denied_amount, joined.remitted_billed_amount) else 0 end') }} as denied_amount,
    case when joined.first_submitted_date is not null then
        {{ date_diff_days('joined.first_submitted_date', 'joined.first_decision_date') }} end as payer_lag_days,
    {{ date_diff_days('joined.first_entered_date', 'joined.first_submitted_date') }} as claim_lag_days,
    case when joined.is_denied then
        {{ date_diff_days('joined.first_decision_date', 'joined.first_resubmitted_date') }} end
        as denial_resubmission_days,
    case when joined.is_overturned then
        {{ date_diff_days('joined.first_decision_date', 'joined.first_allowed_later_date') }} end
        as denial_resolution_days,
    {%- for months in [1, 2, 3] %}
    case when counted.counted_sixths_{{ months }} > 0 then counted.counted_in_month_{{ months }} else joined.service_date
        end as counted_in_month_{{ months }},
    cast(coalesce(counted.counted_sixths_{{ months }}, 0) as integer) as counted_sixths_{{ months }},
    {%- endfor %}
    cast(joined.submissions as integer) as submissions,
    cast(joined.remittance_claims as integer) as remittance_claims,
    {%- for name in ['billed', 'remitted_billed', 'first_billed', 'payer_paid'] %}
    {{ money('joined.' ~ name ~ '_amount') }} as {{ name }}_amount,
    {%- endfor %}
    joined.source_system,
    joined.source_record_id,
    joined.source_position
from joined
left join counted
    on joined.tenant_id = counted.tenant_id
    and joined.claim_number = counted.claim_number
left join {{ ref('int_claim_numbers') }} as claim_numbers
    on joined.tenant_id = claim_numbers.tenant_id
    and joined.claim_number = claim_numbers.claim_number
left join {{ ref('int_payer_classes') }} as classes
    on joined.tenant_id = classes.tenant_id
    and joined.payer_id = classes.payer_id
    and joined.service_date between classes.valid_from and classes.valid_to
{{- first_diagnosis_joins('joined', {'claim': 'claim_number', 'visit': 'encounter_id'}) }}
left join {{ ref('int_patients') }} as person
    on joined.tenant_id = person.tenant_id
    and joined.patient_id = person.patient_id
order by joined.tenant_id, joined.service_date
