"""From a source to the raw tables. Knows Polars and DuckDB, not Dagster, dbt or Streamlit.

interface       what a reader gives: units, chunks of rows, refusals, notices
ledger          what was read, landed and quarantined; control_totals: the money of each batch
sources/        readers by protocol: x12/, fhir/, hl7v2/, pm_database/, reference_file
profiles/       one file per vendor or sender: mappings and quirks as data
receive/        what comes over a network: fhir/ (client), mllp/ (listener)
inbox/          what network feeds delivered, encrypted, until the readers take it
landing/        tokens, contract gate, immutable encrypted batches, quarantine
load/           landed batches into the raw tables that dbt reads; reconciliation of both
accounts/       what the ledger says about feeds: status, expected days, alerts
replay/         the landed batches of an earlier day, for another home
trace/          opens and masks the source message of a row
"""
