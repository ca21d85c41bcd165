{#
    Tests read the rows of touched tenants only, where a model keeps those of others: theirs passed when they were built and
    have not changed since. Everything is read where everybody is built, and of tables that are made whole every time.

    Generic tests read their model through get_where_subquery. Rows of other models that they compare with are of the same
    tenant, so that what lies outside cannot make a row of a touched tenant right or wrong.
#}
{% macro default__get_where_subquery(relation) -%}
    {%- set conditions = [] -%}
    {%- if config.get('where') -%}
        {%- do conditions.append('(' ~ config.get('where') ~ ')') -%}
    {%- endif -%}
    {%- if execute and clinicmart.keeps_untouched(model.attached_node) -%}
        {%- set is_touched = clinicmart.is_touched() -%}
        {%- if is_touched != 'true' -%}
            {%- do conditions.append(is_touched) -%}
        {%- endif -%}
    {%- endif -%}
    {%- if conditions -%}
        {{ return('(select * from ' ~ relation ~ ' where ' ~ conditions | join(' and ') ~ ') as tested') }}
    {%- endif -%}
    {{ return(relation) }}
{%- endmacro %}

{% macro keeps_untouched(unique_id) -%}
    {%- set node = graph.nodes.get(unique_id) if unique_id else none -%}
    {{ return(node is not none and node.config.materialized == 'by_tenant') }}
{%- endmacro %}

{#
    What a singular test finds has a column tenant_id; of untouched tenants it is no finding: intermediates hold no rows of
    them, marts do. A finding without tenant counts, and so does every one of a test that reads a table of Data health that is
    made whole every time: that can change for tenants that are not touched.
#}
{% macro default__get_test_sql(main_sql, fail_calc, warn_if, error_if, limit) -%}
    {%- set whole = [] -%}
    {%- for unique_id in model.depends_on.nodes if unique_id in graph.nodes -%}
        {%- set node = graph.nodes[unique_id] -%}
        {%- if node.schema == 'health' and node.config.materialized == 'table' -%}
            {%- do whole.append(unique_id) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set is_touched = 'true' if model.test_metadata or whole else clinicmart.is_touched() -%}
    select
        {{ fail_calc }} as failures,
        {{ fail_calc }} {{ warn_if }} as should_warn,
        {{ fail_calc }} {{ error_if }} as should_error
    from (
        {%- if model.test_metadata %}
        {{ main_sql }}
        {%- else %}
        select found.* from (
            {{ main_sql }}
        ) as found
        where tenant_id is null or {{ is_touched }}
        {%- endif %}
        {{ 'limit ' ~ limit if limit is not none }}
    ) as dbt_internal_test
{%- endmacro %}
