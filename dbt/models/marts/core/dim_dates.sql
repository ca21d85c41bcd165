-- Feeds reach back to births in the 1930s; 1900 to 2050 is 55,000 rows.
with days as (
    select cast(day as date) as date_day
    from generate_series(
        cast('1900-01-01' as timestamp), cast('2050-12-31' as timestamp), interval '1 day'
    ) as series (day)
)

select
    date_day,
    cast(extract(year from date_day) as integer) as year,
    cast(extract(quarter from date_day) as integer) as quarter,
    cast(extract(month from date_day) as integer) as month,
    cast(extract(day from date_day) as integer) as day_of_month,
    cast(extract(isodow from date_day) as integer) as iso_weekday,
    cast(date_trunc('week', date_day) as date) as week_start_date,
    {{ month_start('date_day') }} as month_start_date,
    {{ month_end('date_day') }} as month_end_date,
    cast(date_trunc('quarter', date_day) as date) as quarter_start_date,
    cast(date_trunc('year', date_day) as date) as year_start_date,
    extract(isodow from date_day) >= 6 as is_weekend
from days
order by date_day
