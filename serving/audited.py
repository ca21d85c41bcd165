"""How the parts of a reader write to the audit."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from foundation.errors import AccessError, ConfigurationError

DONE, REFUSED = "done", "refused"


class Note(Protocol):
    """Writes an audit row of an act: `Reader.note`."""

    def __call__(
        self, action: str, detail: Mapping[str, object], result: str, *, further: Sequence[Mapping[str, object]] = ()
    ) -> None: ...


@contextmanager
def refusals_noted(note: Note, action: str, detail: Mapping[str, object]) -> Iterator[None]:
    """Writes an audit row where the act is refused: where it raises AccessError or ConfigurationError."""
    try:
        yield
    except (AccessError, ConfigurationError):
        note(action, detail, REFUSED)
        raise
