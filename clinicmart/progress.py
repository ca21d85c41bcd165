"""Shows a run's progress: a line for every feed and stage, with the time since the start; a spinner on a terminal, or JSON."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console

from foundation.logs import json_handler, progress


class _Lines(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self.console, self.started = console, time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        self.console.print(
            f"[dim]{time.monotonic() - self.started:6.1f} s[/dim]  {record.getMessage()}", highlight=False
        )


@contextmanager
def shown(title: str, log_format: str = "text") -> Iterator[None]:
    """Prints what the pipeline reports while the block runs, as text or as JSON (`foundation.logs`)."""
    console = Console(stderr=True)
    as_json = log_format == "json"
    handler = json_handler() if as_json else _Lines(console)
    progress.setLevel(logging.INFO)
    progress.propagate = False
    progress.addHandler(handler)
    try:
        with nullcontext() if as_json else console.status(title):
            yield
    finally:
        progress.removeHandler(handler)
