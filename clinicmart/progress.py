"""Shows a run's progress: a line for every feed and stage, with the time since the start; a spinner on a terminal."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class _Lines(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self.console, self.started = console, time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        self.console.print(
            f"[dim]{time.monotonic() - self.started:6.1f} s[/dim]  {record.getMessage()}", highlight=False
        )


@contextmanager
def shown(title: str) -> Iterator[None]:
    """Prints what the pipeline reports while the block runs."""
    console = Console(stderr=True)
    logger = logging.getLogger("clinicmart.progress")
    handler = _Lines(console)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        with console.status(title):
            yield
    finally:
        logger.removeHandler(handler)
