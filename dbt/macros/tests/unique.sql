{# No two rows have one value of the column; nulls pass. In the place of dbt's own test, which does not say whose rows it found. #}
{% test unique(model, column_name) %}
select *
from {{ model }}
where {{ column_name }} in (
    select {{ column_name }} from {{ model }} where {{ column_name }} is not null group by {{ column_name }} having count(*) > 1
)
{% endtest %}
