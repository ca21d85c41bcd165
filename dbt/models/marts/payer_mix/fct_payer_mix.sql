-- Money and visits by the payer that was primary on the day of service, side by side, so that yield per visit can be
-- read.
with money as (
    select
        tenant_id,
        service_date as mix_date,
        service_unit_id,
        provider_id,
        payer_id,
        payer_class,
        encounter_class,
        sum(billed_amount) as billed_amount,
        sum(allowed_amount) as allowed_amount,
        sum(payer_paid_amount) as payer_paid_amount,
        sum(patient_paid_amount) as patient_paid_amount,
        sum(contractual_amount) as contractual_amount,
        sum(adjusted_amount) as adjusted_amount,
        sum(open_balance) as open_balance
    from {{ ref('fct_charge_lines') }}
    group by 1, 2, 3, 4, 5, 6, 7
),

visits as (
    select
        tenant_id,
        encounter_date as mix_date,
        service_unit_id,
        provider_id,
        payer_id,
        payer_class,
        encounter_class,
        count(*) as encounters
    from {{ ref('fct_encounters') }}
    where is_encounter
    group by 1, 2, 3, 4, 5, 6, 7
),

together as (
    select tenant_id, mix_date, service_unit_id, provider_id, payer_id, payer_class, encounter_class, encounters,
        0 as billed_amount, 0 as allowed_amount, 0 as payer_paid_amount, 0 as patient_paid_amount,
        0 as contractual_amount, 0 as adjusted_amount, 0 as open_balance
    from visits
    union all
    select tenant_id, mix_date, service_unit_id, provider_id, payer_id, payer_class, encounter_class, 0,
        billed_amount, allowed_amount, payer_paid_amount, patient_paid_amount, contractual_amount, adjusted_amount,
        open_balance
    from money
)

select
    {{ entity_key(['cast(mix_date as varchar)', 'service_unit_id', 'provider_id', 'payer_id', 'payer_class',
        'encounter_class']) }} as payer_mix_key,
    tenant_id,
    mix_date,
    service_unit_id,
    {{ service_unit_key('together.service_unit_id', 'together.tenant_id', 'together.mix_date') }}
        as service_unit_key,
    provider_id,
    {{ entity_key('provider_id') }} as provider_key,
    payer_id,
    {{ entity_key('payer_id') }} as payer_key,
    payer_class,
    encounter_class,
    cast(sum(encounters) as integer) as encounters,
    {{ money('sum(billed_amount)') }} as billed_amount,
    {{ money('sum(allowed_amount)') }} as allowed_amount,
    {{ money('sum(payer_paid_amount)') }} as payer_paid_amount,
    {{ money('sum(patient_paid_amount)') }} as patient_paid_amount,
    {{ money('sum(contractual_amount)') }} as contractual_amount,
    {{ money('sum(adjusted_amount)') }} as adjusted_amount,
    {{ money('sum(open_balance)') }} as open_balance
from together
group by tenant_id, mix_date, service_unit_id, provider_id, payer_id, payer_class, encounter_class
order by tenant_id, mix_date
