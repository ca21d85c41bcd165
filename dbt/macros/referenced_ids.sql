{# Distinct (tenant_id, identifier) named by staging models: each item is a name without stg_, or [name, column]. #}
{% macro referenced_ids(column, models) -%}
{%- for item in models %}
    {%- set model = item if item is string else item[0] %}
    {%- set source_column = column if item is string else item[1] %}
    select tenant_id, {{ source_column }} as {{ column }}
    from {{ ref('stg_' ~ model) }}
    where {{ source_column }} is not null
    group by tenant_id, {{ source_column }}
    {%- if not loop.last %}
    union
    {%- endif %}
{%- endfor %}
{%- endmacro %}
