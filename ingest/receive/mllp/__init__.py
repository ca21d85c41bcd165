"""Listener for HL7 v2 senders over MLLP: messages into the inbox, then the acknowledgement."""
