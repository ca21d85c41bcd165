{{ config(materialized='by_tenant') }}
{#- Every check that reads staging, intermediate or mart models, one name a line. -#}
{%- set checks = [
    'implausible_bases',
    'implausible_billing',
    'implausible_people',
    'implausible_remittances',
    'implausible_payers',
    'implausible_bookings',
] -%}
with found as (
    {%- for check in checks %}
    select {{ plausibility_columns() }} from {{ ref(check) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

ranked as (
    select
        found.*,
        {%- set finding = 'partition by tenant_id, code, feed, other_feed, entity' %}
        row_number() over (
            {{ finding }} order by abs(coalesce(found_amount, 0)) desc, found_day, source_position
        ) as row_rank,
        sum(found_rows) over ({{ finding }}) as all_rows,
        sum(found_amount) over ({{ finding }}) as all_amount,
        min(found_day) over ({{ finding }}) as first_day,
        max(found_day) over ({{ finding }}) as last_day
    from found
)

select
    tenant_id,
    code,
    feed,
    other_feed,
    entity,
    cast(row_rank as integer) as row_rank,
    source_position,
    found_day,
    cast(found_rows as bigint) as found_rows,
    {{ money('found_amount') }} as found_amount,
    cast(all_rows as bigint) as all_rows,
    {{ money('all_amount') }} as all_amount,
    first_day,
    last_day
from ranked
where row_rank <= 100
order by tenant_id, code, feed, other_feed, entity, row_rank
