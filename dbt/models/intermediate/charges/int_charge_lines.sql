-- Every line a balance can stand on, with the unit, provider, payer and dates that hold for it: the line's own, else
-- the claim's, else the encounter's, else "unknown".
with claim_levels as (
    select events.tenant_id, events.charge_line_id, min(events.claim_id) as claim_id
    from {{ ref('int_line_events') }} as events
    left join {{ ref('int_billed_lines') }} as billed
        on events.tenant_id = billed.tenant_id
        and events.charge_line_id = billed.charge_line_id
    where billed.charge_line_id is null and events.match_method = 'claim'
    group by events.tenant_id, events.charge_line_id
),

lines as (
    select * from {{ ref('int_billed_lines') }}
    union all
    select
        levels.tenant_id,
        levels.charge_line_id,
        'claim_balance',
        null,
        levels.claim_id,
        {{ nulls(11) }},
        false,
        0,
        null,
        false,
        {{ nulls(2) }},
        claims.source_system,
        claims.source_record_id,
        claims.source_position
    from claim_levels as levels
    left join {{ ref('int_claims') }} as claims
        on levels.tenant_id = claims.tenant_id
        and levels.claim_id = claims.claim_id
    union all
    select
        tenant_id,
        charge_line_id,
        'unapplied',
        null,
        claim_id,
        encounter_id,
        patient_id,
        service_unit_id,
        null,
        payer_id,
        {{ nulls(6) }},
        false,
        0,
        service_date,
        true,
        {{ nulls(2) }},
        source_system,
        source_record_id,
        source_position
    from {{ ref('int_unapplied_lines') }}
),

placed as (
    select
        lines.*,
        coalesce(context.encounter_id, lines.encounter_id) as context_encounter_id,
        {%- for name in ['service_unit', 'provider', 'payer'] %}
        coalesce(lines.{{ name }}_id, nullif(context.{{ name }}_id, 'unknown'), encounters.{{ name }}_id, 'unknown')
            as line_{{ name }}_id,
        {%- endfor %}
        coalesce(lines.patient_id, context.patient_id, encounters.patient_id) as line_patient_id,
        coalesce(encounters.visit_type_id, context.visit_type_id, 'unknown') as visit_type_id,
        coalesce(encounters.encounter_class, context.encounter_class, 'UNK') as encounter_class,
        coalesce(lines.service_date, context.claim_date, encounters.encounter_date) as line_date,
        context.first_submitted_date
    from lines
    left join {{ ref('int_claim_context') }} as context
        on lines.tenant_id = context.tenant_id
        and lines.claim_id = context.claim_id
    left join {{ ref('int_encounters') }} as encounters
        on lines.tenant_id = encounters.tenant_id
        and lines.encounter_id = encounters.encounter_id
)

select
    placed.tenant_id,
    placed.charge_line_id,
    placed.line_kind,
    placed.charge_id,
    placed.claim_id,
    coalesce(placed.encounter_id, placed.context_encounter_id) as encounter_id,
    {%- for name in ['patient', 'service_unit', 'provider', 'payer'] %}
    placed.line_{{ name }}_id as {{ name }}_id,
    {%- endfor %}
    coalesce(classes.payer_class, 'unmapped') as payer_class,
    placed.visit_type_id,
    placed.encounter_class,
    placed.procedure_code,
    placed.modifiers,
    placed.revenue_code,
    placed.place_of_service,
    placed.units,
    placed.is_reversal,
    placed.billed_amount,
    coalesce(placed.line_date, {{ local_date('placed.entered_at', 'units.time_zone') }}, placed.posted_date)
        as service_date,
    coalesce(placed.posted_date, {{ local_date('placed.entered_at', 'units.time_zone') }}, placed.first_submitted_date,
        placed.line_date) as posted_date,
    {{ local_date('placed.entered_at', 'units.time_zone') }} as entered_date,
    placed.first_submitted_date,
    placed.source_system,
    placed.source_record_id,
    placed.source_position
from placed
inner join {{ ref('int_service_units') }} as units
    on placed.tenant_id = units.tenant_id
    and placed.line_service_unit_id = units.service_unit_id
left join {{ ref('int_payer_classes') }} as classes
    on placed.tenant_id = classes.tenant_id
    and placed.line_payer_id = classes.payer_id
    and coalesce(placed.line_date, placed.posted_date) between classes.valid_from and classes.valid_to
order by placed.tenant_id, placed.charge_line_id
