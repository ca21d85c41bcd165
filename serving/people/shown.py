"""What a page shows, gathered so that one run of a page is one audit row and not one for each figure.

    with gathering() as shown:
        ...                    readers note their questions here
    shown.detail()             {"metrics": [...], "by": [...], "besides": [...]}

Where nothing gathers, as on the command line, a reader writes a row for each question.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol


@dataclass
class Shown:
    """Names of what was asked, each once: their number is bounded by the registry, not by the number of questions."""

    metrics: set[str] = field(default_factory=set)
    by: set[str] = field(default_factory=set)
    besides: set[str] = field(default_factory=set)

    def note(self, action: str, detail: Mapping[str, object]) -> None:
        """Adds one question. `query` brings metrics and dimensions; of other actions the name is kept."""
        if action != "query":
            self.besides.add(action)
            return
        for kept, name in ((self.metrics, "metrics"), (self.by, "by")):
            values = detail.get(name) or ()
            kept.update(str(value) for value in (values if isinstance(values, Sequence) else ()))

    def detail(self) -> dict[str, object]:
        """The detail of an audit row; empty where nothing was asked."""
        sets = {"metrics": self.metrics, "by": self.by, "besides": self.besides}
        return {name: sorted(values) for name, values in sets.items() if values}


class Saw(Protocol):
    """Notes what was shown to a person: `Reader.saw`."""

    def __call__(self, action: str, detail: Mapping[str, object]) -> None: ...


_SHOWN: ContextVar[Shown | None] = ContextVar("shown", default=None)


@contextmanager
def gathering() -> Iterator[Shown]:
    """Gathers what readers of this context are asked."""
    shown = Shown()
    token = _SHOWN.set(shown)
    try:
        yield shown
    finally:
        _SHOWN.reset(token)


def gathered() -> Shown | None:
    """What gathers in this context, or None."""
    return _SHOWN.get()
