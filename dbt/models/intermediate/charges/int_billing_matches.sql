-- Within a visit every feed's lines are laid against those of the record, one to one: numbers first, then each way of likeness
-- takes from what is left, equal ones in order. Lines of one code and day that add up to the same are the same, however split.
{%- set ways = [
    ('code_modifiers_amount_day', ['billed_code', 'modifiers', 'billed_amount', 'service_date'], 0),
    ('code_amount_day', ['billed_code', 'billed_amount', 'service_date'], 0),
    ('code_day_total', ['billed_code', 'service_date'], 0),
    ('code_day', ['billed_code', 'service_date'], 0),
    ('code_amount_next_day', ['billed_code', 'billed_amount', 'service_date'], 1),
    ('code_amount_day_before', ['billed_code', 'billed_amount', 'service_date'], -1),
] %}
with record_lines as materialized (
    select * from {{ ref('int_billing_visits') }} where source_rank = 1 and sources > 1
),

others as materialized (
    select * from {{ ref('int_billing_visits') }} where source_rank > 1
),

numbered as (
    select
        others.tenant_id,
        others.source,
        others.line_id,
        record_lines.line_id as record_line_id,
        row_number() over (
            partition by others.tenant_id, others.line_id order by record_lines.line_id
        ) as record_choice,
        row_number() over (
            partition by others.tenant_id, others.source, record_lines.line_id order by others.line_id
        ) as choice
    from others
    inner join record_lines
        on others.tenant_id = record_lines.tenant_id
        and others.visit_id = record_lines.visit_id
        and (
            others.charge_id = record_lines.charge_id
            or others.line_control_number = record_lines.line_control_number
            or others.line_control_number = record_lines.charge_id
            or others.charge_id = record_lines.line_control_number
        )
),

matched_0 as materialized (
    select tenant_id, source, line_id, record_line_id, 'number' as match_method
    from numbered
    where record_choice = 1 and choice = 1
)
{%- for method, keys, days in ways %},

open_others_{{ loop.index }} as materialized (
    select
        others.tenant_id,
        others.source,
        others.visit_id,
        others.line_id,
        others.billed_code,
        others.modifiers,
        others.billed_amount,
        {{ add_days('others.service_date', days) if days else 'others.service_date' }} as service_date,
        row_number() over (
            partition by others.tenant_id, others.source, others.visit_id, others.{{ keys | join(', others.') }}
            order by others.billed_amount, others.line_id
        ) as place,
        sum(others.billed_amount) over (
            partition by others.tenant_id, others.source, others.visit_id, others.{{ keys | join(', others.') }}
        ) as total
    from others
    left join (select distinct tenant_id, line_id from matched_{{ loop.index0 }}) as taken
        on others.tenant_id = taken.tenant_id
        and others.line_id = taken.line_id
    where taken.line_id is null
),

open_record_{{ loop.index }} as materialized (
    select
        told.source,
        record_lines.tenant_id,
        record_lines.visit_id,
        record_lines.line_id,
        record_lines.billed_code,
        record_lines.modifiers,
        record_lines.billed_amount,
        record_lines.service_date,
        row_number() over (
            partition by record_lines.tenant_id, told.source, record_lines.visit_id, record_lines.{{ keys | join(', record_lines.') }}
            order by record_lines.billed_amount, record_lines.line_id
        ) as place,
        sum(record_lines.billed_amount) over (
            partition by record_lines.tenant_id, told.source, record_lines.visit_id, record_lines.{{ keys | join(', record_lines.') }}
        ) as total
    from (select distinct tenant_id, source, visit_id from open_others_{{ loop.index }}) as told
    inner join record_lines
        on told.tenant_id = record_lines.tenant_id
        and told.visit_id = record_lines.visit_id
    left join (select distinct tenant_id, source, record_line_id from matched_{{ loop.index0 }}) as taken
        on told.tenant_id = taken.tenant_id
        and told.source = taken.source
        and record_lines.line_id = taken.record_line_id
    where taken.record_line_id is null
),

matched_{{ loop.index }} as materialized (
    select * from matched_{{ loop.index0 }}
    union all
    select others.tenant_id, others.source, others.line_id, record_lines.line_id, '{{ method }}'
    from open_others_{{ loop.index }} as others
    inner join open_record_{{ loop.index }} as record_lines
        on others.tenant_id = record_lines.tenant_id
        and others.source = record_lines.source
        and others.visit_id = record_lines.visit_id
        {%- for key in keys %}
        and others.{{ key }} = record_lines.{{ key }}
        {%- endfor %}
        and others.{{ 'total = record_lines.total' if method == 'code_day_total' else 'place = record_lines.place' }}
)
{%- endfor %}

select tenant_id, source, line_id, record_line_id, match_method
from matched_{{ ways | length }}
order by tenant_id, line_id, record_line_id
