{#- Modifiers that one line may have. -#}
{%- set places = [1, 2, 3, 4] -%}
with rates as (
    {{ collapse(ref('stg_work_rvu_rates'), 'work_rvu_rate', ['procedure_code', 'modifier', 'effective_from'],
        ['effective_to', 'work_rvus'], winner_only=['effective_to']) | indent(4) }}
),

lines as (
    select line.*
    from {{ ref('int_charge_lines') }} as line
    inner join (select distinct tenant_id from rates) as licensed on line.tenant_id = licensed.tenant_id
    where line.line_kind in ('charge', 'claim_line')
        and line.procedure_code is not null
),

-- What is valued: each is looked up once, for all lines that have it.
services as (
    select distinct tenant_id, procedure_code, coalesce(modifiers, '') as modifiers, service_date
    from lines
),

-- A value for one of the modifiers wins over the plain one, then the table that began last.
valued as (
    select
        service.tenant_id,
        service.procedure_code,
        service.modifiers,
        service.service_date,
        rate.modifier,
        rate.work_rvus,
        row_number() over (
            partition by service.tenant_id, service.procedure_code, service.modifiers, service.service_date
            order by case when rate.modifier = '' then 1 else 0 end, rate.effective_from desc, rate.modifier
        ) as choice
    from services as service
    inner join rates as rate
        on service.tenant_id = rate.tenant_id
        and service.procedure_code = rate.procedure_code
        and service.service_date >= rate.effective_from
        and service.service_date <= coalesce(rate.effective_to, cast('9999-12-31' as date))
        and (rate.modifier = '' or position(':' || rate.modifier || ':' in ':' || service.modifiers || ':') > 0)
),

-- A modifier whose own value was taken is in that value already.
factored as (
    select
        valued.*,
        cast(
            {%- for place in places %}
            {% if not loop.first %}* {% endif %}coalesce(factor_{{ place }}.factor, 1)
            {%- endfor %}
            as decimal(12, 6)
        ) as modifier_factor
    from valued
    {%- for place in places %}
    left join {{ ref('work_rvu_modifier_factors') }} as factor_{{ place }}
        on split_part(valued.modifiers, ':', {{ place }}) = factor_{{ place }}.modifier
        and factor_{{ place }}.modifier <> valued.modifier
    {%- endfor %}
    where valued.choice = 1
)

select
    line.tenant_id,
    line.charge_line_id,
    line.encounter_id,
    line.patient_id,
    {{ service_unit_key('line.service_unit_id', 'line.tenant_id', 'line.service_date') }} as service_unit_key,
    line.service_unit_id,
    {{ entity_key('line.provider_id', 'line.tenant_id') }} as provider_key,
    line.provider_id,
    {{ entity_key('line.payer_id', 'line.tenant_id') }} as payer_key,
    line.payer_id,
    line.payer_class,
    {{ entity_key('line.visit_type_id', 'line.tenant_id') }} as visit_type_key,
    line.visit_type_id,
    line.encounter_class,
    line.procedure_code,
    coalesce(line.modifiers, '') as modifiers,
    line.is_reversal,
    value.work_rvus is not null as is_valued,
    case when line.is_reversal then -1 else 1 end * abs(coalesce(line.units, 1)) as units,
    value.work_rvus as work_rvus_per_unit,
    value.modifier_factor,
    cast(
        case when line.is_reversal then -1 else 1 end * cast(abs(coalesce(line.units, 1)) as decimal(12, 4))
        * cast(value.work_rvus as decimal(12, 4)) as decimal(18, 6)
    ) as unadjusted_work_rvus,
    cast(
        case when line.is_reversal then -1 else 1 end * cast(abs(coalesce(line.units, 1)) as decimal(12, 4))
        * cast(value.work_rvus as decimal(12, 4)) * value.modifier_factor as decimal(18, 6)
    ) as work_rvus,
    line.service_date,
    line.source_system,
    line.source_record_id,
    line.source_position
from lines as line
left join factored as value
    on line.tenant_id = value.tenant_id
    and line.procedure_code = value.procedure_code
    and coalesce(line.modifiers, '') = value.modifiers
    and line.service_date = value.service_date
order by line.tenant_id, line.service_date
