{#
    The join key of the place in the tree where a unit stood on a day: its own key where it stands there now or the day is
    not known.

    unit, tenant   columns with their alias
    day            a date
#}
{% macro service_unit_key(unit, tenant, day) -%}
    coalesce(
        (
            select former.service_unit_key
            from {{ ref('int_service_unit_versions') }} as former
            where former.tenant_id = {{ tenant }}
                and former.service_unit_id = {{ unit }}
                and not former.is_current
                and {{ day }} between former.valid_from and former.valid_to
        ),
        {{ entity_key(unit, tenant) }}
    )
{%- endmacro %}
