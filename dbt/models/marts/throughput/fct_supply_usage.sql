with collapsed as (
    {{ collapse(ref('stg_inventory_usages'), 'inventory_usage', 'inventory_usage_id',
        ['service_unit_id', 'encounter_id', 'item_code', 'item_name', 'quantity', 'cost_amount', 'used_at']) }}
),

usages as (
    select
        collapsed.*,
        {{ current_id('collapsed', 'encounter') }} as current_encounter_id,
        {{ local_date('collapsed.used_at', 'unit.time_zone') }} as used_date,
        unit.service_unit_id as known_service_unit_id
    from collapsed
    {{ crosswalk_joins('collapsed', ['encounter']) }}
    inner join {{ ref('int_service_units') }} as unit
        on collapsed.tenant_id = unit.tenant_id
        and collapsed.service_unit_id = unit.service_unit_id
)

select
    usage.tenant_id,
    usage.inventory_usage_id,
    usage.current_encounter_id as encounter_id,
    {{ service_unit_key('usage.known_service_unit_id', 'usage.tenant_id', 'usage.used_date') }} as service_unit_key,
    usage.known_service_unit_id as service_unit_id,
    {{ entity_key("coalesce(encounter.provider_id, 'unknown')", 'usage.tenant_id') }} as provider_key,
    coalesce(encounter.provider_id, 'unknown') as provider_id,
    usage.item_code,
    coalesce(usage.item_name, usage.item_code) as item_name,
    usage.quantity,
    {{ money('usage.cost_amount') }} as cost_amount,
    usage.used_date,
    usage.source_system,
    usage.source_record_id,
    usage.source_position
from usages as usage
left join {{ ref('fct_encounters') }} as encounter
    on usage.tenant_id = encounter.tenant_id
    and usage.current_encounter_id = encounter.encounter_id
order by usage.tenant_id, usage.used_date
