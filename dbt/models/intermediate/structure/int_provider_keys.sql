{#- Two clinicians: they have two NPIs. An NPI that serves as an identifier is the same in every feed. -#}
with providers as (
    select tenant_id, source_system, provider_id, npi, source_updated_at
    from {{ source('raw', 'provider') }}{{ where_touched() }}
),

listed as (
    select tenant_id, source_system, provider_id as identifier, npi, source_updated_at
    from providers
    where npi is null or split_part(provider_id, '^^^', 1) <> npi
),

{{ issued_keys(
    'provider',
    ['npi'],
    is_doubtful='min(npi) <> max(npi)',
    contradicts='one.npi <> other.npi',
    agrees='one.npi = other.npi',
) }}
