with levels as (
    {{ collapse(ref('stg_evaluation_levels'), 'evaluation_level', ['procedure_code', 'effective_from'],
        ['effective_to', 'evaluation_level', 'evaluation_group'], winner_only=['effective_to']) | indent(4) }}
),

-- Of several rows that hold on a day the one that began last counts.
leveled as (
    select
        line.*,
        level.evaluation_level,
        level.evaluation_group,
        row_number() over (
            partition by line.tenant_id, line.charge_line_id
            order by level.effective_from desc
        ) as choice
    from {{ ref('int_charge_lines') }} as line
    inner join levels as level
        on line.tenant_id = level.tenant_id
        and line.procedure_code = level.procedure_code
        and line.service_date >= level.effective_from
        and line.service_date <= coalesce(level.effective_to, cast('9999-12-31' as date))
    where line.line_kind in ('charge', 'claim_line')
)

select
    line.tenant_id,
    line.charge_line_id,
    line.encounter_id,
    line.patient_id,
    {{ line_dimensions('line') }},
    {{ demographics('person', 'line.service_date') }},
    {{ first_diagnosis(['charge', 'claim', 'visit']) }},
    line.procedure_code,
    line.evaluation_group,
    cast(line.evaluation_level as integer) as evaluation_level,
    line.is_reversal,
    cast(case when line.is_reversal then -1 else 1 end as integer) as services,
    line.service_date,
    line.source_system,
    line.source_record_id,
    line.source_position
from leveled as line
{{- first_diagnosis_joins('line', {'charge': 'charge_id', 'claim': 'claim_id', 'visit': 'encounter_id'}) }}
left join {{ ref('int_patients') }} as person
    on line.tenant_id = person.tenant_id
    and line.patient_id = person.patient_id
where line.choice = 1
order by line.tenant_id, line.service_date
