-- Months before the last five years are not shown; what is still open from then is.
with bounds as (
    select
        tenant_id,
        data_as_of_date,
        {{ month_number('data_as_of_date') }} as last_month,
        {{ month_number('data_as_of_date') }} - 59 as first_month
    from {{ ref('stg_tenants') }}
    where data_as_of_date is not null
),

months as (
    select tenant_id, data_as_of_date, {{ each_month('first_month', 'last_month') }} as month_number
    from bounds
)

select
    tenant_id,
    cast(month_number as integer) as month_number,
    -- The month under way is looked at on the day the data reach to.
    least({{ month_number_end('cast(month_number as integer)') }}, data_as_of_date) as snapshot_date
from months
order by 1, 2
