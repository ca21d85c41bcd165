-- Some feeds know a provider by the NPI alone, others by an identifier of their own.
{{ shared_identifier(ref('stg_providers'), 'provider', 'npi') }}
