"""HL7 v2 messages (ADT, SIU, DFT) into rows. `reader` is the entry."""
