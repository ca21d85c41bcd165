{#
    The step `marts` of one measure of `reconciliation_mart`: what the mart holds, of every tenant that has raw rows of the entity or
    rows in the mart. `counted_as` is the same question to a published file, which holds one tenant: publishing asks it again.
#}
{% macro counted_in_mart(chain, measure, current) -%}
{%- set count = 'count(distinct ' ~ chain.counts ~ ')' if chain.counts else 'count(*)' -%}
{%- set what = count if measure == 'rows' else 'coalesce(sum(' ~ chain.amounts[measure] ~ '), 0)' -%}
{%- set where_rows = chain.get('counted', 'true') -%}
{%- set question = 'select ' ~ what ~ ' from marts.' ~ chain.mart ~ ' where ' ~ where_rows -%}
{%- if chain.less -%}
    {%- set question = 'select (' ~ question ~ ') - (select coalesce(sum(' ~ chain.less[1] ~ '), 0) from marts.' ~ chain.less[0] ~ ')' -%}
{%- endif -%}
select tenant_id, '{{ chain.entity }}', '{{ measure }}', 'marts', '', sum(total),
    {{ dbt.string_literal(dbt.escape_single_quotes(question)) }}
from (
    select tenant_id, {{ what }} as total from {{ ref(chain.mart) }} where {{ where_rows }} group by tenant_id
    {%- if chain.less %}
    union all
    select tenant_id, -coalesce(sum({{ chain.less[1] }}), 0) from {{ ref(chain.less[0]) }} group by tenant_id
    {%- endif %}
    union all
    select tenant_id, 0 from {{ current }}
) as counted
group by tenant_id
{%- endmacro %}
