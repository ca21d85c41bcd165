"""Rows of a reader into immutable encrypted batches: tokens, contract gate, ledger rows."""
