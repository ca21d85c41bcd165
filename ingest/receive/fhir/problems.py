"""Problems with a server, in words for a person: never with the content of an answer."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

_WORD = re.compile(r"[a-z-]{1,40}")
_TEXT_LENGTH = 200


class ServerProblem(Exception):
    """The server did not give the requested data. `problem` and `remedy` are for the person who must act."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}")
        self.problem, self.remedy = problem, remedy


class NotYet(ServerProblem):
    """The server takes longer than this run may wait; the next run continues where this one stopped."""


class Refused(ServerProblem):
    """The server answered with a status that it should not have. `status` is that of HTTP."""

    def __init__(self, status: int, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.status = status


class Forgotten(Exception):
    """The server no longer has an export: it must be requested again."""


def issues(content: bytes) -> list[tuple[str, str, str]]:
    """Severity, code and text of each issue of an OperationOutcome; empty if the content is not an OperationOutcome. Severity
    and code are words of FHIR's value sets. The text is free and may name a patient.
    """
    try:
        return list(issues_of(orjson.loads(content)))
    except orjson.JSONDecodeError:
        return []


def issues_of(outcome: Any) -> Iterator[tuple[str, str, str]]:
    """The same of a parsed OperationOutcome."""
    if not isinstance(outcome, dict) or outcome.get("resourceType") != "OperationOutcome":
        return
    issues = outcome.get("issue")
    for issue in issues if isinstance(issues, list) else ():
        if isinstance(issue, dict):
            details = issue.get("details")
            text = (details.get("text") if isinstance(details, dict) else None) or issue.get("diagnostics")
            yield _word(issue.get("severity")), _word(issue.get("code")), plain(text)


def _word(value: Any) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else "other"


def plain(value: Any) -> str:
    """A text of the server as one short printable line."""
    if not isinstance(value, str):
        return ""
    line = " ".join("".join(c if c.isprintable() else " " for c in value[: 4 * _TEXT_LENGTH]).split())
    return line if len(line) <= _TEXT_LENGTH else line[: _TEXT_LENGTH - 1] + "…"


def explained(content: bytes, *, with_text: bool) -> str:
    """What an OperationOutcome says, to follow a status: `: error invalid (…)`. The server's text is included only `with_text`:
    if the request named no patient, the answer cannot either."""
    texts = []
    for severity, code, text in issues(content)[:3]:
        texts.append(f"{severity} {code}" + (f" ({text})" if with_text and text else ""))
    return ": " + "; ".join(texts) if texts else ""
