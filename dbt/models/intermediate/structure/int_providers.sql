with rekeyed as (
    select
        providers.tenant_id,
        coalesce(crosswalk.current_provider_id, providers.provider_id) as provider_id,
        providers.npi,
        providers.display_name,
        providers.specialty,
        providers.provider_type,
        providers.is_active,
        row_number() over (
            partition by providers.tenant_id, coalesce(crosswalk.current_provider_id, providers.provider_id)
            order by
                coalesce(ranking.precedence, 999),
                case when crosswalk.current_provider_id is null then 0 else 1 end,
                providers.source_updated_at desc,
                providers.provider_id,
                providers.source_system
        ) as record_rank
    from {{ ref('stg_providers') }} as providers
    left join {{ ref('int_provider_crosswalk') }} as crosswalk
        on providers.tenant_id = crosswalk.tenant_id
        and providers.provider_id = crosswalk.provider_id
    left join {{ ref('stg_system_of_record') }} as ranking
        on providers.tenant_id = ranking.tenant_id
        and providers.source_system = ranking.source_system
        and ranking.entity = 'provider'
),

listed as (
    select
        tenant_id,
        provider_id,
        {{ first_known('npi', 'record_rank') }} as npi,
        {{ first_known('display_name', 'record_rank') }} as display_name,
        {{ first_known('specialty', 'record_rank') }} as specialty,
        {{ first_known('provider_type', 'record_rank') }} as provider_type,
        {{ first_known('is_active', 'record_rank') }} as is_active
    from rekeyed
    group by tenant_id, provider_id
),

referenced as (
    {{ referenced_ids('provider_id', ['provider_service_units', 'appointments', 'encounters', 'charges', 'claims',
        'slots', 'staff_shifts', ['referrals', 'referring_provider_id']]) }}
),

inferred as (
    select distinct
        referenced.tenant_id,
        coalesce(crosswalk.current_provider_id, referenced.provider_id) as provider_id
    from referenced
    left join {{ ref('int_provider_crosswalk') }} as crosswalk
        on referenced.tenant_id = crosswalk.tenant_id
        and referenced.provider_id = crosswalk.provider_id
)

select
    tenant_id,
    provider_id,
    npi,
    coalesce(display_name, 'Provider ' || provider_id) as name,
    specialty,
    provider_type,
    coalesce(is_active, true) as is_active,
    true as is_listed
from listed
union all
select
    inferred.tenant_id,
    inferred.provider_id,
    null,
    'Unlisted ' || inferred.provider_id,
    null,
    null,
    true,
    false
from inferred
left join listed
    on inferred.tenant_id = listed.tenant_id
    and inferred.provider_id = listed.provider_id
where listed.provider_id is null
union all
select tenant_id, 'unknown', null, 'Not recorded', null, null, true, false
from {{ ref('stg_tenants') }}
order by 1, 2
