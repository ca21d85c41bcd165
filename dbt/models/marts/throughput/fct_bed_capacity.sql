{%- set open_days = var('ward_open_days') -%}
with taken_days as (
    select distinct tenant_id, service_unit_id, bed_date
    from {{ ref('fct_bed_days') }}
    where is_in_staffed_ward
),

-- Within the days from the tenant's first bed day to the day that its data reach to.
periods as (
    select
        bed_day.tenant_id,
        min(bed_day.bed_date) as first_day,
        greatest(max(bed_day.bed_date), max(tenant.data_as_of_date)) as last_day
    from {{ ref('fct_bed_days') }} as bed_day
    inner join {{ ref('stg_tenants') }} as tenant on bed_day.tenant_id = tenant.tenant_id
    group by bed_day.tenant_id
),

-- A day opens another span where the ward stood empty for longer than the open days after one stay and before the next.
spaced_days as (
    select
        *,
        lag(bed_date) over (partition by tenant_id, service_unit_id order by bed_date) as earlier_date
    from taken_days
),

numbered_days as (
    select
        *,
        sum(
            case when {{ date_diff_days('earlier_date', 'bed_date') }} > {{ 2 * open_days + 1 }} then 1 else 0 end
        ) over (partition by tenant_id, service_unit_id order by bed_date) as span_number
    from spaced_days
),

spans as (
    select
        tenant_id,
        service_unit_id,
        span_number,
        {{ add_days('min(bed_date)', -open_days) }} as opens_on,
        {{ add_days('max(bed_date)', open_days) }} as closes_on
    from numbered_days
    group by tenant_id, service_unit_id, span_number
),

days as (
    select
        unit.tenant_id,
        unit.service_unit_id,
        unit.staffed_beds,
        {{ each_day(
            'greatest(span.opens_on, period.first_day)',
            'least(span.closes_on, period.last_day)'
        ) }} as bed_date
    from spans as span
    inner join periods as period on span.tenant_id = period.tenant_id
    inner join {{ ref('int_service_units') }} as unit
        on span.tenant_id = unit.tenant_id
        and span.service_unit_id = unit.service_unit_id
)

select
    tenant_id,
    service_unit_id || '|' || cast(bed_date as varchar) as bed_capacity_key,
    {{ service_unit_key('days.service_unit_id', 'days.tenant_id', 'days.bed_date') }} as service_unit_key,
    service_unit_id,
    staffed_beds as staffed_bed_days,
    bed_date
from days
order by tenant_id, bed_date
