with payments as (
    {{ collapse(ref('stg_patient_payments'), 'patient_payment', 'patient_payment_id',
        ['patient_id', 'encounter_id', 'service_unit_id', 'paid_date']) }}
),

adjustments as (
    {{ collapse(ref('stg_adjustments'), 'adjustment', 'adjustment_id', ['adjusted_date']) }}
),

remitted as (
    select
        tenant_id,
        claim_key,
        min(payer_id) as payer_id,
        min(coalesce(service_from_date, adjudicated_date)) as service_date,
        min(source_system) as source_system,
        min(source_record_id) as source_record_id,
        min(source_position) as source_position
    from {{ ref('int_adjudications') }}
    where not is_matched
    group by tenant_id, claim_key
),

alone as (
    select tenant_id, charge_line_id
    from {{ ref('int_line_events') }}
    where match_method = 'none'
    group by tenant_id, charge_line_id
)

select
    alone.tenant_id,
    alone.charge_line_id,
    remitted.claim_key as claim_id,
    {{ current_id('payments', 'encounter') }} as encounter_id,
    {{ current_id('payments', 'patient') }} as patient_id,
    payments.service_unit_id,
    remitted.payer_id,
    coalesce(remitted.service_date, payments.paid_date, adjustments.adjusted_date) as service_date,
    coalesce(remitted.source_system, payments.source_system, adjustments.source_system) as source_system,
    coalesce(remitted.source_record_id, payments.source_record_id, adjustments.source_record_id) as source_record_id,
    coalesce(remitted.source_position, payments.source_position, adjustments.source_position) as source_position
from alone
left join remitted
    on alone.tenant_id = remitted.tenant_id
    and alone.charge_line_id = 'remittance/' || remitted.claim_key
left join payments
    on alone.tenant_id = payments.tenant_id
    and alone.charge_line_id = 'payment/' || payments.patient_payment_id
left join adjustments
    on alone.tenant_id = adjustments.tenant_id
    and alone.charge_line_id = 'adjustment/' || adjustments.adjustment_id
{{ crosswalk_joins('payments', ['patient', 'encounter'], visits=ref('int_billed_encounters')) }}
order by 1, 2
