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
),

-- Records that could not be read into rows, whole payments among them, have only what the ledger noted of them.
feeds as (
    select tenant_id, feed, sum(abs(all_amount)) as all_amount from held group by tenant_id, feed
),

records as (
    select tenant_id, feed, sum(rows) as held_rows, sum(amount) as held_amount
    from {{ source('raw', 'quarantine_reason') }}
    where entity = 'record' and amount <> 0
    group by tenant_id, feed
)

select
    records.tenant_id,
    'CM-PLAUS-006' as code,
    records.feed,
    '' as other_feed,
    'record' as entity,
    cast(null as date) as found_day,
    records.held_rows as found_rows,
    records.held_amount as found_amount
from records
left join feeds
    on records.tenant_id = feeds.tenant_id
    and records.feed = feeds.feed
where {{ is_material('abs(records.held_amount)', 'coalesce(feeds.all_amount, 0)') }}
union all
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
