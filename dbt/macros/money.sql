{# The type money is held in: cents exact, and the finer fractions some payers send. #}
{% macro money(expression) -%}
    cast({{ expression }} as decimal(18, 4))
{%- endmacro %}
