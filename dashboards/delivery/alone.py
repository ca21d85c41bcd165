"""One process at a time evaluates alerts and sends mail from a home; of all servers that share its people, where these are on a server."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from foundation.errors import ConfigurationError
from foundation.home import Home
from serving.people.engines import SENDING_LOCK
from serving.people.store import AccessStore

_BUSY = "another process is sending mail from this home; try again when it is done"


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Holds the lock of sending, also where this thread holds it already. Raises ConfigurationError where another process has it."""
    lock = FileLock(home.path / "deliver.lock", timeout=0, is_singleton=True)
    is_held = lock.is_locked
    try:
        with lock:
            if is_held:
                yield
                return
            with AccessStore.open(home).held(SENDING_LOCK) as is_ours:
                if not is_ours:
                    raise ConfigurationError(_BUSY)
                yield
    except Timeout:
        raise ConfigurationError(_BUSY) from None
