{# That many columns without a value, for the branch of a union that has nothing to say. #}
{% macro nulls(count) -%}
    {%- for _ in range(count) -%}
    null{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
