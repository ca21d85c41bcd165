{# The column holds nothing but these values; nulls pass. In the place of dbt's own test, which does not say whose rows it found. #}
{% test accepted_values(model, column_name, values, quote=true) %}
select *
from {{ model }}
where {{ column_name }} not in (
    {%- for value in values %}
    {{ dbt.string_literal(dbt.escape_single_quotes(value)) if quote else value }}{{ ',' if not loop.last }}
    {%- endfor %}
)
{% endtest %}
