{# No column of the list is null on any row: one query for all of them. Gives a row for each column that breaks it. #}
{% test no_nulls(model, columns) %}
with counted as (
    select
        {% for column in columns %}
        count(*) - count({{ column }}) as nulls_{{ loop.index }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ model }}
)

{% for column in columns %}
select '{{ column }}' as column_name, nulls_{{ loop.index }} as null_rows from counted where nulls_{{ loop.index }} > 0
{{ 'union all' if not loop.last }}
{% endfor %}
{% endtest %}
