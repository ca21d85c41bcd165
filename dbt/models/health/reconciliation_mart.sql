{{ config(materialized='by_tenant') }}
{#- A chain leads from an entity's raw rows to the mart that holds them.
      key       rows of several feeds with one key are one; without it every row stands for itself
      amounts   amount column -> column of the mart
      knows     columns that the reasons need
      joins     what tells the reasons, in order: (reason, condition); rows under none of them are to be in the mart
      counted   the condition on the mart's rows; none where the mart has no row for each
      counts    the column that names a row where the mart has several for one
      less      an amount of another mart that is taken off: what the mart's column holds besides -#}
{%- set answers = "left join {answers} as answer on known.tenant_id = answer.tenant_id and known.remittance_claim_id = answer.remittance_claim_id" | replace('{answers}', ref('int_remittance_claims') | string) -%}
{%- set payments = "left join (select tenant_id, remittance_claim_id from {told} group by tenant_id, remittance_claim_id) as payment on known.tenant_id = payment.tenant_id and known.remittance_claim_id = payment.remittance_claim_id" | replace('{told}', ref('stg_remittance_claims') | string) -%}
{%- set of_answers = [('of_no_claim_payment', 'payment.remittance_claim_id is null'), ('told_by_a_remittance_too', 'not answer.is_counted')] -%}
{%- set chains = [
    {'entity': 'charge', 'key': 'charge_id', 'amounts': {'billed_amount': 'billed_amount'}, 'knows': ['status'],
        'joins': "left join (select tenant_id, line_id from " ~ ref('int_billing_links') ~ " where counted_line_id is not null) as link"
            ~ " on known.tenant_id = link.tenant_id and 'charge/' || known.charge_id = link.line_id",
        'reasons': [('not_posted', "known.status <> 'posted'"), ('billed_by_another_feed', 'link.line_id is not null')],
        'mart': 'fct_charge_lines', 'counted': "line_kind = 'charge'"},
    {'entity': 'claim', 'amounts': {'billed_amount': 'submitted_amount'},
        'joins': 'left join ' ~ ref('int_claim_submissions') ~ ' as submission on known.tenant_id = submission.tenant_id'
            ~ ' and known.claim_submission_id = submission.claim_submission_id and known.source_system = submission.source_system',
        'reasons': [('told_by_another_feed', 'not submission.is_counted')],
        'mart': 'fct_claim_submissions', 'counted': 'true'},
    {'entity': 'claim_line', 'amounts': {'billed_amount': 'billed_amount'},
        'joins': 'left join ' ~ ref('int_claim_submissions') ~ ' as submission on known.tenant_id = submission.tenant_id'
            ~ ' and known.claim_submission_id = submission.claim_submission_id and known.source_system = submission.source_system'
            ~ ' left join ' ~ ref('int_claims') ~ ' as claim on submission.tenant_id = claim.tenant_id and submission.claim_id = claim.claim_id'
            ~ ' left join ' ~ ref('int_claim_context') ~ ' as context on submission.tenant_id = context.tenant_id'
            ~ ' and submission.claim_id = context.claim_id'
            ~ ' left join (select tenant_id, line_id from ' ~ ref('int_billing_links') ~ ' where counted_line_id is not null) as link'
            ~ " on submission.tenant_id = link.tenant_id"
            ~ " and 'claim_line/' || submission.claim_id || '/' || known.line_number = link.line_id",
        'reasons': [('billed_by_charges', 'context.has_charges'), ('of_no_claim', 'context.claim_id is null'),
            ('of_a_void_claim', 'claim.is_void'),
            ('of_another_submission', 'claim.current_submission_id <> known.claim_submission_id or claim.source_system <> known.source_system'),
            ('billed_by_another_feed', 'link.line_id is not null')],
        'mart': 'fct_charge_lines', 'counted': "line_kind = 'claim_line'"},
    {'entity': 'remittance', 'key': 'remittance_id', 'amounts': {'payment_amount': 'payment_amount'},
        'mart': 'fct_remittances', 'counted': 'true'},
    {'entity': 'remittance_claim', 'key': 'remittance_claim_id',
        'amounts': {'billed_amount': 'billed_amount', 'payer_paid_amount': 'payer_paid_amount'},
        'joins': answers, 'reasons': of_answers[1:], 'mart': 'fct_remittance_claims', 'counted': 'true'},
    {'entity': 'remittance_line', 'key': 'remittance_line_id', 'knows': ['remittance_claim_id'],
        'amounts': {'billed_amount': 'billed_amount', 'payer_paid_amount': 'payer_paid_amount'},
        'joins': answers ~ ' ' ~ payments, 'reasons': of_answers, 'mart': 'fct_remittance_lines', 'counted': 'true'},
    {'entity': 'remittance_adjustment', 'key': 'remittance_adjustment_id', 'knows': ['remittance_claim_id'],
        'amounts': {'adjustment_amount': 'adjustment_amount'},
        'joins': answers ~ ' ' ~ payments, 'reasons': of_answers, 'mart': 'fct_remittance_adjustments', 'counted': 'true'},
    {'entity': 'provider_adjustment', 'key': 'provider_adjustment_id',
        'amounts': {'adjustment_amount': 'adjustment_amount'}, 'mart': 'fct_provider_adjustments', 'counted': 'true'},
    {'entity': 'patient_payment', 'key': 'patient_payment_id', 'amounts': {'payment_amount': 'patient_paid_amount'},
        'reasons': [('of_nothing', 'known.payment_amount = 0')], 'mart': 'fct_payments', 'counted': "paid_by = 'patient'",
        'counts': 'payment_id'},
    {'entity': 'adjustment', 'key': 'adjustment_id', 'amounts': {'adjustment_amount': 'adjusted_amount'},
        'mart': 'fct_charge_lines', 'less': ('fct_remittance_claims', 'contractual_amount')},
    {'entity': 'encounter', 'key': 'encounter_id', 'amounts': {}, 'mart': 'fct_encounters', 'counted': 'true',
        'joins': 'left join ' ~ ref('int_encounter_crosswalk') ~ ' as crosswalk on known.tenant_id = crosswalk.tenant_id'
            ~ ' and known.encounter_id = crosswalk.encounter_id',
        'reasons': [('numbered_otherwise', 'crosswalk.current_encounter_id <> known.encounter_id')]},
    {'entity': 'appointment', 'key': 'appointment_id', 'amounts': {}, 'mart': 'fct_appointments', 'counted': 'true'},
] -%}
with
{%- for chain in chains %}
{%- set columns = (chain.amounts.keys() | list) + chain.get('knows', []) %}
{{ chain.entity }}_current as (
    select tenant_id, count(*) as of_rows{% for name in chain.amounts %}, sum({{ name }}) as of_{{ name }}{% endfor %}
    from {{ ref('stg_' ~ chain.entity ~ 's') }}
    group by tenant_id
),

{{ chain.entity }}_known as (
    select
        known.tenant_id,
        {% if chain.reasons %}case {% for reason, condition in chain.reasons %}when {{ condition }} then '{{ reason }}' {% endfor %}else '' end{% else %}''{% endif %} as reason,
        count(*) as of_rows{% for name in chain.amounts %}, sum(known.{{ name }}) as of_{{ name }}{% endfor %}
    from {% if 'key' in chain -%}
    ({{ reconciled_keys(ref('stg_' ~ chain.entity ~ 's'), chain.entity, chain.key, columns) | indent(4) }})
    {%- else -%}
    {{ ref('stg_' ~ chain.entity ~ 's') }}
    {%- endif %} as known
    {{ chain.get('joins', '') }}
    group by 1, 2
),
{%- endfor %}

steps as (
{%- for chain in chains %}
{%- for measure in ['rows'] + (chain.amounts.keys() | list) %}
    select tenant_id, '{{ chain.entity }}' as entity, '{{ measure }}' as measure, 'current' as step, '' as reason,
        of_{{ measure }} as total, '' as counted_as
    from {{ chain.entity }}_current
    union all
    select tenant_id, '{{ chain.entity }}', '{{ measure }}', 'merged', 'told_by_several_feeds', sum(total), ''
    from (
        select tenant_id, of_{{ measure }} as total from {{ chain.entity }}_current
        union all
        select tenant_id, -of_{{ measure }} from {{ chain.entity }}_known
    ) as told
    group by tenant_id
    union all
    select tenant_id, '{{ chain.entity }}', '{{ measure }}', 'left_out', reason, of_{{ measure }}, ''
    from {{ chain.entity }}_known
    where reason <> ''
    {%- if measure != 'rows' or 'counted' in chain %}
    union all
    {{ counted_in_mart(chain, measure, chain.entity ~ '_current') | indent(4) }}
    {%- endif %}
    {{ 'union all' if not (loop.last and chain.entity == chains[-1].entity) }}
{%- endfor %}
{%- endfor %}
)

select
    tenant_id,
    entity,
    measure,
    step,
    reason,
    cast(coalesce(total, 0) as decimal(38, 4)) as total,
    counted_as
from steps
where coalesce(total, 0) <> 0 or step in ('current', 'marts')
order by tenant_id, entity, measure, step, reason
