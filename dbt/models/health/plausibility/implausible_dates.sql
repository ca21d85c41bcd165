-- CM-PLAUS-008: dates outside the range that their contract calls plausible. The gate notes where such rows came; those are
-- counted that stand today, so that a correction ends the finding.
with noted as (
    select tenant_id, feed, split_part(detail, '.', 1) as entity
    from {{ source('raw', 'notice_reason') }}
    where reason = 'date_not_plausible'
    group by tenant_id, feed, split_part(detail, '.', 1)
),

standing as (
    {%- for entity, ranges in plausible_ranges().items() %}
    {%- set conditions = [] %}
    {%- for range in ranges %}
        {%- set column = 'held.' ~ range['column'] %}
        {%- if range['from'] is not none %}
            {%- do conditions.append(column ~ " < cast('" ~ range['from'] ~ "' as date)") %}
        {%- endif %}
        {%- if range['days_ahead'] is not none %}
            {%- set first_day = add_days('coalesce(tenants.data_as_of_date, current_date)', range['days_ahead'] + 1) %}
            {%- do conditions.append(column ~ ' >= ' ~ first_day) %}
        {%- endif %}
    {%- endfor %}
    select held.tenant_id, held.source_system as feed, noted.entity, count(*) as found_rows
    from noted
    inner join {{ source('raw', entity) }} as held
        on noted.tenant_id = held.tenant_id
        and noted.feed = held.source_system
    inner join {{ source('raw', 'tenant') }} as tenants
        on noted.tenant_id = tenants.tenant_id
    where noted.entity = '{{ entity }}'
        and ({{ conditions | join('\n            or ') }})
    group by held.tenant_id, held.source_system, noted.entity
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    tenant_id,
    'CM-PLAUS-008' as code,
    feed,
    '' as other_feed,
    entity,
    cast(null as date) as found_day,
    found_rows,
    cast(null as decimal(18, 4)) as found_amount
from standing
