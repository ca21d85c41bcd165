{#
    What the visit numbers of rows stand for: the crosswalk of encounters, and beside it numbers that no encounter bears, where
    one encounter of the same feed and patient bears the number in another case or without blanks around it. Databases that
    compare keys without case join the two. A number that an encounter bears stands for that encounter alone.

    entities    names of the staging models (without stg_) whose rows name visits; only these, so that a figure rests on
                nothing else
    columns     tenant_id, encounter_id, current_encounter_id
#}
{% macro encounter_references(entities) -%}
with named as (
    {%- for entity in entities %}
    select tenant_id, source_system, encounter_id, patient_id
    from {{ ref('stg_' ~ entity) }}
    where encounter_id is not null
    {%- if not loop.last %}
    union
    {%- endif %}
    {%- endfor %}
),

unknown as (
    select named.*
    from named
    left join (select distinct tenant_id, encounter_id from {{ ref('stg_encounters') }}) as known
        on named.tenant_id = known.tenant_id
        and named.encounter_id = known.encounter_id
    where known.encounter_id is null
),

spelled as (
    select
        unknown.tenant_id,
        unknown.encounter_id,
        min(known.encounter_id) as known_encounter_id
    from unknown
    inner join {{ ref('stg_encounters') }} as known
        on unknown.tenant_id = known.tenant_id
        and unknown.source_system = known.source_system
        and unknown.patient_id = known.patient_id
        and lower(trim(unknown.encounter_id)) = lower(trim(known.encounter_id))
    group by unknown.tenant_id, unknown.encounter_id
    having count(distinct known.encounter_id) = 1
)

select tenant_id, encounter_id, current_encounter_id
from {{ ref('int_encounter_crosswalk') }}
union all
select
    spelled.tenant_id,
    spelled.encounter_id,
    coalesce(crosswalk.current_encounter_id, spelled.known_encounter_id)
from spelled
left join {{ ref('int_encounter_crosswalk') }} as crosswalk
    on spelled.tenant_id = crosswalk.tenant_id
    and spelled.known_encounter_id = crosswalk.encounter_id
{%- endmacro %}
