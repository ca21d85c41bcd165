{# Whether no line of another feed stands for a line of `lines`, by `int_billing_links`. #}
{% macro is_not_told(lines, line_id) -%}
    not exists (
        select 1
        from {{ ref('int_billing_links') }} as links
        where
            links.tenant_id = {{ lines }}.tenant_id
            and links.line_id = {{ line_id }}
            and links.counted_line_id is not null
    )
{%- endmacro %}
