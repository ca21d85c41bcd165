with collapsed as (
    {{ collapse(ref('stg_charges'), 'charge', 'charge_id',
        ['encounter_id', 'claim_id', 'line_control_number', 'patient_id', 'service_unit_id', 'provider_id', 'payer_id',
         'procedure_code', 'modifiers', 'revenue_code', 'place_of_service', 'reversal_of_charge_id', 'status', 'units',
         'billed_amount', 'service_date', 'posted_date', 'entered_at'], winner_only=['reversal_of_charge_id']) }}
),

-- Some systems keep the line control number on the claim line alone.
numbers as (
    select lines.tenant_id, lines.charge_id, min(lines.line_control_number) as line_control_number
    from {{ ref('stg_claim_lines') }} as lines
    inner join collapsed
        on lines.tenant_id = collapsed.tenant_id
        and lines.charge_id = collapsed.charge_id
        and collapsed.line_control_number is null
    where lines.line_control_number is not null
    group by lines.tenant_id, lines.charge_id
),

-- Of a number that stands for several claims, patient and day tell which it is.
charge_bills as (
    select tenant_id, claim_number, coalesce(patient_id, '') as patient_id, charge_day, claim_id
    from {{ ref('int_bill_claims') }}
    where is_charge
)

select
    collapsed.tenant_id,
    collapsed.charge_id,
    {{ current_id('collapsed', 'encounter') }} as encounter_id,
    case
        when claim_numbers.claims > 1 then coalesce(day_bills.claim_id, patient_bills.claim_id)
        else coalesce(claim_numbers.claim_id, collapsed.claim_id)
    end as claim_id,
    coalesce(collapsed.line_control_number, numbers.line_control_number) as line_control_number,
    {{ current_id('collapsed', 'patient') }} as patient_id,
    collapsed.service_unit_id,
    {{ current_id('collapsed', 'provider') }} as provider_id,
    {{ current_id('collapsed', 'payer') }} as payer_id,
    collapsed.procedure_code,
    collapsed.modifiers,
    collapsed.revenue_code,
    collapsed.place_of_service,
    collapsed.reversal_of_charge_id,
    collapsed.status,
    collapsed.units,
    collapsed.billed_amount,
    collapsed.service_date,
    collapsed.posted_date,
    collapsed.entered_at,
    collapsed.source_system,
    collapsed.source_record_id,
    collapsed.source_position,
    collapsed.source_updated_at
from collapsed
left join numbers
    on collapsed.tenant_id = numbers.tenant_id
    and collapsed.charge_id = numbers.charge_id
{{ crosswalk_joins('collapsed', ['patient', 'provider', 'payer', 'encounter'], visits=ref('int_billed_encounters')) }}
left join {{ ref('int_claim_numbers') }} as claim_numbers
    on collapsed.tenant_id = claim_numbers.tenant_id
    and collapsed.claim_id = claim_numbers.claim_number
left join (select * from charge_bills where charge_day is not null) as day_bills
    on collapsed.tenant_id = day_bills.tenant_id
    and collapsed.claim_id = day_bills.claim_number
    and coalesce({{ current_id('collapsed', 'patient') }}, '') = day_bills.patient_id
    and coalesce(collapsed.service_date, cast('1900-01-01' as date)) = day_bills.charge_day
left join (select * from charge_bills where charge_day is null) as patient_bills
    on collapsed.tenant_id = patient_bills.tenant_id
    and collapsed.claim_id = patient_bills.claim_number
    and coalesce({{ current_id('collapsed', 'patient') }}, '') = patient_bills.patient_id
order by collapsed.tenant_id, collapsed.claim_id
