"""Answers Prometheus on a separate address, not on that of the pages."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

from prometheus_client import Metric, start_http_server

from foundation.errors import ConfigurationError
from foundation.home import Home
from ingest.monitoring import ledger_metrics
from serving.counters import REGISTRY
from serving.monitoring import Guarded, published_metrics

# Scrapes within this time get the same answer: frequent scrapes cost nothing.
_KEPT_SECONDS = 5.0


def address_of(text: str) -> tuple[str, int]:
    """Host and port of `9464`, `127.0.0.1:9464` or `[::1]:9464`. Raises ConfigurationError for anything else."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    try:
        ip_address("127.0.0.1" if host == "localhost" else host)
        number = int(port)
    except ValueError:
        number = 0
    if not 0 < number < 65536:
        raise ConfigurationError(
            f"--metrics-address {text!r}: write a port, or an address and a port such as 127.0.0.1:9464"
        )
    return host, number


@contextmanager
def metrics_served(home: Home, address: str) -> Iterator[None]:
    """Answers on `/metrics` of an address while the block runs. Raises ConfigurationError where the address cannot be used."""
    host, port = address_of(address)
    collectors = [
        Guarded("serving", _kept(lambda: published_metrics(home.path))),
        Guarded("ledger", _kept(lambda: ledger_metrics(home))),
    ]
    for collector in collectors:
        REGISTRY.register(collector)
    try:
        try:
            server, thread = start_http_server(port, addr=host, registry=REGISTRY)
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another --metrics-address"
            ) from None
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
    finally:
        for collector in collectors:
            REGISTRY.unregister(collector)


def _kept(collect: Callable[[], Iterable[Metric]]) -> Callable[[], list[Metric]]:
    """Keeps the same metrics for some seconds."""
    last: tuple[float, list[Metric]] | None = None

    def collected() -> list[Metric]:
        nonlocal last
        now = time.monotonic()
        if last is None or now - last[0] > _KEPT_SECONDS:
            last = (now, list(collect()))
        return last[1]

    return collected
