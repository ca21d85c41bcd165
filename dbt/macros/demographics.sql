{#
    Who the patient of a row is, without naming anybody: the columns age_band, sex, language and zip3, each "unknown" where no feed says.

    person   alias of int_patients, joined by the row's patient
    day      date of the row: the age is of that day
#}
{% macro demographics(person, day) -%}
    {{ age_band(person ~ '.birth_year', day) }} as age_band,
    coalesce({{ person }}.sex, 'unknown') as sex,
    coalesce({{ person }}.language, 'unknown') as language,
    coalesce({{ person }}.zip3, 'unknown') as zip3
{%- endmacro %}

{#
    The column patient_kind: "new", "established" or "unknown".

    visit_type   alias of int_visit_types, joined by the row's visit type
    past         alias of int_visit_history, joined by the row's patient and day
#}
{% macro patient_kind(visit_type, past) -%}
    case
        when {{ visit_type }}.is_new_patient then 'new'
        else coalesce({{ past }}.patient_kind, 'unknown')
    end as patient_kind
{%- endmacro %}

{# The band of the age that a person reaches in the year of a day: feeds give the year of birth to the model, never the day. #}
{% macro age_band(birth_year, day) -%}
{%- set age = '(extract(year from ' ~ day ~ ') - ' ~ birth_year ~ ')' -%}
case
        when {{ birth_year }} is null or {{ day }} is null or {{ age }} < 0 then 'unknown'
        {%- for first, last in [(0, 17), (18, 34), (35, 49), (50, 64), (65, 74), (75, 84)] %}
        when {{ age }} <= {{ last }} then '{{ first }} to {{ last }}'
        {%- endfor %}
        else '85 and over'
    end
{%- endmacro %}
