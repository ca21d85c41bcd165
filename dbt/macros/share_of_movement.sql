{#
    What the first lines of a claim get of an amount that is a part of a movement: in proportion to what they get of the movement, or to
    what they bill where the movement comes to nothing or its parts have different signs.
    amount   column of the movement
#}
{% macro share_of_movement(amount) -%}
case
    when {{ amount }} = 0 then 0
    when is_last then {{ amount }}
    when movement = 0 or payer_paid_amount * contractual_amount < 0
        then sign({{ amount }}) * {{ portion('abs(' ~ amount ~ ')', 'billed_running', 'billed_total') }}
    else sign({{ amount }}) * {{ portion('abs(' ~ amount ~ ')', 'abs(moved_running)', 'abs(movement)') }}
end
{%- endmacro %}
