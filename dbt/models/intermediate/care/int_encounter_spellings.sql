with named as (
    {%- for entity in ['charges', 'bed_movements', 'claims', 'patient_payments'] %}
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
)

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
order by 1, 2
