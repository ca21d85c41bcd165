{#- Checks that read the ledger's accounts, one name a line: they change without a row of the tenant having come. -#}
{%- set checks = [
    'implausible_dates',
    'implausible_quarantine',
    'implausible_words',
] -%}
with found as (
    select tenant_id, code, feed, other_feed, entity, all_rows as found_rows, all_amount as found_amount, first_day, last_day
    from {{ ref('plausibility_row') }}
    where row_rank = 1
    {%- for check in checks %}
    union all
    select
        tenant_id, code, feed, other_feed, entity, sum(found_rows), sum(found_amount), min(found_day), max(found_day)
    from {{ ref(check) }}
    group by tenant_id, code, feed, other_feed, entity
    {%- endfor %}
)

select
    found.tenant_id,
    found.code,
    found.feed,
    found.other_feed,
    found.entity,
    checks.title,
    checks.meaning,
    checks.remedy,
    -- A record that could not be read may hold anything that its feed brings.
    coalesce(nullif(checks.touches, ''), case when found.entity = 'record' then '' else found.entity end) as touches,
    cast(found.found_rows as bigint) as found_rows,
    {{ money('found.found_amount') }} as found_amount,
    found.first_day,
    found.last_day
from found
inner join {{ ref('plausibility_checks') }} as checks
    on found.code = checks.code
order by found.tenant_id, found.code, found.feed, found.other_feed, found.entity
