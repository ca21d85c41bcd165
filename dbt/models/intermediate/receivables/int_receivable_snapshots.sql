-- Every day of the month under way and of the one before it, month ends before those. Months before the last five years
-- are not shown; what is still open from then is.
with bounds as (
    select
        tenant_id,
        data_as_of_date,
        {{ month_number('data_as_of_date') }} - 59 as first_month,
        {{ month_number('data_as_of_date') }} - 2 as last_month
    from {{ ref('stg_tenants') }}
    where data_as_of_date is not null
),

months as (
    select tenant_id, first_month, last_month, {{ each_month('first_month', 'last_month') }} as month_number
    from bounds
),

days as (
    select
        tenant_id,
        first_month,
        {{ add_days(month_number_end('last_month'), 1) }} as first_day,
        {{ each_day(add_days(month_number_end('last_month'), 1), 'data_as_of_date') }} as snapshot_date
    from bounds
)

select
    tenant_id,
    cast(month_number - first_month as integer) as snapshot_number,
    {{ month_number_end('cast(month_number as integer)') }} as snapshot_date,
    cast(first_month as integer) as first_month_number,
    {{ add_days(month_number_end('last_month'), 1) }} as first_day
from months
union all
select
    tenant_id,
    58 + {{ date_diff_days('first_day', 'snapshot_date') }},
    snapshot_date,
    cast(first_month as integer),
    first_day
from days
order by 1, 2
