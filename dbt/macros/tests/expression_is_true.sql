{# The expression holds on every row; a row where it is null fails too. `column_name` is ignored on column level. #}
{% test expression_is_true(model, expression, column_name=none, where_rows='true') %}
select *
from {{ model }}
where ({{ where_rows }})
    and coalesce(not ({{ expression }}), true)
{% endtest %}
