"""The landed batches of an earlier day, taken into another home: ledger_as_of (what the ledger knew), landed_files (the rows)."""
