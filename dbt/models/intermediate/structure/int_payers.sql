with latest as (
    select
        tenant_id,
        payer_id,
        name,
        payer_class,
        electronic_payer_id,
        row_number() over (partition by tenant_id, payer_id order by valid_from desc) as choice
    from {{ ref('int_payer_classes') }}
),

listed as (
    select tenant_id, payer_id, name, payer_class, electronic_payer_id from latest where choice = 1
),

referenced as (
    {{ referenced_ids('payer_id', ['contract_rates', 'coverages', 'appointments', 'encounters', 'charges', 'claims',
        'remittances', 'remittance_claims', 'authorizations', 'eligibility_answers']) }}
),

inferred as (
    select distinct
        referenced.tenant_id,
        coalesce(crosswalk.current_payer_id, referenced.payer_id) as payer_id
    from referenced
    left join {{ ref('int_payer_crosswalk') }} as crosswalk
        on referenced.tenant_id = crosswalk.tenant_id
        and referenced.payer_id = crosswalk.payer_id
)

select tenant_id, payer_id, name, payer_class, electronic_payer_id, true as is_listed
from listed
union all
select inferred.tenant_id, inferred.payer_id, 'Unlisted ' || inferred.payer_id, 'unmapped', null, false
from inferred
left join listed
    on inferred.tenant_id = listed.tenant_id
    and inferred.payer_id = listed.payer_id
where listed.payer_id is null
union all
select tenant_id, 'unknown', 'Not recorded', 'unmapped', null, false
from {{ ref('stg_tenants') }}
order by 1, 2
