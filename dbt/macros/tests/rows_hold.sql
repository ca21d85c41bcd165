{#
    What holds of a model's rows, in one query, because every test costs a build its own overhead:

    unique      lists of columns; no two rows share the values of one list. tenant_id belongs among them.
    not_null    columns that are never null.
    references  {column, to, field}: every value is found in the field of the other model within the same tenant; nulls pass.
    rules       SQL expressions that hold on every row, or {where, rule} for the rows of a condition; where one is null it fails.
    of_tenant   false for a model without tenants.

    Gives a row for each tenant and rule that is broken, with the rule's text and how many rows break it.
#}
{% test rows_hold(model, unique=[], not_null=[], references=[], rules=[], of_tenant=true) %}
{{ config(fail_calc='coalesce(sum(row_count), 0)') }}
{%- set tenant = 'tenant_id' if of_tenant else 'cast(null as varchar)' -%}
{%- set counts = [] -%}
{%- for column in not_null -%}
    {%- do counts.append({'rule': column ~ ' is not null', 'broken': column ~ ' is null'}) -%}
{%- endfor -%}
{%- for item in rules -%}
    {%- if item is mapping -%}
        {%- do counts.append({
            'rule': item['rule'] ~ ' where ' ~ item['where'],
            'broken': '(' ~ item['where'] ~ ') and coalesce(not (' ~ item['rule'] ~ '), true)',
        }) -%}
    {%- else -%}
        {%- do counts.append({'rule': item, 'broken': 'coalesce(not (' ~ item ~ '), true)'}) -%}
    {%- endif -%}
{%- endfor -%}
{%- set findings = [] -%}

with counted as (
    select
        {{ tenant }} as tenant_id
        {%- for item in counts %},
        count(*) filter (where {{ item.broken }}) as broken_{{ loop.index }}
        {%- endfor %}
    from {{ model }}
    group by 1
)
{% for item in counts -%}
    {%- do findings.append('select tenant_id, ' ~ clinicmart.text_literal(item.rule) ~ ' as rule, broken_' ~ loop.index
        ~ ' as row_count from counted where broken_' ~ loop.index ~ ' > 0') -%}
{%- endfor -%}
{%- for columns in unique -%}
    {%- set listed = columns | join(', ') -%}
    {#- Rows of several tenants with one key concern everybody. -#}
    {%- set whose = 'case when count(distinct tenant_id) = 1 then min(tenant_id) end' if of_tenant else tenant -%}
    {%- do findings.append('select ' ~ whose ~ ' as tenant_id, ' ~ clinicmart.text_literal('unique: ' ~ listed)
        ~ ' as rule, count(*) as row_count from ' ~ model ~ ' group by ' ~ listed ~ ' having count(*) > 1') -%}
{%- endfor -%}
{%- for item in references -%}
    {%- do findings.append('select child.tenant_id, '
        ~ clinicmart.text_literal(item['column'] ~ ' is a ' ~ item['field'] ~ ' of ' ~ item['to'].identifier) ~ ' as rule, '
        ~ 'count(*) as row_count from (select tenant_id, ' ~ item['column'] ~ ' from ' ~ model
        ~ ' where ' ~ item['column'] ~ ' is not null) as child left join ' ~ item['to'] ~ ' as parent'
        ~ ' on child.tenant_id = parent.tenant_id and child.' ~ item['column'] ~ ' = parent.' ~ item['field']
        ~ ' where parent.' ~ item['field'] ~ ' is null group by child.tenant_id') -%}
{%- endfor %}
{{ findings | join('\nunion all\n') }}
{% endtest %}


{% macro text_literal(text) -%}
    {{ return(dbt.string_literal(dbt.escape_single_quotes(text))) }}
{%- endmacro %}
