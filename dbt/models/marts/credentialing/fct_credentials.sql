{#- Days, up to the day that the data reach, whose charges tell what a credential is worth. -#}
{%- set trailing_days = 90 -%}
with dated as (
    select credential.*, tenant.data_as_of_date
    from {{ ref('int_credentials') }} as credential
    inner join {{ ref('stg_tenants') }} as tenant on credential.tenant_id = tenant.tenant_id
),

-- What the provider billed at the unit and below it, while the credential held.
billed as (
    select
        dated.tenant_id,
        dated.provider_id,
        dated.service_unit_id,
        dated.valid_from,
        sum(line.billed_amount) as trailing_billed_amount
    from dated
    inner join {{ ref('int_service_units') }} as top
        on dated.tenant_id = top.tenant_id
        and dated.service_unit_id = top.service_unit_id
    inner join {{ ref('int_service_units') }} as unit
        on top.tenant_id = unit.tenant_id
        and starts_with(unit.path, top.path)
    inner join {{ ref('fct_charge_lines') }} as line
        on unit.tenant_id = line.tenant_id
        and unit.service_unit_id = line.service_unit_id
        and dated.provider_id = line.provider_id
    where line.service_date > {{ add_days('dated.data_as_of_date', -trailing_days) }}
        and line.service_date <= dated.data_as_of_date
        and line.service_date >= dated.valid_from
        and line.service_date <= coalesce(dated.valid_to, dated.data_as_of_date)
    group by dated.tenant_id, dated.provider_id, dated.service_unit_id, dated.valid_from
)

select
    dated.tenant_id,
    {{ entity_key(['dated.provider_id', 'dated.service_unit_id', 'cast(dated.valid_from as varchar)'], 'dated.tenant_id') }}
        as credential_key,
    {{ entity_key('dated.provider_id', 'dated.tenant_id') }} as provider_key,
    dated.provider_id,
    {{ entity_key('dated.service_unit_id', 'dated.tenant_id') }} as service_unit_key,
    dated.service_unit_id,
    dated.valid_from,
    dated.valid_to,
    {{ money('coalesce(billed.trailing_billed_amount, 0)') }} as trailing_billed_amount,
    dated.source_system,
    dated.source_record_id,
    dated.source_position
from dated
left join billed
    on dated.tenant_id = billed.tenant_id
    and dated.provider_id = billed.provider_id
    and dated.service_unit_id = billed.service_unit_id
    and dated.valid_from = billed.valid_from
order by dated.tenant_id, dated.valid_to
