{#
    No column of the list is null on any row: one query for all of them. Gives a row for each tenant and column that breaks it;
    `of_tenant: false` for a model without tenants.
#}
{% test no_nulls(model, columns, of_tenant=true) %}
with counted as (
    select
        {{ 'tenant_id,' if of_tenant }}
        {% for column in columns %}
        count(*) - count({{ column }}) as nulls_{{ loop.index }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ model }}
    {{ 'group by tenant_id' if of_tenant }}
)

{% for column in columns %}
select {{ 'tenant_id,' if of_tenant }} '{{ column }}' as column_name, nulls_{{ loop.index }} as null_rows
from counted
where nulls_{{ loop.index }} > 0
{{ 'union all' if not loop.last }}
{% endfor %}
{% endtest %}
