with periods as (
    select
        bed_day.tenant_id,
        min(bed_day.bed_date) as first_day,
        greatest(max(bed_day.bed_date), max(tenant.data_as_of_date)) as last_day
    from {{ ref('fct_bed_days') }} as bed_day
    inner join {{ ref('stg_tenants') }} as tenant on bed_day.tenant_id = tenant.tenant_id
    group by bed_day.tenant_id
),

days as (
    select
        unit.tenant_id,
        unit.service_unit_id,
        unit.staffed_beds,
        {{ each_day('period.first_day', 'period.last_day') }} as bed_date
    from {{ ref('int_service_units') }} as unit
    inner join periods as period on unit.tenant_id = period.tenant_id
    where unit.staffed_beds > 0
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
