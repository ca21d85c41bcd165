-- The last snapshot is what the lines owe now.
with lines as (
    select tenant_id, service_unit_id, payer_id, payer_class, sum(open_balance) as open_balance
    from {{ ref('fct_charge_lines') }}
    where tenant_id in (select tenant_id from {{ ref('int_receivable_snapshots') }})
    group by tenant_id, service_unit_id, payer_id, payer_class
),

snapshots as (
    select receivables.tenant_id, receivables.service_unit_id, receivables.payer_id, receivables.payer_class,
        sum(receivables.open_balance) as open_balance
    from {{ ref('fct_receivables') }} as receivables
    inner join (
        select tenant_id, max(snapshot_date) as snapshot_date
        from {{ ref('int_receivable_snapshots') }}
        group by tenant_id
    ) as latest
        on receivables.tenant_id = latest.tenant_id
        and receivables.snapshot_date = latest.snapshot_date
    group by receivables.tenant_id, receivables.service_unit_id, receivables.payer_id, receivables.payer_class
)

select lines.*, snapshots.open_balance as snapshot_balance
from lines
full outer join snapshots
    on lines.tenant_id = snapshots.tenant_id
    and lines.service_unit_id = snapshots.service_unit_id
    and lines.payer_id = snapshots.payer_id
    and lines.payer_class = snapshots.payer_class
where coalesce(lines.open_balance, 0) <> coalesce(snapshots.open_balance, 0)
