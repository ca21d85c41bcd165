{#
    The part of a positive amount for the first lines of a claim: in proportion to what these lines weigh of all lines, rounded to the
    cent with halves up. Without fractions of a cent beside the last line, and the same on both engines: whole cents are
    divided with the rest taken apart, because DuckDB divides decimals as floating-point numbers.
    amount    what is spread
    running   weight of the first lines
    total     weight of all lines
#}
{% macro portion(amount, running, total) -%}
{%- set cents = [] -%}
{%- for value in [amount, running, total] -%}
    {%- do cents.append('cast(round(cast(' ~ value ~ ' as decimal(18, 4)) * 100, 0) as decimal(18, 0))') -%}
{%- endfor -%}
{%- set product = cents[0] ~ ' * ' ~ cents[1] -%}
{%- set rest = '((' ~ product ~ ') % ' ~ cents[2] ~ ')' -%}
case
    when {{ cents[2] }} = 0 then 0
    when {{ amount }} = {{ total }} then {{ running }}
    when {{ running }} = {{ total }} then {{ amount }}
    else cast(round((({{ product }}) - {{ rest }}) / {{ cents[2] }}, 0) as decimal(18, 0)) * 0.01
        + case when {{ rest }} >= {{ cents[2] }} - {{ rest }} then 0.01 else 0 end
end
{%- endmacro %}
