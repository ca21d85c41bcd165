"""What feeds tell more than once, in part or in their own words, as real ones do. None of it changes a truth.

- DFT: the charges of visits that ADT registers, which the PM database and the 837s have too, under numbers of the EHR's own.
- A second assigning authority in the ADT feed, whose patient and visit numbers are those of other people here; its visits
  were registered in error and taken back.
- Claims that the 837s void (frequency 8, REF*F8) and send again; the PM database knows only what stands.
- A remittance file that the clearing house cut again: other separators, another envelope, a further REF.
- Claim payments without lines: what payers pay and take off stands on the claim (x12_remits.py).
- Words of the senders' own, which their profiles teach.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import yaml

from clinicmart.sample.adjudication import FIRST, Submissions
from clinicmart.sample.charges import NORMAL
from clinicmart.sample.story import Story
from clinicmart.sample.x12_acknowledgements import draw_answers

# One in so many of those that could be.
VOIDED, WITHOUT_LINES = 60, 25
OTHER_AUTHORITY = "LAKESIDE"
IN_ERROR = 3
RECUT_PREFIX = "recut_"
# Words of the senders and what they mean, as profiles teach them.
ADT_WORDS = {
    "visit_classes": {"CLINIC": "AMB"},
    "sexes": {"WOMAN": "female", "MAN": "male"},
    "transaction_types": {"CHARGE": "CG"},
}
CLAIM_WORDS = {"filing_indicators": {"NW": "BL"}}
PROFILES = {"adt": {"kind": "hl7v2", **ADT_WORDS}, "claims": {"kind": "x12", **CLAIM_WORDS}}


def profiles() -> Iterator[tuple[str, str]]:
    """File name and text of the profiles of the sample's senders."""
    for name, content in PROFILES.items():
        yield f"{name}.yaml", yaml.safe_dump(content, sort_keys=False)


def with_voids(story: Story) -> Story:
    """The story with the submissions that are only in 837s: voids, and claims that were sent again after them."""
    sent = story.submissions
    claim, first, second = voided_claims(story)
    size = len(claim)
    parts = {
        "claim": np.concatenate([claim, claim]),
        "number": np.repeat([2, 3], size),
        "payer": np.concatenate([story.claims.payer[claim]] * 2),
        "is_secondary": np.zeros(2 * size, bool),
        "frequency": np.repeat([8, 1], size),
        "day": np.concatenate([first, second]),
    }
    merged = {name: np.concatenate([getattr(sent, name), values]) for name, values in parts.items()}
    order = np.lexsort((merged["number"], merged["claim"]))
    return replace(story, submissions=Submissions(**{name: values[order] for name, values in merged.items()}))


def voided_claims(story: Story) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Claims that were sent once and are voided and sent again, and the days of both: days on which others are sent too, and not
    that of the transaction that a 999 turns back."""
    sent = story.submissions
    once = np.flatnonzero(np.bincount(sent.claim, minlength=len(story.claims)) == 1)[::VOIDED]
    days = np.setdiff1d(np.unique(sent.day), [draw_answers(story).rejected_day or -1])
    place = np.searchsorted(days, story.claims.submitted_day[once], side="right")
    kept = (place + 1 < len(days)) & (story.claims.submitted_day[once] > days[0])
    once, place = once[kept], place[kept]
    return once, days[place], days[place + 1]


def without_lines(story: Story) -> np.ndarray:
    """Mask of the claim payments that have no lines: of claims with one charge line that were decided once."""
    remits = story.remits
    once = np.bincount(remits.claim, minlength=len(story.claims)) == 1
    chosen = once & (story.claims.lines == 1)
    chosen[np.flatnonzero(chosen)] = np.arange(int(chosen.sum())) % WITHOUT_LINES == 0
    return chosen[remits.claim] & (remits.stage == FIRST) & (remits.status == 1)


def charges_of(story: Story, encounter: np.ndarray) -> np.ndarray:
    """Indexes of the billed charge lines of visits."""
    lines = story.charges
    return np.flatnonzero((lines.kind == NORMAL) & np.isin(lines.encounter, encounter))


def recut(text: str) -> str:
    """An 835 as a clearing house cuts it again: other separators, its own envelope, one REF more in each transaction."""
    segments = [segment.split("*") for segment in text.rstrip("~").split("~")]
    transactions: list[list[str]] = []
    for elements in segments:
        name = elements[0]
        if name == "ISA":
            # Element 9 is the date, 13 the control number, 16 the separator of components.
            elements = [*elements[:9], "301231", "0615", *elements[11:13], "900000001", *elements[14:]]
        elif name == "GS":
            elements = [*elements[:4], "20301231", "0615", "900001", *elements[7:]]
        elif name == "GE":
            elements = [name, elements[1], "900001"]
        elif name == "IEA":
            elements = [name, elements[1], "900000001"]
        elif name == "SE":
            elements = [name, str(int(elements[1]) + 1), elements[2]]
        transactions.append(elements)
        if name == "TRN":
            transactions.append(["REF", "EV", "CLEARHOUSE"])
    return "".join("|".join(elements).replace(":", ">") + "'\n" for elements in transactions)


def planted(story: Story) -> dict[str, str]:
    """The counts, as truths.json holds them."""
    return {
        "voids": str(len(voided_claims(story)[0])),
        "claim_payments_without_lines": str(int(without_lines(story).sum())),
    }
