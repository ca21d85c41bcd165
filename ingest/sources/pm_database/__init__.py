"""Tables of a practice-management database into rows. `reader` is the entry."""
