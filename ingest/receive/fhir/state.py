"""The state of a FHIR server between runs: one encrypted file in the feed's inbox, replaced as a whole.

progress.state          State as JSON
known/<Type>.ids        ids that searches are asked for, one a line, for types that a profile's searches name
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

import orjson
from pydantic import TypeAdapter

from foundation.formats import check_not_later
from ingest.inbox.inbox import BrokenSeal, Inbox
from ingest.interface import Notice
from ingest.receive.fhir.problems import ServerProblem

NAME = "progress.state"
VERSION = 1


@dataclass(kw_only=True)
class ExportedFile:
    """A file of an export. `kind` is output, deleted or errors; `name` is where it lies in the inbox, without its suffix."""

    kind: str
    type: str
    url: str
    name: str
    count: int | None = None


@dataclass(kw_only=True)
class Job:
    """An export under way. `folder` and the fields after it are set once the server has finished the export.

    `since` and `transaction_time` are instants as the server wrote them; `transaction_time` is None where it gave none.
    """

    status_url: str
    asked_at: str
    types: list[str]
    since: str | None = None
    folder: str | None = None
    transaction_time: str | None = None
    requires_token: bool = False
    files: list[ExportedFile] = field(default_factory=list)


@dataclass(kw_only=True)
class State:
    """The state between runs. `address` names server and export: the state of another address is not used. `since` is the
    transaction time of the last completed export of `types`; `whole_folder` the delivery of the last one that was whole.
    `searched` maps a type to the moment up to which its searches are complete. `to_delete` is a status address that the server
    may forget. `notices` wait to be recorded; `said` holds notices that are not repeated.
    """

    address: str
    version: int = VERSION
    sequence: int = 0
    since: str | None = None
    types: list[str] = field(default_factory=list)
    completed_at: str | None = None
    whole_folder: str | None = None
    job: Job | None = None
    to_delete: str | None = None
    searched: dict[str, str] = field(default_factory=dict)
    notices: list[dict[str, Any]] = field(default_factory=list)
    said: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, inbox: Inbox, address: str) -> Self:
        """The state in an inbox; a new one if there is none, or if the feed has another server now.

        Raises ServerProblem where it cannot be read, ConfigurationError where a later release wrote it.
        """
        path = inbox.path(NAME)
        if not path.exists():
            return cls(address=address)
        try:
            # Fields that a later release added are ignored.
            state = TypeAdapter(cls).validate_json(b"".join(inbox.read(path)))
            check_not_later(path, state.version, VERSION)
        except (BrokenSeal, OSError, ValueError):
            raise ServerProblem(
                "the saved state of this server cannot be read",
                f"Restore {path} from a backup, or delete it: the next run then asks for everything",
            ) from None
        if state.address == address:
            return state
        return cls(address=address, sequence=state.sequence)

    def save(self, inbox: Inbox) -> None:
        """Puts the state on disk."""
        with inbox.write(NAME) as writer:
            writer.write(orjson.dumps(asdict(self)))

    def next_folder(self, moment: datetime, kind: str) -> str:
        """A delivery's name: by time of its content, then in the order of being asked. Saved with the next `save`."""
        self.sequence += 1
        return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}Z-{self.sequence:06d}-{kind}"

    def note(self, position: str, reason: str, detail: str, records: int = 1) -> None:
        """Adds a notice."""
        self.notices.append({"position": position, "reason": reason, "detail": detail, "records": records})

    def note_once(self, reason: str, lines: list[str]) -> None:
        """Adds notices for lines that the last run did not note already."""
        before = self.said.get(reason, [])
        for line in lines:
            if line not in before:
                self.note("server", reason, line)
        self.said[reason] = lines

    def take_notices(self) -> list[Notice]:
        """The notices that wait to be recorded."""
        return [Notice(**item) for item in self.notices]


def instant(text: Any) -> datetime | None:
    """A FHIR instant with its zone, or None."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
