{#
    On DuckDB a model is made in place: what stood under its name goes within the transaction in which the new comes. dbt's own way,
    which makes it beside and renames it twice, is for engines where readers would wait; nobody reads a warehouse that is written.
    Of a build of two tiny tenants it took a sixth.
#}
{% materialization table, adapter='duckdb' %}
    {{ return(clinicmart.make_in_place('table', create_table_as(False, this.incorporate(type='table'), sql))) }}
{% endmaterialization %}

{% materialization view, adapter='duckdb' %}
    {{ return(clinicmart.make_in_place('view', get_create_view_as_sql(this.incorporate(type='view'), sql))) }}
{% endmaterialization %}

{% macro make_in_place(type, create) -%}
    {%- set there = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type=type) -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {% call statement('main') %}
        {% if there is not none -%}
            drop {{ there.type }} if exists {{ there }};
        {%- endif %}
        {{ create }}
    {% endcall %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{%- endmacro %}
