{#
    What a later payer's contractual amount adds to what is posted: no more than it states, and no more than what it explains
    by others exceeds. A negative amount raises the balance and counts whole.
    amounts   row of int_coordinated_amounts
    posted    payments and reductions of the payers before
#}
{% macro new_contractual(amounts, posted) -%}
    least({{ amounts }}.contractual_amount, greatest({{ amounts }}.explained_amount - ({{ posted }}), 0))
{%- endmacro %}
