with collapsed as (
    {{ collapse(ref('stg_contract_rates'), 'contract_rate',
        ['payer_id', 'procedure_code', 'modifiers', 'place_of_service', 'effective_from'],
        ['effective_to', 'rate_amount'], winner_only=['effective_to']) }}
),

rekeyed as (
    select
        collapsed.*,
        coalesce(payers.current_payer_id, collapsed.payer_id) as current_payer_id,
        row_number() over (
            partition by collapsed.tenant_id, coalesce(payers.current_payer_id, collapsed.payer_id),
                collapsed.procedure_code, collapsed.modifiers, collapsed.place_of_service, collapsed.effective_from
            order by collapsed.source_updated_at desc, collapsed.payer_id
        ) as choice
    from collapsed
    left join {{ ref('int_payer_crosswalk') }} as payers
        on collapsed.tenant_id = payers.tenant_id
        and collapsed.payer_id = payers.payer_id
)

select
    tenant_id,
    current_payer_id as payer_id,
    procedure_code,
    modifiers,
    place_of_service,
    effective_from,
    coalesce(effective_to, cast('9999-12-31' as date)) as effective_to,
    rate_amount
from rekeyed
where choice = 1
order by tenant_id, payer_id, procedure_code
