{# The spans [valid_from, valid_to) of each combination of these columns follow each other without gap or overlap. #}
{% test without_gaps(model, columns, valid_from, valid_to) %}
select *
from (
    select
        *,
        lead({{ valid_from }}) over (partition by {{ columns | join(', ') }} order by {{ valid_from }}) as next_from
    from {{ model }}
) as spans
where next_from <> {{ valid_to }}
{% endtest %}
