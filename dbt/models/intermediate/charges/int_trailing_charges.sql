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

{%- set windows = {'90_days': '90 days', '365_days': '365 days', '3_months': '3 months', '6_months': '6 months',
    '12_months': '12 months'} %}

-- What was billed in a window is what was billed before the day after the snapshot less what was billed before the
-- window's first day. Months are counted back from the day after the snapshot, so that they are whole ones.
edges as (
    select tenant_id, snapshot_date, 'end' as edge, {{ add_days('snapshot_date', 1) }} as edge_date
    from {{ ref('int_receivable_snapshots') }}
    {%- for name, length in windows.items() %}
    union all
    select
        tenant_id,
        snapshot_date,
        '{{ name }}',
        cast(cast({{ add_days('snapshot_date', 1) }} as timestamp) - interval '{{ length }}' as date)
    from {{ ref('int_receivable_snapshots') }}
    {%- endfor %}
),

marked as (
    select
        tenant_id,
        service_unit_id,
        provider_id,
        payer_id,
        payer_class,
        cast(null as date) as snapshot_date,
        'charge' as edge,
        posted_date as marked_date,
        1 as place_in_day,
        billed_amount
    from daily
    union all
    select
        groups.tenant_id,
        groups.service_unit_id,
        groups.provider_id,
        groups.payer_id,
        groups.payer_class,
        edges.snapshot_date,
        edges.edge,
        edges.edge_date,
        0,
        0
    from groups
    inner join edges
        on groups.tenant_id = edges.tenant_id
        and groups.first_posted_date <= edges.snapshot_date
),

running as (
    select
        *,
        sum(billed_amount) over (
            partition by tenant_id, service_unit_id, provider_id, payer_id, payer_class
            order by marked_date, place_in_day
        ) as billed_before
    from marked
),

summed as (
    select
        tenant_id,
        snapshot_date,
        service_unit_id,
        provider_id,
        payer_id,
        payer_class,
        {%- for name in windows %}
        max(case when edge = 'end' then billed_before end) - max(case when edge = '{{ name }}' then billed_before end)
            as billed_{{ name }}_amount,
        {%- endfor %}
        {%- for months in [3, 6, 12] %}
        {{ date_diff_days("max(case when edge = '" ~ months ~ "_months' then marked_date end)",
            "max(case when edge = 'end' then marked_date end)") }} as days_of_{{ months }}_months
            {{- ',' if not loop.last }}
        {%- endfor %}
    from running
    where snapshot_date is not null
    group by 1, 2, 3, 4, 5, 6
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
    days_of_{{ months }}_months{{ ',' if not loop.last }}
    {%- endfor %}
from summed
order by 1, 2
