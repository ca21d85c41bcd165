{#
    The number of the first snapshot of receivables on a day or after it, negative before all of them: days are numbered
    one by one, months before by their ends. `bounds` has first_day, first_day_number and first_month_number.
#}
{% macro receivable_snapshot_number(day, bounds) -%}
    case
        when {{ day }} >= {{ bounds }}.first_day
            then {{ bounds }}.first_day_number + {{ date_diff_days(bounds ~ '.first_day', day) }}
        else {{ month_number(day) }} - {{ bounds }}.first_month_number
    end
{%- endmacro %}
