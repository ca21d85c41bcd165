"""A thing that takes long to open is opened once for all who ask, and those asked for last are kept."""

import threading
import time
from collections import Counter

import pytest

from foundation.opened_once import OpenedOnce


def test_many_who_ask_at_once_share_one_and_other_keys_do_not_wait() -> None:
    opened: Counter[str] = Counter()
    kept: OpenedOnce[str, object] = OpenedOnce(4)
    begun, may_end = threading.Event(), threading.Event()

    def slow() -> object:
        opened["slow"] += 1
        begun.set()
        assert may_end.wait(60)
        return object()

    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(kept.get("slow", slow))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    assert kept.get("quick", lambda: "quick") == "quick"
    time.sleep(0.05)
    may_end.set()
    for thread in threads:
        thread.join()
    assert opened["slow"] == 1
    assert len({id(item) for item in got}) == 1


def test_the_ones_asked_for_last_are_kept() -> None:
    kept: OpenedOnce[int, list[int]] = OpenedOnce(2)
    first, second = kept.get(1, lambda: [1]), kept.get(2, lambda: [2])
    assert kept.get(1, lambda: [0]) is first
    kept.get(3, lambda: [3])
    assert kept.get(1, lambda: [0]) is first
    assert kept.get(2, lambda: [0]) is not second
    kept.drop(2)
    assert kept.get(2, lambda: [22]) == [22]
    kept.clear()
    assert kept.get(2, lambda: [23]) == [23]


def test_an_opening_that_fails_keeps_nothing_and_the_next_one_tries_again() -> None:
    kept: OpenedOnce[str, str] = OpenedOnce(2)

    def fails() -> str:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        kept.get("a", fails)
    assert kept.get("a", lambda: "there") == "there"
