"""The soak for a minute; `python -m tests.faults.soak --minutes 30` is the long one."""

from pathlib import Path

import pytest

from tests.faults.soak import soak


@pytest.mark.slow
def test_a_minute_of_everything_at_once_leaves_the_figures_of_an_undisturbed_home(tmp_path: Path) -> None:
    work, is_same, is_restored = soak(tmp_path, 60)
    assert work.failures == []
    assert (is_same, is_restored) == (True, True)
    assert {"files", "upgrade killed", "keys", "restore", "backup"} <= set(work.done)
    assert work.done["figures read"] > 0
