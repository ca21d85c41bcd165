-- CM-PLAUS-004: a month of which a feed brings rows as before, while much fewer of them enter a base of rates. Compared with the six
-- months before, of which at least three have 20 rows.
{%- set bases = [
    ('appointment', 'fct_appointments', 'appointment_date', 'is_appointment', 'is_expected'),
    ('encounter', 'fct_encounters', 'encounter_date', 'true', 'is_encounter'),
] %}
with months as (
    {%- for entity, mart, day, is_row, is_counted in bases %}
    select
        facts.tenant_id,
        facts.source_system,
        '{{ entity }}' as entity,
        {{ month_start('facts.' ~ day) }} as month_start,
        count(*) as month_rows,
        count(case when facts.{{ is_counted }} then 1 end) as counted
    from {{ ref(mart) }} as facts
    inner join {{ ref('stg_tenants') }} as tenants
        on facts.tenant_id = tenants.tenant_id
        and facts.{{ day }} < {{ month_start('tenants.data_as_of_date') }}
    {{ 'where ' ~ is_row if is_row != 'true' }}
    group by facts.tenant_id, facts.source_system, {{ month_start('facts.' ~ day) }}
    having count(*) >= 20
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

compared as (
    select
        months.tenant_id,
        months.source_system,
        months.entity,
        months.month_start,
        months.month_rows,
        months.counted,
        count(*) as earlier_months,
        sum(earlier.month_rows) as earlier_rows,
        sum(earlier.counted) as earlier_counted
    from months
    inner join months as earlier
        on months.tenant_id = earlier.tenant_id
        and months.source_system = earlier.source_system
        and months.entity = earlier.entity
        and earlier.month_start < months.month_start
        and earlier.month_start >= cast(months.month_start - interval '6 months' as date)
    group by
        months.tenant_id, months.source_system, months.entity, months.month_start, months.month_rows, months.counted
)

select
    tenant_id,
    'CM-PLAUS-004' as code,
    source_system as feed,
    '' as other_feed,
    entity,
    cast(null as varchar) as source_position,
    month_start as found_day,
    -- As many as would have been counted before.
    cast(floor(1.0 * month_rows * earlier_counted / earlier_rows) as bigint) - counted as found_rows,
    cast(null as decimal(18, 4)) as found_amount
from compared
where
    earlier_months >= 3
    -- The feed has not shrunk to less than half, and less than half the share of its rows counts.
    and 2 * month_rows * earlier_months >= earlier_rows
    and 2 * counted * earlier_rows < month_rows * earlier_counted
