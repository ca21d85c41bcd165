"""A query that runs beside the page: the page stays usable, shows how long it takes, and can cancel it."""

import contextvars
import logging
import threading
import time

from dashboards import failures
from dashboards import format as fmt
from foundation.errors import ClinicmartError
from serving.workbench import Bench, Result, Stop

log = logging.getLogger(__name__)


class Job:
    """One statement on its way. `key` is the scope and version that it was asked under; it begins at once."""

    def __init__(self, bench: Bench, sql: str, key: tuple[str, ...]) -> None:
        self.sql, self.key = sql, key
        self.result: Result | None = None
        self.problem = ""
        self._stop, self._began = Stop(), time.monotonic()
        # The context names the caller, whom the audit row names.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run, bench), daemon=True, name="sql")
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def cancel(self) -> None:
        """Ends it; its audit row says so."""
        self._stop.ask()

    def wait(self, seconds: float) -> None:
        """Waits for its end, for so long at most."""
        self._thread.join(seconds)

    def _run(self, bench: Bench) -> None:
        try:
            self.result = bench.run(self.sql, self._stop)
        except ClinicmartError as error:
            self.problem = fmt.sentence(str(error))
        except Exception as error:
            log.error("a query failed: %s", failures.place_of(error))
            self.problem = (
                "Something went wrong on our side. Your data are safe. Try again, or write the query in another way."
            )
