"""HL7 v2 codes to the words of the unified model, and the fields that several message types share (PID, PV1, IN1)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ingest.issuers import issued, issuer_of
from ingest.profiles.word_lists import folded
from ingest.sources.hl7v2.messages import Message

SEX: Mapping[str, str] = MappingProxyType(
    {
        "F": "female",
        "M": "male",
        "O": "other",
        "A": "other",
        "X": "other",
        "N": "other",
        "U": "unknown",
        "FEMALE": "female",
        "MALE": "male",
        "OTHER": "other",
        "UNKNOWN": "unknown",
    }
)
# PV1-2 (table 0004) to HL7 v3 ActCode. C (commercial account), N (not applicable) and U (unknown) name no class of care.
ENCOUNTER_CLASS: Mapping[str, str] = MappingProxyType(
    {
        "I": "IMP",
        "B": "IMP",  # obstetrics: a stay
        "O": "AMB",
        "R": "AMB",  # recurring patient
        "E": "EMER",
        "P": "PRENC",
        "OBS": "OBSENC",
        "C": "UNK",
        "N": "UNK",
        "U": "UNK",
        "UNK": "UNK",
        **{code: code for code in ("AMB", "EMER", "IMP", "ACUTE", "NONAC", "OBSENC", "SS", "PRENC", "HH", "FLD", "VR")},
    }
)
# Classes without a bed: their arrivals and departures are not bed movements.
WITHOUT_BED = frozenset({"AMB", "HH", "VR", "FLD"})
# SCH-25 (table 0278) and the words scheduling systems use instead.
APPOINTMENT_STATUS: Mapping[str, str] = MappingProxyType(
    {
        "booked": "scheduled",
        "scheduled": "scheduled",
        "confirmed": "scheduled",
        "overbook": "scheduled",
        "pending": "proposed",
        "proposed": "proposed",
        "waitlist": "waitlisted",
        "arrived": "arrived",
        "checkedin": "arrived",
        "checked-in": "arrived",
        "started": "arrived",
        "checked in": "arrived",
        "roomed": "arrived",
        "in progress": "arrived",
        "complete": "completed",
        "completed": "completed",
        "checked out": "completed",
        "checked-out": "completed",
        "checkedout": "completed",
        "kept": "completed",
        "rescheduled": "rescheduled",
        "cancelled": "cancelled",
        "canceled": "cancelled",
        "dc": "cancelled",
        "discontinued": "cancelled",
        "deleted": "entered_in_error",
        "noshow": "no_show",
        "no-show": "no_show",
        "no show": "no_show",
    }
)
CANCEL_INITIATOR: Mapping[str, str] = MappingProxyType(
    {
        "patient": "patient",
        "pt": "patient",
        "clinic": "clinic",
        "provider": "clinic",
        "payer": "payer",
        "system": "system",
    }
)
# Names and ISO 639-2 codes that feeds use for the commonest languages, to BCP 47.
LANGUAGE: Mapping[str, str] = MappingProxyType(
    {
        "eng": "en",
        "english": "en",
        "spa": "es",
        "spanish": "es",
        "ara": "ar",
        "arabic": "ar",
        "chi": "zh",
        "zho": "zh",
        "chinese": "zh",
        "fre": "fr",
        "fra": "fr",
        "french": "fr",
        "ger": "de",
        "deu": "de",
        "german": "de",
        "hat": "ht",
        "hin": "hi",
        "ita": "it",
        "jpn": "ja",
        "kor": "ko",
        "korean": "ko",
        "por": "pt",
        "portuguese": "pt",
        "rus": "ru",
        "russian": "ru",
        "tgl": "tl",
        "tagalog": "tl",
        "vie": "vi",
        "vietnamese": "vi",
    }
)
# Identifier types (CX-5, table 0203) that name a person to this organisation, best first.
_RECORD_TYPES = ("MR", "MRN", "PI", "PT", "PN", "PE")
# Identifiers given for other ends: social security, licence, account, member numbers.
_OTHER_TYPES = frozenset({"SS", "DL", "AN", "VN", "PPN", "MC", "MA", "MB", "NI", "HC", "FIN NB", "USSSA", "REFE"})
_UNITED_STATES = frozenset({"", "US", "USA"})


def value(segment: Sequence[str], index: int) -> str | None:
    """Field `index` as sent; None where it is empty, not sent, or the HL7 null ("")."""
    if index >= len(segment):
        return None
    content = segment[index]
    return content if content and content != '""' else None


def part(message: Message, text: str | None, index: int) -> str | None:
    """Component `index` (from 1) of the first repetition, its first subcomponent, unescaped; None where empty."""
    if text is None:
        return None
    if text.isalnum():
        # No delimiter is a letter or a digit.
        return text if index == 1 else None
    if message.repetition in text:
        text = text.split(message.repetition, 1)[0]
    if message.component in text:
        parts = text.split(message.component, index)
        if len(parts) < index:
            return None
        text = parts[index - 1]
    elif index > 1:
        return None
    if message.subcomponent in text:
        text = text.split(message.subcomponent, 1)[0]
    if message.escape in text:
        text = unescape(message, text)
    text = text.strip()
    return text if text and text != '""' else None


def unescape(message: Message, text: str) -> str:
    """Text with its escape sequences (\\F\\ \\S\\ \\T\\ \\R\\ \\E\\ \\Xhh..\\ \\.br\\) resolved; others are taken out."""
    pieces = text.split(message.escape)
    if len(pieces) % 2 == 0:
        # An escape character without its partner: the text is not escaped, it only holds the character.
        return text
    replacements = {
        "F": message.field_separator,
        "S": message.component,
        "T": message.subcomponent,
        "R": message.repetition,
        "E": message.escape,
        ".br": " ",
    }
    for index in range(1, len(pieces), 2):
        code = pieces[index]
        pieces[index] = replacements[code] if code in replacements else _hexadecimal(code)
    return "".join(pieces)


def _hexadecimal(code: str) -> str:
    if code[:1] != "X":
        return ""
    try:
        return bytes.fromhex(code[1:]).decode("utf-8", "replace")
    except ValueError:
        return ""


def authority_of(message: Message, text: str | None, index: int = 4) -> str:
    """The assigning authority in component `index` (HD) of the first repetition of a field; empty where none is given."""
    if text is None or message.component not in text:
        return ""
    parts = text.split(message.repetition, 1)[0].split(message.component)
    if len(parts) < index or not parts[index - 1]:
        return ""
    return _authority(message, *parts[index - 1].split(message.subcomponent)[:2])


def _authority(message: Message, namespace: str, universal: str = "") -> str:
    names = (unescape(message, name) if message.escape in name else name for name in (namespace, universal))
    return issuer_of(*("" if name == '""' else name for name in names))


def issued_number(message: Message, text: str | None) -> str | None:
    """The number of a CX field with the authority that issued it (`ingest.issuers`)."""
    number = part(message, text, 1)
    return None if number is None else issued(number, authority_of(message, text))


def issued_entity(message: Message, text: str | None) -> str | None:
    """The same for an EI field, such as a placer or filler number: its components 2 and 3 name the issuer."""
    number = part(message, text, 1)
    if number is None or text is None or message.component not in text:
        return number
    return issued(number, _authority(message, part(message, text, 2) or "", part(message, text, 3) or ""))


def record_number(message: Message, *fields: str | None) -> str | None:
    """The medical record number, with its issuer, in the first of `fields` (CX, repeating) that has one.

    By an identifier type such as "MR", else the first identifier that is not a social security, licence, account or member
    number.
    """
    component = message.component
    for text in fields:
        if text is None:
            continue
        plain = None
        ranked: dict[str, str] = {}
        for repetition in text.split(message.repetition):
            parts = repetition.split(component)
            kind = parts[4].strip().upper() if len(parts) > 4 else ""
            authority = parts[3].split(message.subcomponent)[0].strip().upper() if len(parts) > 3 else ""
            identifier = part(message, repetition, 1)
            if identifier is None:
                continue
            if kind in _RECORD_TYPES:
                ranked.setdefault(kind, issued(identifier, authority_of(message, repetition)))
            elif plain is None and kind not in _OTHER_TYPES and authority not in _OTHER_TYPES:
                plain = issued(identifier, authority_of(message, repetition))
        for kind in _RECORD_TYPES:
            if kind in ranked:
                return ranked[kind]
        if plain is not None:
            return plain
    return None


def meaning(taught: Mapping[str, str], standard: Mapping[str, str], word: str) -> str | None:
    """The meaning of a word: by the profile of the sender, else by the words of the standard; None for an unknown word. Words of
    `taught` and of `standard` are in lower case, or all of `standard` in upper case."""
    mapped = taught.get(folded(word)) if taught else None
    return mapped or standard.get(word) or standard.get(word.lower()) or standard.get(word.upper())


def sex_of(message: Message, code: str | None) -> str | None:
    """Administrative sex in our words, or the sender's word where it is not known; None where none is given."""
    return (meaning(message.profile.sexes, SEX, code) or code) if code else None


def language_of(message: Message, code: str | None) -> str | None:
    """A BCP 47 code; None where the text is no code and no known name."""
    if code is None:
        return None
    lowered = code.lower()
    language = meaning(message.profile.languages, LANGUAGE, code)
    return language or (lowered if len(lowered) in (2, 3) and lowered.isascii() and lowered.isalpha() else None)


def zip3_of(postal_code: str | None, country: str | None) -> str | None:
    """The first three digits of a United States ZIP code."""
    if postal_code is None or (country or "").upper() not in _UNITED_STATES:
        return None
    digits = postal_code[:3]
    return digits if len(digits) == 3 and digits.isascii() and digits.isdigit() else None


def location(message: Message, text: str | None) -> str | None:
    """The point of care of a PL field, else its facility."""
    return part(message, text, 1) or part(message, text, 4)


def person(message: Message, text: str | None) -> tuple[str, str | None, str | None] | None:
    """Id, NPI and display name of an XCN field; of its repetitions the one that is an NPI, else the first with an id.

    An id that is not an NPI has its issuer (XCN.9) behind it.
    """
    if text is None:
        return None
    first = None
    for repetition in text.split(message.repetition):
        identifier = part(message, repetition, 1)
        if identifier is None:
            continue
        parts = repetition.split(message.component)
        is_npi = "NPI" in (parts[8:9] + parts[12:13]) or (len(parts) > 8 and "2.16.840.1.113883.4.6" in parts[8])
        names = [name for name in (part(message, repetition, 3), part(message, repetition, 2)) if name]
        npi = identifier if is_npi and len(identifier) == 10 and identifier.isdigit() else None
        named = (identifier, npi, " ".join(names) or None)
        if npi is not None:
            return named
        if not is_npi:
            named = (issued(identifier, authority_of(message, repetition, 9)), None, named[2])
        first = first or named
    return first
