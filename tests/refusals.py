"""How tests expect a refused file: by the slug of its problem, not by its prose."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ingest.interface import UnreadableUnit
from ingest.problems import problems


@contextmanager
def refused_file(reason: str) -> Iterator[pytest.ExceptionInfo[UnreadableUnit]]:
    """The block refuses a landed file for this reason; gives what was raised, for its position and remedy."""
    assert reason in problems(), "a slug of ingest/problems.yaml"
    with pytest.raises(UnreadableUnit) as caught:
        yield caught
    assert caught.value.reason == reason, caught.value
