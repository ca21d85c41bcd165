-- Groups that ever held a balance or a charge stand in every later snapshot, with 0 if need be: a figure that is
-- filtered to one group must not fall back to the last day on which that group had something.
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
),

-- A snapshot stands on the day after it, so that months counted back from there are whole ones.
marked as (
    select
        tenant_id,
        service_unit_id,
        provider_id,
        payer_id,
        payer_class,
        cast(null as date) as snapshot_date,
        cast(posted_date as timestamp) as marked_at,
        billed_amount
    from daily
    union all
    select
        groups.tenant_id,
        groups.service_unit_id,
        groups.provider_id,
        groups.payer_id,
        groups.payer_class,
        snapshots.snapshot_date,
        cast({{ add_days('snapshots.snapshot_date', 1) }} as timestamp),
        0
    from groups
    inner join {{ ref('int_receivable_snapshots') }} as snapshots
        on groups.tenant_id = snapshots.tenant_id
        and groups.first_posted_date <= snapshots.snapshot_date
),

{%- set windows = {'90_days': '90 days', '365_days': '365 days', '3_months': '3 months', '6_months': '6 months',
    '12_months': '12 months'} %}

summed as (
    select
        *,
        {%- for name, length in windows.items() %}
        coalesce(sum(billed_amount) over (
            partition by tenant_id, service_unit_id, provider_id, payer_id, payer_class
            order by marked_at
            range between interval '{{ length }}' preceding and interval '1 day' preceding
        ), 0) as billed_{{ name }}_amount{{ ',' if not loop.last }}
        {%- endfor %}
    from marked
)

select
    tenant_id,
    snapshot_date,
    service_unit_id,
    provider_id,
    payer_id,
    payer_class,
    {%- for name in windows %}
    billed_{{ name }}_amount,
    {%- endfor %}
    {%- for months in [3, 6, 12] %}
    {{ date_diff_days("marked_at - interval '" ~ months ~ " months'", 'marked_at') }} as days_of_{{ months }}_months
        {{- ',' if not loop.last }}
    {%- endfor %}
from summed
where snapshot_date is not null
order by 1, 2
