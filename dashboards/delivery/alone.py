"""One process at a time evaluates alerts and sends mail from a home."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from foundation.errors import ConfigurationError
from foundation.home import Home


@contextmanager
def alone(home: Home) -> Iterator[None]:
    """Holds the lock of sending, also where this thread holds it already. Raises ConfigurationError where another process has it."""
    try:
        with FileLock(home.path / "deliver.lock", timeout=0, is_singleton=True):
            yield
    except Timeout:
        raise ConfigurationError("another process is sending mail from this home; try again when it is done") from None
