{#- The services that a copay at the visit is for, nearest first: an office visit, then the plan as a whole. -#}
{%- set shares = [
    {'name': 'copay_amount', 'type': 'copay', 'kind': 'total', 'value': 'benefit_amount'},
    {'name': 'deductible_amount', 'type': 'deductible', 'kind': 'total', 'value': 'benefit_amount'},
    {'name': 'deductible_used_amount', 'type': 'deductible', 'kind': 'used', 'value': 'benefit_amount'},
    {'name': 'deductible_left_amount', 'type': 'deductible', 'kind': 'remaining', 'value': 'benefit_amount'},
    {'name': 'coinsurance_percent', 'type': 'coinsurance', 'kind': 'total', 'value': 'benefit_percent'}
] -%}
-- Of what an answer states of one kind the nearest counts: an office visit before the whole plan, the patient before the family, the
-- network before both. Where the nearest are several different amounts, the answer does not say which holds.
with ranked as (
    select
        *,
        case service_type_code when '98' then 0 else 1 end * 100
        + case coverage_level when 'individual' then 0 when 'unknown' then 1 when 'other' then 2 else 3 end * 10
        + case network when 'in' then 0 when 'any' then 1 else 2 end as distance
    from {{ ref('stg_eligibility_benefits') }}
    where network <> 'out'
        and coalesce(service_type_code, '30') in ('98', '30')
        and (benefit_amount is not null or benefit_percent is not null)
),

nearest as (
    select
        ranked.*,
        min(distance) over (
            partition by tenant_id, source_system, eligibility_answer_id, benefit_type, amount_kind,
                case when benefit_amount is null then 1 else 0 end
        ) as least_distance
    from ranked
),

chosen as (
    select
        tenant_id,
        source_system,
        eligibility_answer_id,
        {%- for share in shares %}
        {%- set condition = "benefit_type = '" ~ share.type ~ "' and amount_kind = '" ~ share.kind ~ "'" %}
        case
            when count(distinct case when {{ condition }} then {{ share.value }} end) = 1
                then min(case when {{ condition }} then {{ share.value }} end)
        end as {{ share.name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from nearest
    where distance = least_distance
    group by tenant_id, source_system, eligibility_answer_id
)

select
    tenant_id,
    source_system,
    eligibility_answer_id,
    copay_amount,
    deductible_amount,
    -- Never below nothing: a family may have used more than one person's deductible.
    case
        when deductible_left_amount is not null then deductible_left_amount
        when deductible_amount - deductible_used_amount < 0 then 0
        else deductible_amount - deductible_used_amount
    end as deductible_left_amount,
    coinsurance_percent
from chosen
order by tenant_id, source_system, eligibility_answer_id
