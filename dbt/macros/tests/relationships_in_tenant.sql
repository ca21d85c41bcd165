{# Every value of the column is found in the other model within the same tenant; nulls pass. #}
{% test relationships_in_tenant(model, column_name, to, field) %}
with child as (
    select tenant_id, {{ column_name }} from {{ model }} where {{ column_name }} is not null
)

select child.tenant_id, child.{{ column_name }}, count(*) as row_count
from child
left join {{ to }} as parent
    on child.tenant_id = parent.tenant_id
    and child.{{ column_name }} = parent.{{ field }}
where parent.{{ field }} is null
group by child.tenant_id, child.{{ column_name }}
{% endtest %}
