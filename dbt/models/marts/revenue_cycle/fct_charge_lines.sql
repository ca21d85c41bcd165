with moved as (
    select
        tenant_id,
        charge_line_id,
        sum(payer_paid_amount) as payer_paid_amount,
        sum(patient_paid_amount) as patient_paid_amount,
        sum(contractual_amount) as contractual_amount,
        sum(written_off_amount) as written_off_amount,
        sum(case when adjustment_type in ('timely_filing', 'no_authorization', 'denial', 'small_balance',
            'administrative') then written_off_amount else 0 end) as controllable_written_off_amount,
        sum(case when adjustment_type in ('timely_filing', 'no_authorization', 'denial') then written_off_amount
            else 0 end) as denial_written_off_amount,
        sum(case when adjustment_type = 'bad_debt' then written_off_amount else 0 end) as bad_debt_amount,
        sum(case when adjustment_type = 'charity' then written_off_amount else 0 end) as charity_amount,
        sum(allowed_amount) as allowed_amount,
        min(case when payer_paid_amount > 0 then event_date end) as first_payer_paid_date,
        -- The poorest match among those that brought a payer's decision to the line.
        max(case
            when payer_sequence is null then '0 no_decision'
            when match_method = 'line_control_number' then '1 line_control_number'
            when match_method = 'code_modifiers_amount_date' then '2 code_modifiers_amount_date'
            when match_method = 'code_amount_date' then '3 code_amount_date'
            when match_method = 'code_amount' then '4 code_amount'
            when match_method = 'code_date' then '5 code_date'
            when match_method = 'claim' then '6 claim'
            else '7 none'
        end) as match_rank
    from {{ ref('int_line_events') }}
    group by tenant_id, charge_line_id
),

lines as (
    select * from {{ ref('int_charge_lines') }}
),

decided as (
    select * from {{ ref('int_latest_decisions') }}
),

-- A rate for the place of service wins over one for any.
priced as (
    select
        lines.tenant_id,
        lines.charge_line_id,
        rates.rate_amount * coalesce(lines.units, 1) as contract_amount,
        row_number() over (
            partition by lines.tenant_id, lines.charge_line_id
            order by rates.place_of_service desc, rates.effective_from desc
        ) as choice
    from decided
    inner join lines
        on decided.tenant_id = lines.tenant_id
        and decided.charge_line_id = lines.charge_line_id
    inner join {{ ref('int_contract_rates') }} as rates
        on lines.tenant_id = rates.tenant_id
        and lines.payer_id = rates.payer_id
        and lines.procedure_code = rates.procedure_code
        and coalesce(lines.modifiers, '') = rates.modifiers
    where lines.service_date between rates.effective_from and rates.effective_to
        and (rates.place_of_service = '' or rates.place_of_service = lines.place_of_service)
)

select
    {{ entity_key('lines.charge_line_id', 'lines.tenant_id') }} as charge_line_key,
    lines.tenant_id,
    lines.charge_line_id,
    lines.line_kind,
    lines.charge_id,
    lines.claim_id,
    lines.encounter_id,
    lines.patient_id,
    {{ line_dimensions('lines') }},
    {{ demographics('person', 'lines.service_date') }},
    {{ first_diagnosis(['charge', 'claim', 'visit']) }},
    coalesce(lines.procedure_code, 'none') as procedure_code,
    lines.modifiers,
    lines.revenue_code,
    lines.place_of_service,
    lines.units,
    lines.is_reversal,
    lines.service_date,
    lines.posted_date,
    lines.entered_date,
    lines.first_submitted_date,
    moved.first_payer_paid_date,
    coalesce(substring(moved.match_rank, 3), 'no_decision') as match_method,
    case when not lines.is_reversal then {{ date_diff_days('lines.service_date', 'lines.entered_date') }} end
        as charge_lag_days,
    {{ money('lines.billed_amount') }} as billed_amount,
    {%- for name in ['payer_paid', 'patient_paid', 'contractual', 'written_off', 'controllable_written_off',
        'denial_written_off', 'bad_debt', 'charity'] %}
    {{ money('coalesce(moved.' ~ name ~ '_amount, 0)') }} as {{ name }}_amount,
    {%- endfor %}
    {{ money('coalesce(moved.contractual_amount + moved.written_off_amount, 0)') }} as adjusted_amount,
    {{ money('lines.billed_amount - coalesce(moved.payer_paid_amount + moved.patient_paid_amount
        + moved.contractual_amount + moved.written_off_amount, 0)') }} as open_balance,
    {{ money('coalesce(moved.allowed_amount, 0)') }} as allowed_amount,
    {{ money("case when lines.line_kind = 'unapplied'
        then coalesce(moved.payer_paid_amount + moved.patient_paid_amount, 0) else 0 end") }} as unapplied_amount,
    {{ money('decided.allowed_amount') }} as adjudicated_allowed_amount,
    {{ money('priced.contract_amount') }} as contract_amount,
    {{ money('case
        when priced.contract_amount is null then null
        when priced.contract_amount - decided.allowed_amount > 0.01
            then priced.contract_amount - decided.allowed_amount
        else 0
    end') }} as underpaid_amount,
    lines.source_system,
    lines.source_record_id,
    lines.source_position
from lines
left join moved
    on lines.tenant_id = moved.tenant_id
    and lines.charge_line_id = moved.charge_line_id
left join decided
    on lines.tenant_id = decided.tenant_id
    and lines.charge_line_id = decided.charge_line_id
left join (select * from priced where choice = 1) as priced
    on lines.tenant_id = priced.tenant_id
    and lines.charge_line_id = priced.charge_line_id
{{- first_diagnosis_joins('lines', {'charge': 'charge_id', 'claim': 'claim_id', 'visit': 'encounter_id'}) }}
left join {{ ref('int_patients') }} as person
    on lines.tenant_id = person.tenant_id
    and lines.patient_id = person.patient_id
order by lines.tenant_id, lines.service_date
