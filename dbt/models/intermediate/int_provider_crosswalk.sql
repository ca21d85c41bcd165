-- Feeds that know only the NPI and feeds with identifiers of their own speak of one provider: the NPI tells.
-- Two identifiers of one feed under one NPI stay two: that feed means to keep them apart.
with listed as (
    select
        providers.tenant_id,
        providers.source_system,
        providers.provider_id,
        providers.npi,
        row_number() over (
            partition by providers.tenant_id, providers.npi
            order by
                case when providers.provider_id = providers.npi then 1 else 0 end,
                coalesce(ranking.precedence, 999),
                providers.provider_id
        ) as choice
    from {{ ref('stg_providers') }} as providers
    left join {{ ref('stg_system_of_record') }} as ranking
        on providers.tenant_id = ranking.tenant_id
        and providers.source_system = ranking.source_system
        and ranking.entity = 'provider'
    where providers.npi is not null
),

record as (
    select tenant_id, source_system, provider_id, npi from listed where choice = 1
),

aliases as (
    select listed.tenant_id, listed.provider_id, record.provider_id as current_provider_id
    from listed
    inner join record
        on listed.tenant_id = record.tenant_id
        and listed.npi = record.npi
        and listed.source_system <> record.source_system
    union
    select tenant_id, npi, provider_id from record
)

select
    aliases.tenant_id,
    aliases.provider_id,
    min(aliases.current_provider_id) as current_provider_id
from aliases
left join record
    on aliases.tenant_id = record.tenant_id
    and aliases.provider_id = record.provider_id
where record.provider_id is null
group by aliases.tenant_id, aliases.provider_id
order by 1, 2
