"""The names of code sets of diagnoses, as HL7 v2 (table 0396) and FHIR (addresses of systems) write them, to the words of
`diagnosis.code_system`."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

ICD10 = frozenset({"icd10cm", "icd10"})
# HL7 v2 table 0396 and spellings that senders use beside it, without blanks, points and hyphens; addresses and OIDs of FHIR.
_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "I10C": "icd10cm",
        "ICD10CM": "icd10cm",
        "I10CM": "icd10cm",
        "I10": "icd10",
        "ICD10": "icd10",
        "I9": "icd9cm",
        "I9C": "icd9cm",
        "I9CM": "icd9cm",
        "I9CDX": "icd9cm",
        "ICD9": "icd9cm",
        "ICD9CM": "icd9cm",
        "SCT": "snomed",
        "SNM": "snomed",
        "SNM3": "snomed",
        "SNOMED": "snomed",
        "SNOMEDCT": "snomed",
    }
)
_ADDRESSES: Mapping[str, str] = MappingProxyType(
    {
        "http://hl7.org/fhir/sid/icd-10-cm": "icd10cm",
        "urn:oid:2.16.840.1.113883.6.90": "icd10cm",
        "http://hl7.org/fhir/sid/icd-10": "icd10",
        "urn:oid:2.16.840.1.113883.6.3": "icd10",
        "http://hl7.org/fhir/sid/icd-9-cm": "icd9cm",
        "http://hl7.org/fhir/sid/icd-9-cm/diagnosis": "icd9cm",
        "urn:oid:2.16.840.1.113883.6.103": "icd9cm",
        "http://snomed.info/sct": "snomed",
        "urn:oid:2.16.840.1.113883.6.96": "snomed",
    }
)


def code_system(name: str | None) -> str:
    """The word of `diagnosis.code_system` for a name, address or OID: `unknown` where none is given, `other` for one that is not
    listed here."""
    if not name:
        return "unknown"
    address = _ADDRESSES.get(name)
    return address or _NAMES.get(name.upper().translate(str.maketrans("", "", " -._")), "other")


def preferred(codings: Sequence[tuple[str, str]]) -> tuple[str | None, str]:
    """Of several codes of one diagnosis, each with its code system, the first of ICD-10, else the first; (None, "unknown") of none."""
    icd10 = next((coding for coding in codings if coding[1] in ICD10), None)
    return icd10 or (codings[0] if codings else (None, "unknown"))
