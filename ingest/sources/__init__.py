"""One module per protocol, one registry. `source_for(kind)` imports only the protocol asked for."""

from importlib import import_module

from ingest.interface import Chunk, Notice, Refusal, Source, TableRules, Unit, UnreadableUnit

__all__ = ["Chunk", "Notice", "Refusal", "Source", "TableRules", "Unit", "UnreadableUnit", "source_for"]

_MODULES = {
    "pm_database": "ingest.sources.pm_database.reader",
    "fhir": "ingest.sources.fhir.reader",
    "hl7v2": "ingest.sources.hl7v2.reader",
    "x12": "ingest.sources.x12.reader",
    "reference_file": "ingest.sources.reference_file",
}


def source_for(kind: str) -> Source:
    """The reader of a protocol. Raises KeyError for a kind that is not registered."""
    source: Source = import_module(_MODULES[kind]).SOURCE
    return source
