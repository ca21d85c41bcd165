-- A payment names its visit, or a charge or claim of it.
with payments as (
    {{ collapse(ref('stg_patient_payments'), 'patient_payment', 'patient_payment_id',
        ['charge_id', 'claim_id', 'encounter_id', 'is_point_of_service', 'payment_amount']) | indent(4) }}
),

placed as (
    select
        payments.tenant_id,
        coalesce({{ current_id('payments', 'encounter') }}, charges.encounter_id, context.encounter_id) as encounter_id,
        payments.payment_amount
    from payments
    {{ crosswalk_joins('payments', ['encounter']) | indent(4) }}
    left join {{ ref('int_linked_charges') }} as charges
        on payments.tenant_id = charges.tenant_id
        and payments.charge_id = charges.charge_id
    left join {{ ref('int_claim_context') }} as context
        on payments.tenant_id = context.tenant_id
        and payments.claim_id = context.claim_id
    where payments.is_point_of_service
)

select
    tenant_id,
    encounter_id,
    sum(payment_amount) as paid_at_visit_amount
from placed
where encounter_id is not null
group by tenant_id, encounter_id
order by tenant_id, encounter_id
