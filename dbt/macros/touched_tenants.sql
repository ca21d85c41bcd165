{#
    The tenants of which something changed since the marts were last built and passed: a list of identifiers, or none where
    everybody is to be built. Everybody is: with --full-refresh, where the load left no table raw.touched_tenant, and where
    that names every tenant there is. `ingest.load.raw_tables` writes the table; it does not change while dbt runs.
#}
{% macro touched_tenants() -%}
    {%- if not execute or flags.FULL_REFRESH -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set touched = adapter.get_relation(database=target.database, schema='raw', identifier='touched_tenant') -%}
    {%- if touched is none -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set names = run_query('select tenant_id from ' ~ touched ~ ' order by tenant_id').columns[0].values() -%}
    {%- set untouched = run_query(
        'select count(*) from ' ~ source('raw', 'tenant') ~ ' where tenant_id not in (select tenant_id from ' ~ touched ~ ')'
    ).columns[0].values()[0] -%}
    {{ return(names | list if untouched else none) }}
{%- endmacro %}

{# The condition under which a row is of a touched tenant; `true` where everybody is to be built. #}
{% macro is_touched() -%}
    {{ return(clinicmart.is_one_of(clinicmart.touched_tenants())) }}
{%- endmacro %}

{# Every staging model ends its source with this: models build for touched tenants only. #}
{% macro where_touched() -%}
    {%- set tenants = clinicmart.touched_tenants() -%}
    {%- if tenants is not none %}
    where {{ clinicmart.is_one_of(tenants) }}
    {%- endif -%}
{%- endmacro %}

{# Names are written out: a list of constants is what engines push down into tables that lie in tenant order. #}
{% macro is_one_of(tenants) -%}
    {%- if tenants is none -%}
        {{ return('true') }}
    {%- elif not tenants -%}
        {{ return('false') }}
    {%- endif -%}
    {%- set names = [] -%}
    {%- for tenant in tenants -%}
        {%- do names.append(dbt.string_literal(dbt.escape_single_quotes(tenant))) -%}
    {%- endfor -%}
    {{ return('tenant_id in (' ~ names | join(', ') ~ ')') }}
{%- endmacro %}
