-- CM-PLAUS-006: rows of money in quarantine, from one in a hundred of the feed's rows or money on.
{%- set amounts = {
    'charge': 'billed_amount',
    'claim': 'billed_amount',
    'remittance': 'payment_amount',
    'remittance_claim': 'payer_paid_amount',
    'provider_adjustment': 'adjustment_amount',
    'patient_payment': 'payment_amount',
    'adjustment': 'adjustment_amount',
} %}
with held as (
    select
        tenant_id,
        feed,
        entity,
        sum(case when measure = 'rows' and step = 'quarantined' and reason <> 'released' then total else 0 end) as held_rows,
        sum(case when measure = 'rows' and step = 'read' then total else 0 end) as all_rows,
        sum(case when measure <> 'rows' and step = 'quarantined' and reason <> 'released' then total end) as held_amount,
        sum(case when measure <> 'rows' and step = 'read' then total else 0 end) as all_amount
    from {{ source('raw', 'reconciliation_step') }}
    where
        step in ('read', 'quarantined')
        and (
            {%- for entity, amount in amounts.items() %}
            {{ 'or ' if not loop.first }}entity = '{{ entity }}' and measure in ('rows', '{{ amount }}')
            {%- endfor %}
        )
    group by tenant_id, feed, entity
)

select
    tenant_id,
    'CM-PLAUS-006' as code,
    feed,
    '' as other_feed,
    entity,
    cast(null as date) as found_day,
    held_rows as found_rows,
    -- An amount that cannot be read is not known.
    nullif(held_amount, 0) as found_amount
from held
where
    held_rows > 0
    and ({{ is_material('held_rows', 'all_rows') }} or {{ is_material('abs(coalesce(held_amount, 0))', 'abs(all_amount)') }})
