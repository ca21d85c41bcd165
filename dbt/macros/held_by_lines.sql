{#
    What the first lines of a claim, in the order of int_claim_capacities, hold of the money that names only the claim. Money goes to
    what the lines leave open. Money taken back comes first from what the lines hold above their charge, then from what else
    was posted on them. Where a payer's lines state more than it paid for the claim, the claim takes back what the lines hold
    above their charge, with anything else on it. The last line, which bills most, takes the rest.
    level       all movements of the claim up to one of them
    corrected   of them, what payers state less on the claim than on its lines
#}
{% macro held_by_lines(level, corrected) -%}
{%- set lifted = 'least(' ~ corrected ~ ', over_total)' -%}
{%- set taken = '(' ~ lifted ~ ' + greatest(- (' ~ level ~ ' + ' ~ lifted ~ '), 0))' -%}
case
    when is_last then {{ level }}
    else {{ portion('least(greatest(' ~ level ~ ' + ' ~ lifted ~ ', 0), open_total)', 'open_running', 'open_total') }}
        - {{ portion('least(' ~ taken ~ ', over_total)', 'over_running', 'over_total') }}
        - {{ portion('least(greatest(' ~ taken ~ ' - over_total, 0), posted_total)', 'posted_running', 'posted_total') }}
end
{%- endmacro %}
