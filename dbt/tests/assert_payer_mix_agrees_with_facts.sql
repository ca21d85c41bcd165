-- The mix holds every encounter and every dollar of the facts it is made of.
with mix as (
    select tenant_id, sum(encounters) as encounters, sum(billed_amount) as billed_amount,
        sum(payer_paid_amount) as payer_paid_amount, sum(open_balance) as open_balance
    from {{ ref('fct_payer_mix') }}
    group by tenant_id
),

visits as (
    select tenant_id, count(*) as encounters from {{ ref('fct_encounters') }} where is_encounter group by tenant_id
),

money as (
    select tenant_id, sum(billed_amount) as billed_amount, sum(payer_paid_amount) as payer_paid_amount,
        sum(open_balance) as open_balance
    from {{ ref('fct_charge_lines') }}
    group by tenant_id
)

select tenants.tenant_id
from {{ ref('dim_tenants') }} as tenants
left join mix on tenants.tenant_id = mix.tenant_id
left join visits on tenants.tenant_id = visits.tenant_id
left join money on tenants.tenant_id = money.tenant_id
where coalesce(mix.encounters, 0) <> coalesce(visits.encounters, 0)
    or coalesce(mix.billed_amount, 0) <> coalesce(money.billed_amount, 0)
    or coalesce(mix.payer_paid_amount, 0) <> coalesce(money.payer_paid_amount, 0)
    or coalesce(mix.open_balance, 0) <> coalesce(money.open_balance, 0)
