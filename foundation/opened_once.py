"""Things that take long to open: each is opened once, is shared by all who ask for it, and the ones asked for last are kept."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class OpenedOnce(Generic[K, V]):
    """At most `most` open things by key. One that is dropped is not closed: who still holds it goes on, and it ends with the last one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()
        # One lock a key, so that opening one thing does not hold up those who ask for others.
        self._opening: dict[K, threading.Lock] = {}

    def get(self, key: K, opened: Callable[[], V]) -> V:
        """The thing of a key, opened by the first who asks; the others wait for it. Raises what `opened` raises, and keeps nothing then."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            opening = self._opening.setdefault(key, threading.Lock())
        with opening:
            with self._lock:
                if key in self._kept:
                    return self._kept[key]
            made = opened()
            with self._lock:
                self._kept[key] = made
                self._opening.pop(key, None)
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
        return made

    def drop(self, key: K) -> None:
        """Forgets the thing of a key: the next who asks opens it again."""
        with self._lock:
            self._kept.pop(key, None)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._kept.clear()
