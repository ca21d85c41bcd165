"""A synthetic group of clinics, written as the feeds a real one has, with the figures the product must find in them.

`write_sample` is the whole interface. The way through the package: catalogue and clock (what there is) -> structure, people,
visits, inpatient, charges, adjudication, transactions, balances (what happens, as arrays) -> story (one tenant) ->
views (what other systems call it) -> pm_tables, access, x12_*, hl7v2, fhir (what is written) and truths (what must come back).
"""

from clinicmart.sample.writer import SampleReport, write_sample

__all__ = ["SampleReport", "write_sample"]
