"""What the ledger says about feeds: status, expected days, alerts."""
