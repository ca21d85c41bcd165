"""FHIR R4 resources into rows. `reader` is the entry."""
