"""Published marts and the only way to them: access, scopes, publish, metrics, drill and extracts.

    access     who there is, who may sign in, what was done (audit)
    scope      what one person may see, as a value with a hash
    publish    warehouse -> one encrypted file per tenant and version, switched atomically
    reader     the only way to rows: opens the file of a scope, answers metrics, drills and health
    extracts   the file of a scope with its data dictionary, for an analyst

It knows no page and no schedule, and never reads a source.
"""
