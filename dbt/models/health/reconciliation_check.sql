{#- check -> the steps whose sum, with their signs, must be the last one's. Those of one feed are checked by feed: what one feed
    lacks must not be made good by another. -#}
{%- set checks = [
    ('source', [('stated', 1)], 'given', true),
    ('gate', [('read', 1), ('quarantined', -1)], 'landed', true),
    ('landing', [('landed', 1)], 'filed', true),
    ('load', [('filed', 1), ('left', -1)], 'raw', true),
    ('build', [('raw', 1)], 'current', false),
    ('marts', [('current', 1), ('merged', -1), ('left_out', -1)], 'marts', false),
] -%}
with by_feed as (
    select tenant_id, feed, entity, measure, step, sum(total) as total
    from {{ ref('reconciliation') }}
    where feed <> ''
    group by tenant_id, feed, entity, measure, step
),

by_tenant as (
    select tenant_id, '' as feed, entity, measure, step, sum(total) as total
    from {{ ref('reconciliation') }}
    group by tenant_id, entity, measure, step
),

compared as (
{%- for name, parts, found, of_feed in checks %}
    select
        tenant_id,
        entity,
        measure,
        '{{ name }}' as check_name,
        feed,
        sum(case step {% for step, sign in parts %}when '{{ step }}' then {{ sign }} * total {% endfor %}end) as expected,
        sum(case when step = '{{ found }}' then total end) as found,
        count(case when step = '{{ parts[0][0] }}' then 1 end) as steps_known
    from {{ 'by_feed' if of_feed else 'by_tenant' }}
    where step in ('{{ found }}'{% for step, _ in parts %}, '{{ step }}'{% endfor %})
    group by tenant_id, entity, measure, feed
    {{ 'union all' if not loop.last }}
{%- endfor %}
)

select
    tenant_id,
    entity,
    measure,
    check_name,
    feed,
    cast(coalesce(expected, 0) as decimal(38, 4)) as expected,
    cast(found as decimal(38, 4)) as found,
    cast(found - coalesce(expected, 0) as decimal(38, 4)) as difference
from compared
-- A mart may hold nothing that no raw row tells of.
where found is not null and (steps_known > 0 or check_name = 'marts')
order by tenant_id, entity, measure, check_name, feed
