"""X12 5010: 837, 835, 277CA and 999 files into rows. `reader` is the entry."""
