{#
    A table of which a run replaces the rows of touched tenants, and leaves those of all others: within one transaction the
    tenant's rows go and what the model's SELECT gives for it comes, so that a tenant without rows is gone. Where everybody is
    to be built the table is made again, as by the materialization `table`.

    The model has a column tenant_id, and reads nothing from which another tenant's rows could change its own.
#}
{% materialization by_tenant, adapter='duckdb' %}
    {%- if clinicmart.builds_everybody() -%}
        {{ return(materialization_table_duckdb()) }}
    {%- endif -%}
    {{ return(clinicmart.replace_touched()) }}
{% endmaterialization %}

{% materialization by_tenant, default %}
    {%- if clinicmart.builds_everybody() -%}
        {{ return(materialization_table_default()) }}
    {%- endif -%}
    {{ return(clinicmart.replace_touched()) }}
{% endmaterialization %}

{# Fails where tenants that are not touched would be missing: their rows are not among those that this run reads. #}
{% macro builds_everybody() -%}
    {%- if clinicmart.touched_tenants() is none -%}
        {{ return(true) }}
    {%- endif -%}
    {%- set there = load_cached_relation(this) -%}
    {%- if there is none or not there.is_table -%}
        {%- do exceptions.raise_compiler_error(this ~ ' is not there yet: build with --full-refresh') -%}
    {%- endif -%}
    {{ return(false) }}
{%- endmacro %}

{% macro replace_touched() -%}
    {%- set is_touched = clinicmart.is_touched() -%}
    {%- set held = adapter.get_columns_in_relation(this) | map(attribute='name') | list -%}
    {%- set given = get_column_schema_from_query(sql) | map(attribute='name') | list -%}
    {%- if held | sort != given | sort -%}
        {%- do exceptions.raise_compiler_error(this ~ ' has other columns than its model: build with --full-refresh') -%}
    {%- endif -%}
    {%- set columns = [] -%}
    {%- for name in held -%}
        {%- do columns.append(adapter.quote(name)) -%}
    {%- endfor -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') %}
        delete from {{ this }} where {{ is_touched }};
        insert into {{ this }} ({{ columns | join(', ') }})
        select {{ columns | join(', ') }}
        from (
            {{ sql }}
        ) as model
        where {{ is_touched }}
    {% endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{%- endmacro %}
