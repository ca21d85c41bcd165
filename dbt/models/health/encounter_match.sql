select
    tenant_id,
    match_rule,
    outcome,
    cast(count(*) as integer) as encounters,
    min(encounter_id) as example_encounter_id
from {{ ref('int_encounter_matches') }}
group by tenant_id, match_rule, outcome
order by tenant_id
