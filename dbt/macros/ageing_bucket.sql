{# The age of a balance on a day, in the buckets that everybody uses. #}
{% macro ageing_bucket(from_date, to_date) -%}
    case
        when {{ date_diff_days(from_date, to_date) }} <= 30 then '0-30'
        when {{ date_diff_days(from_date, to_date) }} <= 60 then '31-60'
        when {{ date_diff_days(from_date, to_date) }} <= 90 then '61-90'
        when {{ date_diff_days(from_date, to_date) }} <= 120 then '91-120'
        else '121+'
    end
{%- endmacro %}
