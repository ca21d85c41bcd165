-- What a source dates itself tells a unit's past; without that, the places it was seen in. The one in service_unit is the
-- present one: it takes the last span, even if a history names another. The first place known also holds before it.
with stated as (
    {{ collapse(ref('stg_service_unit_placements'), 'service_unit_placement', ['service_unit_id', 'effective_from'],
        ['parent_service_unit_id', 'billing_profile'], winner_only=['parent_service_unit_id']) }}
),

history as (
    select
        stated.tenant_id,
        stated.service_unit_id,
        stated.effective_from,
        stated.parent_service_unit_id,
        stated.billing_profile
    from stated
    inner join {{ ref('stg_tenants') }} as tenants
        on stated.tenant_id = tenants.tenant_id
        -- A move that is planned has not happened.
        and (tenants.data_as_of_date is null or stated.effective_from <= tenants.data_as_of_date)
    union all
    select seen.tenant_id, seen.identifier, seen.effective_from, seen.parent_service_unit_id, seen.billing_profile
    from {{ ref('int_structure_changes') }} as seen
    left join (select distinct tenant_id, service_unit_id from stated) as dated
        on seen.tenant_id = dated.tenant_id
        and seen.identifier = dated.service_unit_id
    where seen.entity = 'service_unit'
        and seen.feed_rank = 1
        and dated.service_unit_id is null
),

known as (
    select
        history.tenant_id,
        history.service_unit_id,
        nullif(history.parent_service_unit_id, history.service_unit_id) as parent_service_unit_id,
        history.billing_profile,
        history.effective_from,
        row_number() over (
            partition by history.tenant_id, history.service_unit_id order by history.effective_from
        ) as number_from_first,
        row_number() over (
            partition by history.tenant_id, history.service_unit_id order by history.effective_from desc
        ) as number_from_last
    from history
)

select
    units.tenant_id,
    units.service_unit_id,
    case
        when coalesce(known.number_from_first, 1) = 1 then cast('0001-01-01' as date)
        else known.effective_from
    end as valid_from,
    case
        when coalesce(known.number_from_last, 1) = 1 then units.parent_service_unit_id
        else known.parent_service_unit_id
    end as parent_service_unit_id,
    case
        when coalesce(known.number_from_last, 1) = 1 then units.billing_profile
        else coalesce(known.billing_profile, units.billing_profile)
    end as billing_profile,
    units.unit_type,
    units.time_zone
from {{ ref('int_service_units_listed') }} as units
left join known
    on units.tenant_id = known.tenant_id
    and units.service_unit_id = known.service_unit_id
order by 1, 2, 3
