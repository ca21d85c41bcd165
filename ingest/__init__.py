"""From a source to landed batches. Knows Polars and DuckDB, not Dagster, dbt or Streamlit.

sources/    one module per protocol (pm_database, fhir, hl7v2, x12, reference_file) behind one interface and one registry
profiles/   one file per vendor: mappings and quirks as data
gate        contract checks and quarantine
identity    keyed tokens and the vault
landing     immutable encrypted Parquet batches; ledger: what was read, landed, quarantined
warehouse   landed batches into the raw tables that dbt reads
sample/     a synthetic group with planted truths
"""
