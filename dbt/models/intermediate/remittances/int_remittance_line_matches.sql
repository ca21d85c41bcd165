-- Within one claim payment a charge is taken once: what the line control number names goes first, then each way of
-- likeness takes from what is left, equal ones in order. Lines that share a number are a line the payer split, as long
-- as together they bill no more than the charge.
{%- set ways = [
    ('code_modifiers_amount_date', ['billed_code', 'modifiers', 'billed_size', 'own_date'], 'true'),
    ('code_amount_date', ['billed_code', 'billed_size', 'own_date'], 'true'),
    ('code_amount', ['billed_code', 'billed_size'], 'targets.own_date is null'),
    ('code_date', ['billed_code', 'modifiers', 'own_date'], 'true'),
] %}
with lines as materialized (
    select
        tenant_id,
        remittance_claim_id,
        remittance_line_id,
        claim_id,
        line_number,
        line_control_number,
        billed_code,
        coalesce(modifiers, '') as modifiers,
        billed_size,
        service_date as own_date
    from {{ ref('int_remittance_line_amounts') }}
    where is_matched
),

targets as materialized (
    select
        tenant_id,
        claim_id,
        charge_line_id,
        line_control_number,
        coalesce(procedure_code, revenue_code) as billed_code,
        coalesce(modifiers, '') as modifiers,
        abs(billed_amount) as billed_size,
        -- A line without a day may be of any day.
        case when has_own_date then service_date end as own_date,
        case when is_reversal then 1 else 0 end as preference,
        row_number() over (
            partition by tenant_id, claim_id, line_control_number
            order by case when is_reversal then 1 else 0 end, billed_amount desc, charge_line_id
        ) as number_choice
    from {{ ref('int_billed_lines') }}
    where line_kind <> 'claim_balance' and claim_id is not null
),

numbered as (
    select
        lines.tenant_id,
        lines.remittance_claim_id,
        lines.remittance_line_id,
        targets.charge_line_id,
        targets.billed_size as charged_size,
        sum(lines.billed_size) over (
            partition by lines.tenant_id, lines.remittance_claim_id, targets.charge_line_id
        ) as answered_size,
        row_number() over (
            partition by lines.tenant_id, lines.remittance_claim_id, targets.charge_line_id
            order by
                case when lines.billed_code = targets.billed_code then 0 else 1 end,
                case when lines.billed_size = targets.billed_size then 0 else 1 end,
                lines.line_number,
                lines.remittance_line_id
        ) as likeness
    from lines
    inner join (select * from targets where number_choice = 1) as targets
        on lines.tenant_id = targets.tenant_id
        and lines.claim_id = targets.claim_id
        and lines.line_control_number = targets.line_control_number
),

matched_0 as materialized (
    select tenant_id, remittance_claim_id, remittance_line_id, charge_line_id, 'line_control_number' as match_method
    from numbered
    where answered_size <= charged_size or likeness = 1
)
{%- for method, keys, condition in ways %},

open_lines_{{ loop.index }} as materialized (
    select
        lines.*,
        row_number() over (
            partition by lines.tenant_id, lines.remittance_claim_id, lines.{{ keys | join(', lines.') }}
            order by lines.line_number, lines.remittance_line_id
        ) as place
    from lines
    left join matched_{{ loop.index0 }} as taken
        on lines.tenant_id = taken.tenant_id
        and lines.remittance_line_id = taken.remittance_line_id
    where taken.remittance_line_id is null
),

open_targets_{{ loop.index }} as (
    select
        claims.remittance_claim_id,
        targets.*,
        row_number() over (
            partition by claims.tenant_id, claims.remittance_claim_id, targets.{{ keys | join(', targets.') }}
            order by targets.preference, targets.charge_line_id
        ) as place
    from (select distinct tenant_id, remittance_claim_id, claim_id from open_lines_{{ loop.index }}) as claims
    inner join targets
        on claims.tenant_id = targets.tenant_id
        and claims.claim_id = targets.claim_id
    left join matched_{{ loop.index0 }} as taken
        on claims.tenant_id = taken.tenant_id
        and claims.remittance_claim_id = taken.remittance_claim_id
        and targets.charge_line_id = taken.charge_line_id
    where taken.charge_line_id is null and {{ condition }}
),

matched_{{ loop.index }} as materialized (
    select * from matched_{{ loop.index0 }}
    union all
    select lines.tenant_id, lines.remittance_claim_id, lines.remittance_line_id, targets.charge_line_id, '{{ method }}'
    from open_lines_{{ loop.index }} as lines
    inner join open_targets_{{ loop.index }} as targets
        on lines.tenant_id = targets.tenant_id
        and lines.remittance_claim_id = targets.remittance_claim_id
        {%- for key in keys %}
        and lines.{{ key }} = targets.{{ key }}
        {%- endfor %}
        and lines.place = targets.place
)
{%- endfor %}

select tenant_id, remittance_claim_id, remittance_line_id, charge_line_id, match_method
from matched_{{ ways | length }}
order by tenant_id, remittance_claim_id
