{#
Post-hook of every published model, in the transaction that builds it. On DuckDB it is nothing: there a scope is a file.

On PostgreSQL, where CLINICMART_PG_READERS names the group of roles that read: forced row-level security, a policy that lets the
owner alone pass whole, one that lets a reader see the rows of the tenant and the service units that the login stands for
(functions in schema `access`), and indexes that lead with the tenant. It may run again on the same table: models that are
rebuilt and models that are added to both end protected. Columns are granted elsewhere, when the tables are shown to readers.

Citus takes no subquery in a policy, so with CLINICMART_PG_CITUS there is none. Elsewhere the functions stand in subqueries, so that they are
asked once a query. Tables are distributed when they are shown (`serving/postgres/served_views`), with what stands here: a model that reads a
distributed table beside a local one would find it empty.
#}
{% macro protect_rows() -%}
    {{ adapter.dispatch('protect_rows', 'clinicmart')() }}
{%- endmacro %}

{% macro default__protect_rows() -%}
{%- endmacro %}

{% macro postgres__protect_rows() -%}
    {%- set readers = env_var('CLINICMART_PG_READERS', '') -%}
    {#- A view is not shown to readers. -#}
    {%- if execute and readers and model.config.materialized != 'view' -%}
        {%- set described = adapter.get_columns_in_relation(this) -%}
        {%- set columns = described | map(attribute='name') | list -%}
        {%- set citus = env_var('CLINICMART_PG_CITUS', '') == 'true' -%}
        {%- set rule = clinicmart.row_rule(model.name, columns, model.config.meta or {}, citus) -%}
        {%- set place = this.include(database=False) -%}
        {%- set statements = clinicmart.tenant_indexes(place, columns, model.config.meta or {}) -%}
        {%- for column in described if citus and column.name == 'tenant_id' and column.dtype != 'text' -%}
            {#- Its tables lie beside each other where this column has one type; models under contract call it varchar. -#}
            {%- do statements.append('alter table ' ~ place ~ ' alter column tenant_id type text') -%}
        {%- endfor -%}
        {%- do statements.extend(clinicmart.row_policies(place, rule, readers)) -%}
        {%- for statement in statements -%}
            {%- do run_query(statement) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{# Made where the table has none yet: a table that is added to keeps its own. #}
{% macro tenant_indexes(place, columns, meta) -%}
    {%- set indexed = run_query("select 1 from pg_catalog.pg_index where indrelid = '" ~ place ~ "'::regclass") -%}
    {%- set statements = [] -%}
    {%- if 'tenant_id' in columns and indexed | length == 0 -%}
        {%- set seconds = [meta.get('unit_column', 'service_unit_id')] + (meta.get('order_by') or [])[:1] -%}
        {%- for second in (seconds | select('in', columns) | list) or [none] -%}
            {%- do statements.append('create index on ' ~ place ~ ' (tenant_id' ~ (', "' ~ second ~ '"' if second else '') ~ ')') -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(statements) }}
{%- endmacro %}

{#
The condition a row must meet for a reader. As in the scope files: facts that do not say whose unit they are of are not for a
login that is bound to units, nor are the dimensions that list people.
#}
{% macro row_rule(name, columns, meta, citus) -%}
    {%- set open, shut = ('', '') if citus else ('(select ', ')') -%}
    {%- set build = env_var('CLINICMART_PG_BUILD') -%}
    {%- set asked = open ~ "access.tenant_id('" ~ build ~ "')" ~ shut -%}
    {%- if 'tenant_id' not in columns and not meta.get('shared') -%}
        {{ exceptions.raise_compiler_error(name ~ ' has no tenant_id and is not marked as shared') }}
    {%- endif -%}
    {#- num_nulls and not `is null`: Citus knows no policy that asks that of a function. -#}
    num_nulls({{ asked }}) = 0
    {%- if 'tenant_id' in columns %} and tenant_id = {{ asked }}
        {%- set unit = meta.get('unit_column', 'service_unit_id') -%}
        {%- set people = name in ('dim_patients', 'dim_providers') -%}
        {%- set units = open ~ 'access.unit_ids()' ~ shut -%}
        {%- if people or not name.startswith('dim_') or name in ('dim_service_units', 'dim_service_unit_versions') %} and (num_nulls({{ units }}) = 1
            {%- if unit in columns and not people %} or "{{ unit }}" = any ({{ units }}::text[]){% endif %})
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro row_policies(place, rule, readers) -%}
    {{ return([
        'alter table ' ~ place ~ ' enable row level security',
        'alter table ' ~ place ~ ' force row level security',
        'drop policy if exists owner_all on ' ~ place,
        'create policy owner_all on ' ~ place ~ ' as permissive for all to current_user using (true) with check (true)',
        'drop policy if exists reader_rows on ' ~ place,
        'create policy reader_rows on ' ~ place ~ ' as permissive for select to "' ~ readers ~ '" using (' ~ rule ~ ')',
    ]) }}
{%- endmacro %}
