{#
    How a bill and what refers to it agree. Both relations have first_day, last_day, billed_amount and patient_id;
    an unknown value contradicts nothing.
#}

{# Whether the days of service of two rows do not meet. #}
{% macro days_apart(left, right) -%}
    coalesce({{ left }}.last_day < {{ right }}.first_day or {{ right }}.last_day < {{ left }}.first_day, false)
{%- endmacro %}

{# Whether two values are known and differ. #}
{% macro contradicts(left, right, column) -%}
    coalesce({{ left }}.{{ column }} <> {{ right }}.{{ column }}, false)
{%- endmacro %}

{#
    0 where the reference names the billing provider of the bill by NPI or tax id, 1 where one of them is not known,
    2 where they differ.
#}
{% macro biller_rank(reference, bill) -%}
    case
        when {{ reference }}.billing_provider_npi = {{ bill }}.billing_provider_npi
            or {{ reference }}.billing_tax_token = {{ bill }}.billing_tax_token then 0
        when {{ reference }}.billing_provider_npi <> {{ bill }}.billing_provider_npi
            or {{ reference }}.billing_tax_token <> {{ bill }}.billing_tax_token then 2
        else 1
    end
{%- endmacro %}

{#
    Candidates for references to claims by number: select of tenant_id, reference_id, bill_id and likeness (the lowest is
    the best) of every bill that nothing contradicts. Of numbers that many bills share (masked ones) only bills
    of the same amount and first day are looked at: comparing each with each would not end.

    A bill is no candidate where its days or its patient differ, nor, of an 837, where its billing provider differs and
    days and amount do not both agree.

    references   relation with tenant_id, reference_id, claim_number, billing_provider_npi, billing_tax_token, patient_id,
                 first_day, last_day, billed_amount (not negative)
#}
{% macro bill_candidates(references) -%}
{%- set most = most_bills_of_number() -%}
select * from (
    {%- for condition in ['bills.bills_of_number <= ' ~ most,
        'bills.bills_of_number > ' ~ most ~ ' and refers.first_day = bills.first_day and refers.billed_amount = bills.billed_amount'] %}
    {{ 'union all' if not loop.first }}
    select
        refers.tenant_id,
        refers.reference_id,
        bills.bill_id,
        bills.is_original,
        bills.is_837,
        {{ biller_rank('refers', 'bills') }} * 10 + case
            when refers.billed_amount = bills.billed_amount and refers.first_day = bills.first_day then 0
            when refers.billed_amount = bills.billed_amount and refers.first_day is not null
                and bills.first_day is not null then 1
            when refers.billed_amount = bills.billed_amount then 2
            when refers.first_day is not null and bills.first_day is not null then 3
            else 4
        end as likeness
    from {{ references }} as refers
    inner join {{ ref('int_claim_bills') }} as bills
        on refers.tenant_id = bills.tenant_id
        and refers.claim_number = bills.claim_number
    where {{ condition }}
        and not {{ days_apart('refers', 'bills') }}
        and not {{ contradicts('refers', 'bills', 'patient_id') }}
    {%- endfor %}
) as candidates
where likeness <= 21 or not is_837
{%- endmacro %}

{# Bills of one number up to which each is compared with each. #}
{% macro most_bills_of_number() -%}
    50
{%- endmacro %}

{# original, replacement or void, by the claim frequency (CLM05-3). #}
{% macro claim_kind(claims) -%}
    case when {{ claims }}.frequency_code in ('6', '7', 'Q') then 'replacement' when {{ claims }}.frequency_code = '8' then 'void'
        else 'original' end
{%- endmacro %}

{# Whether a submission was read from an 837. #}
{% macro is_837(claims) -%}
    ({{ claims }}.sender_code is not null or {{ claims }}.group_control_number is not null)
{%- endmacro %}

{# Whether a submission went to a second or third payer. #}
{% macro is_later_payer(claims) -%}
    coalesce({{ claims }}.payer_sequence in ('secondary', 'tertiary'), false)
{%- endmacro %}

{# The columns of a bill that tell it from others of its number, and the values of a submission for them. #}
{% macro bill_contents() -%}
    {{ return(['issuer', 'patient_id', 'patient_match_token', 'first_day', 'last_day', 'billed_amount']) }}
{%- endmacro %}

{% macro stated_bills() -%}
    select
        claims.tenant_id,
        claims.source_system,
        claims.claim_submission_id,
        claims.claim_id as claim_number,
        -- Within a practice's own system a number has one issuer; an 837 says who bills.
        case when {{ is_837('claims') }}
            then coalesce(claims.billing_provider_npi, claims.billing_tax_token, claims.sender_code) end as issuer,
        {{ current_id('claims', 'patient') }} as patient_id,
        -- A later payer may know the patient by another member id.
        case when not {{ is_later_payer('claims') }} then claims.patient_match_token end as patient_match_token,
        claims.service_from_date as first_day,
        coalesce(claims.service_to_date, claims.service_from_date) as last_day,
        claims.billed_amount,
        claims.billing_provider_npi,
        claims.billing_tax_token,
        {{ claim_kind('claims') }} = 'original' and not {{ is_later_payer('claims') }} as is_original,
        {{ is_837('claims') }} as is_837,
        claims.submitted_at
    from {{ ref('stg_claims') }} as claims
    {{ crosswalk_joins('claims', ['patient']) }}
{%- endmacro %}

{# Aggregates that make a bill of the submissions that state it. #}
{% macro bill_columns() -%}
    min(billing_provider_npi) as billing_provider_npi,
    min(billing_tax_token) as billing_tax_token,
    max(case when is_original then 1 else 0 end) = 1 as is_original,
    max(case when is_837 then 1 else 0 end) = 1 as is_837,
    min(source_system) as first_feed,
    max(source_system) as last_feed,
    min(submitted_at) as first_submitted_at
{%- endmacro %}
