{#
    A select of what two feeds say differently of one entity: (tenant_id, entity, column_name, record_feed, other_feed,
    keys_in_conflict, example_key, first_seen_at, last_seen_at). The record of a column is the best feed that knows it,
    the one whose value `collapse` takes; an empty value contradicts nothing.

    Identifiers are compared as the crosswalks give them, times to the minute. Patients are compared record by record:
    what was merged into another record may differ from it. A word that stands for "not known" is
    empty; an open status of another feed is no contradiction: that feed has not heard of the end.

    Only tenants with several feeds for the entity are looked at, and only keys with a difference are taken apart.

    relation   staging model
    entity     name under which the configuration ranks feeds
    key        key column without tenant_id; re-keyed where it has a crosswalk
    columns    columns to compare
    rows       SQL condition on rows to compare (alias `entity`)
#}
{% macro source_conflicts(relation, entity, key, columns, rows='true') -%}
{%- set unknown = {'status': 'unknown', 'encounter_class': 'UNK', 'payer_class': 'unmapped', 'sex': 'unknown'} -%}
{%- set open_statuses = "('proposed', 'waitlisted', 'scheduled', 'planned', 'arrived', 'in_progress', 'on_leave')" -%}
{%- set crosswalks = [] -%}
{%- for name in ['patient', 'provider', 'payer', 'encounter'] if name ~ '_id' in columns + [key] and key != 'patient_id' -%}
    {%- do crosswalks.append(name) -%}
{%- endfor -%}
{%- if key == 'patient_id' -%}
    {%- set record_key = 'coalesce(aliases.record_patient_id, entity.patient_id)' -%}
{%- else -%}
    {%- set record_key = current_id('entity', key[:-3]) if key[:-3] in crosswalks else 'entity.' ~ key -%}
{%- endif -%}
{%- set expressions = {} -%}
{%- for column in columns -%}
    {%- set name = column[:-3] -%}
    {%- if column.endswith('_id') and name in crosswalks -%}
        {%- do expressions.update({column: current_id('entity', name)}) -%}
    {%- elif column.endswith('_at') -%}
        {%- do expressions.update({column: "date_trunc('minute', entity." ~ column ~ ")"}) -%}
    {%- elif column in unknown -%}
        {%- do expressions.update({column: "nullif(entity." ~ column ~ ", '" ~ unknown[column] ~ "')"}) -%}
    {%- else -%}
        {%- do expressions.update({column: 'entity.' ~ column}) -%}
    {%- endif -%}
{%- endfor %}
with numbered as (
    {{ ranked_feeds(relation, entity) | indent(4) }}
),

told as materialized (
    select
        entity.tenant_id,
        {{ record_key }} as record_key,
        entity.source_system,
        entity.source_updated_at,
        {%- for column in columns %}
        {{ expressions[column] }} as {{ column }},
        {%- endfor %}
        numbered.feed_number
    from {{ relation }} as entity
    inner join numbered
        on entity.tenant_id = numbered.tenant_id
        and entity.source_system = numbered.source_system
        and numbered.feeds > 1
    {{ crosswalk_joins('entity', crosswalks) | indent(4) }}
    {%- if key == 'patient_id' %}
    left join {{ ref('int_patient_aliases') }} as aliases
        on entity.tenant_id = aliases.tenant_id
        and entity.patient_id = aliases.patient_id
    {%- endif %}
    where {{ rows }}
),

disputed as (
    select one.tenant_id, one.record_key
    from told as one
    inner join told as other
        on one.tenant_id = other.tenant_id
        and one.record_key = other.record_key
        and one.feed_number < other.feed_number
    where false
        {%- for column in columns %}
        or one.{{ column }} <> other.{{ column }}
            {%- if column == 'status' %} and other.status not in {{ open_statuses }}{% endif %}
        {%- endfor %}
    group by one.tenant_id, one.record_key
),

taken_apart as materialized (
    select told.*
    from told
    inner join disputed
        on told.tenant_id = disputed.tenant_id
        and told.record_key = disputed.record_key
),

said as (
    {%- for column in columns %}
    select
        tenant_id,
        record_key,
        source_system,
        source_updated_at,
        feed_number,
        '{{ column }}' as column_name,
        cast({{ column }} as varchar) as said_value
    from taken_apart
    where {{ column }} is not null
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

judged as (
    select
        *,
        first_value(said_value) over ranked as record_value,
        first_value(source_system) over ranked as record_feed,
        first_value(source_updated_at) over ranked as record_updated_at
    from said
    window ranked as (
        partition by tenant_id, record_key, column_name order by feed_number, source_updated_at desc, said_value
    )
)

select
    tenant_id,
    '{{ entity }}' as entity,
    column_name,
    record_feed,
    source_system as other_feed,
    cast(count(distinct record_key) as integer) as keys_in_conflict,
    min(record_key) as example_key,
    min(greatest(source_updated_at, record_updated_at)) as first_seen_at,
    max(greatest(source_updated_at, record_updated_at)) as last_seen_at
from judged
where said_value <> record_value
    and source_system <> record_feed
    and not (column_name = 'status' and said_value in {{ open_statuses }})
group by tenant_id, column_name, record_feed, source_system
{%- endmacro %}
