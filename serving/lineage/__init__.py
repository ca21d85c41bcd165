"""From a metric to columns, contracts and feeds."""
