"""How long to wait, and how often to try: back-off with jitter, what the server asks for, and an end to patience."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from ingest.receive.fhir.problems import NotYet

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0


@dataclass
class Pace:
    """Waits, up to `limit_seconds` in all; waits of threads count each. `sleep` is replaced in tests."""

    limit_seconds: float
    sleep: Callable[[float], None] = time.sleep
    waited_seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, seconds: float, what: str) -> None:
        """Waits. Raises NotYet, at once, where that would take more time than is left."""
        with self._lock:
            if self.waited_seconds + seconds > self.limit_seconds:
                raise NotYet(
                    f"{what}; the server asks to wait {seconds:,.0f} seconds more",
                    "The next run continues from here. To wait longer in one run, raise wait_minutes",
                )
            self.waited_seconds += seconds
        self.sleep(seconds)


def backoff(failures: int) -> float:
    """Seconds before trying again after so many failures: 1, 2, 4 ... 60, give or take a quarter so that many clients of one
    server do not come at once."""
    seconds: float = min(FIRST_SECONDS * 2 ** (failures - 1), LONGEST_SECONDS)
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311


def retry_after(response: httpx.Response) -> float | None:
    """Seconds that `Retry-After` asks for, given in seconds or as a date of HTTP; None if it is absent or cannot be parsed.
    Dates are compared with the server's clock if the server sends its time."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    until = http_date(text)
    if until is None:
        return None
    now = http_date(response.headers.get("date", "")) or datetime.now(UTC)
    return max((until - now).total_seconds(), 0.0)


def http_date(text: str) -> datetime | None:
    """A date of HTTP such as "Sat, 21 Nov 2026 10:00:00 GMT"; None for anything else."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
