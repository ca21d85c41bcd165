"""What comes over a network: a listener for HL7 v2 senders, a client of FHIR servers.

Both deliver into the inbox (`ingest.inbox.inbox`).
"""
