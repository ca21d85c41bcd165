-- Groups that ever held a balance or a charge stand in every later snapshot, with 0 if need be: a figure that is
-- filtered to one group must not fall back to the last month in which that group had something.
with daily as (
    select
        tenant_id,
        service_unit_id,
        provider_id,
        payer_id,
        payer_class,
        posted_date,
        sum(case when line_kind = 'unapplied' then 0 else billed_amount end) as billed_amount
    from {{ ref('int_charge_lines') }}
    group by 1, 2, 3, 4, 5, 6
),

groups as (
    select tenant_id, service_unit_id, provider_id, payer_id, payer_class, min(posted_date) as first_posted_date
    from daily
    group by 1, 2, 3, 4, 5
)

select
    groups.tenant_id,
    snapshots.snapshot_date,
    groups.service_unit_id,
    groups.provider_id,
    groups.payer_id,
    groups.payer_class,
    coalesce(sum(daily.billed_amount), 0) as billed_amount
from groups
inner join {{ ref('int_receivable_snapshots') }} as snapshots
    on groups.tenant_id = snapshots.tenant_id
    and groups.first_posted_date <= snapshots.snapshot_date
left join daily
    on groups.tenant_id = daily.tenant_id
    and groups.service_unit_id = daily.service_unit_id
    and groups.provider_id = daily.provider_id
    and groups.payer_id = daily.payer_id
    and groups.payer_class = daily.payer_class
    and daily.posted_date <= snapshots.snapshot_date
    and daily.posted_date > {{ add_days('snapshots.snapshot_date', -90) }}
group by 1, 2, 3, 4, 5, 6
order by 1, 2
