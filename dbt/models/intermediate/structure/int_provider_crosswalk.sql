-- Some feeds know a provider by the NPI alone, others by another identifier.
{{ shared_identifier(ref('stg_providers'), 'provider', 'npi') }}
