"""Published marts and the only way to them. It knows no page and no schedule, and never reads a source.

model           values that cross the package's border: versions, questions, answers
reader          the only way to rows: opens the file of a scope, answers metrics, drills and health
extracts        the file of a scope with its data dictionary, for an analyst
people/         who may sign in, what each role may see, the audit log
metrics/        the registry of metrics, and the answers to questions about them
versions/       published versions of a tenant, and which are kept
scope_files/    the encrypted file of one scope
publish/        warehouse to a published version, switched as a whole
rows/           rows behind a figure, and the source of a row
lineage/        from a metric to columns, contracts and feeds
closed_months/  closing a month, and what changed in it later
postgres/       roles, views and logins on PostgreSQL
engine_check/   compares the marts and metrics of both engines
"""
