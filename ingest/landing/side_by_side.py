"""Lands the feeds of several tenants side by side, in separate processes.

A run lands its feeds one after another. Helpers begin with the tenants at the end of its list and work towards it: the process
that reaches a tenant first lands all its feeds. A tenant that a helper could not land is left to the run itself, so that errors
are reported in one place. A helper ends when the process that started it does.
"""

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from logging.handlers import QueueHandler
from multiprocessing import connection, get_context, parent_process
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

from foundation import duck
from foundation.config import Feed, Tenant
from foundation.home import Home
from foundation.keys import Keys
from foundation.logs import about
from foundation.run_lock import step
from ingest.landing.land_feed import FeedReport, land_feed, progress
from ingest.ledger import Ledger
from ingest.sources.files import paths_of

# Each takes what landing takes at most (`ingest.landing.staged.BYTES_A_BATCH`), about a gigabyte.
MAXIMUM_HELPERS = 3
# A helper needs two seconds before it lands anything: less than this is landed sooner without.
WORTH_BYTES = 64 << 20
# A database or a server is asked before it is known how much it holds.
UNKNOWN_BYTES = 16 << 20
_LAST_LINES_SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class Task:
    """The feeds of one tenant, to be landed in one run; the rest as `land_feed` takes it."""

    home: Path
    feeds: tuple[Feed, ...]
    run_id: str
    full_refresh: bool
    accept_deletions: bool

    @property
    def tenant_id(self) -> str:
        return self.feeds[0].tenant_id


def helpers_for(tenants: Sequence[Tenant]) -> int:
    """How many helpers are worth their start: none for one tenant, one core or little to read."""
    helpers = min(len(os.sched_getaffinity(0)), len(tenants), MAXIMUM_HELPERS + 1) - 1
    if helpers < 1:
        return 0
    sized = 0
    for feed in (feed for tenant in tenants for feed in tenant.feeds):
        for size in _sizes(feed):
            sized += size
            if sized >= WORTH_BYTES:
                return helpers
    return 0


def _sizes(feed: Feed) -> Iterator[int]:
    """Bytes of each of a feed's files."""
    if feed.path is None:
        yield UNKNOWN_BYTES
        return
    for path in paths_of(feed):
        with suppress(OSError):
            yield path.stat().st_size


class SideBySide:
    """Helpers of one run. Without any (`helpers` 0), every feed is left to the run."""

    def __init__(self, helpers: int) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._helpers = helpers
        # Given out one by one, because the pool would accept one task more than it has helpers, and the run could not take it
        # back.
        self._waiting: list[Task] = []
        self._lock = threading.Lock()
        self._futures: dict[str, Future[dict[str, FeedReport]]] = {}
        if helpers:
            # Not forked: a fork of a process with threads (polars, DuckDB) may hang for ever.
            context = get_context("spawn")
            self._told: Queue[logging.LogRecord | None] = context.Queue()
            # A process that is killed while it writes a line blocks the others: do not wait for lines for ever.
            self._told.cancel_join_thread()
            self._teller = threading.Thread(target=self._tell, daemon=True)
            self._teller.start()
            initargs = (self._told, progress.level)
            self._pool = ProcessPoolExecutor(helpers, context, initializer=_begin, initargs=initargs)
            # They start while the run makes ready.
            for _ in range(helpers):
                self._pool.submit(_ready)

    def begin(self, home: Home, tenants: Sequence[Tenant], run_id: str, **how: bool) -> None:
        """Gives the helpers the tenants, in the order in which the run will come to them; `how` as `land_feed` takes it."""
        if self._pool is None:
            return
        # Made once, before several processes would.
        Keys.of(home)
        duck.install_extension(home)
        with self._lock:
            self._waiting = [
                Task(home=home.path, feeds=tenant.feeds, run_id=run_id, **how) for tenant in tenants if tenant.feeds
            ]
        for _ in range(self._helpers):
            self._give_next(None)

    def _give_next(self, before: Future[dict[str, FeedReport]] | None) -> None:
        """Gives a helper the last tenant that no process has begun, unless the helper did not finish its tenant before."""
        with self._lock:
            if self._pool is None or not self._waiting or (before is not None and before.exception() is not None):
                return
            task = self._waiting[-1]
            try:
                future = self._pool.submit(land_tenant, task)
            except (BrokenProcessPool, RuntimeError):
                return
            self._waiting.pop()
            self._futures[task.tenant_id] = future
        future.add_done_callback(self._give_next)

    def report(self, feed: Feed) -> FeedReport | None:
        """The report of the feed that a helper landed; None if the run has to land it itself."""
        with self._lock:
            self._waiting = [task for task in self._waiting if task.tenant_id != feed.tenant_id]
            future = self._futures.get(feed.tenant_id)
        if future is None:
            return None
        try:
            return future.result().get(feed.name)
        except Exception:
            # The cause that ended the helper will occur again in the run, or not.
            return None

    def close(self) -> None:
        """Ends the helpers. Tenants that they were not given are not begun."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
            self._told.put(None)
            self._teller.join(_LAST_LINES_SECONDS)

    def _tell(self) -> None:
        """Hands the progress lines of helpers to the logger that shows those of the run."""
        while (line := self._told.get()) is not None:
            progress.handle(line)


def land_tenant(task: Task) -> dict[str, FeedReport]:
    """Lands a tenant's feeds, in a helper; feed to its report, without those that an error came from which no reader foresaw."""
    home, result = Home(task.home), {}
    with step(home, task.tenant_id):
        ledger = Ledger(home)
        try:
            for feed in task.feeds:
                # The run gets the same error again and reports it.
                with suppress(Exception), about(run_id=task.run_id, tenant_id=feed.tenant_id, feed=feed.name):
                    result[feed.name] = land_feed(
                        home,
                        Keys.of(home),
                        ledger,
                        feed,
                        task.run_id,
                        full_refresh=task.full_refresh,
                        accept_deletions=task.accept_deletions,
                    )
        finally:
            ledger.close()
    return result


def _begin(queue: "Queue[Any]", level: int) -> None:
    """Makes a process a helper: its progress goes to the run, and it ends with it."""
    progress.addHandler(QueueHandler(queue))
    progress.setLevel(level)
    progress.propagate = False
    parent = parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _ready() -> None:
    """Nothing: a helper that was asked for it is there."""
