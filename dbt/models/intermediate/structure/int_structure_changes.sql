-- A state that comes again is no change; of two states at one moment the last in the alphabet stands, so that a rebuild
-- chooses alike.
with ranked as (
    select
        seen.tenant_id,
        seen.source_system,
        seen.entity,
        seen.identifier,
        seen.parent_service_unit_id,
        seen.billing_profile,
        seen.payer_class,
        seen.observed_at,
        dense_rank() over (
            partition by seen.tenant_id, seen.entity, seen.identifier
            order by coalesce(ranking.precedence, 999), seen.source_system
        ) as feed_rank,
        row_number() over (
            partition by seen.tenant_id, seen.entity, seen.identifier, seen.source_system, seen.observed_at
            order by coalesce(seen.parent_service_unit_id, '') desc, coalesce(seen.billing_profile, '') desc,
                coalesce(seen.payer_class, '') desc
        ) as choice
    from {{ ref('stg_structure_observations') }} as seen
    left join {{ ref('stg_system_of_record') }} as ranking
        on seen.tenant_id = ranking.tenant_id
        and seen.source_system = ranking.source_system
        and seen.entity = ranking.entity
),

states as (
    select
        *,
        coalesce(parent_service_unit_id, '') || '|' || coalesce(billing_profile, '') || '|' || coalesce(payer_class, '')
            as state
    from ranked
    where choice = 1
),

compared as (
    select
        states.*,
        lag(state) over (partition by tenant_id, source_system, entity, identifier order by observed_at) as former_state
    from states
),

changed as (
    select
        compared.*,
        {{ local_date('compared.observed_at', 'tenants.time_zone') }} as observed_date,
        row_number() over (
            partition by compared.tenant_id, compared.source_system, compared.entity, compared.identifier
            order by compared.observed_at
        ) as state_number
    from compared
    inner join {{ ref('stg_tenants') }} as tenants
        on compared.tenant_id = tenants.tenant_id
    where compared.former_state is null or compared.former_state <> compared.state
),

-- Several changes on one day are one: the last of them.
daily as (
    select
        changed.*,
        row_number() over (
            partition by tenant_id, source_system, entity, identifier,
                case when state_number = 1 then null else observed_date end
            order by observed_at desc
        ) as choice_of_day
    from changed
)

select
    tenant_id,
    source_system,
    entity,
    identifier,
    feed_rank,
    case when state_number = 1 then cast('1900-01-01' as date) else observed_date end as effective_from,
    parent_service_unit_id,
    billing_profile,
    payer_class
from daily
where choice_of_day = 1
order by 1, 2, 3, 4, 6
