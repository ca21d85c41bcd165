with collapsed as (
    {{ collapse(ref('stg_provider_service_units'), 'provider_service_unit',
        ['provider_id', 'service_unit_id', 'credentialed_from'], ['credentialed_to'], winner_only=['credentialed_to']) }}
),

rekeyed as (
    select
        collapsed.tenant_id,
        {{ current_id('collapsed', 'provider') }} as current_provider_id,
        collapsed.service_unit_id,
        collapsed.credentialed_from,
        collapsed.credentialed_to,
        collapsed.source_system,
        collapsed.source_record_id,
        collapsed.source_position
    from collapsed
    {{ crosswalk_joins('collapsed', ['provider']) }}
)

-- Feeds may know one provider under two identifiers: of equal credentials the one that lasts longer counts.
select
    tenant_id,
    current_provider_id as provider_id,
    service_unit_id,
    credentialed_from as valid_from,
    case when count(*) = count(credentialed_to) then max(credentialed_to) end as valid_to,
    min(source_system) as source_system,
    min(source_record_id) as source_record_id,
    min(source_position) as source_position
from rekeyed
group by tenant_id, current_provider_id, service_unit_id, credentialed_from
order by tenant_id, provider_id, service_unit_id, valid_from
