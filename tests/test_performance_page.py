"""The page of measured times has a column only for what was measured."""

import importlib
import json
from pathlib import Path

import pytest

from tests.support import ROOT

ROW = {"work": "nothing new", "value": 7.81, "unit": "s", "budget": 2.5}
MADE = {"machine": "2 cores", "versions": "Python", "day": "2026-11-29"}


@pytest.mark.parametrize(
    ("measured", "head", "row"),
    [
        (("before",), "| Work | Unit | Budget | Before |", "| nothing new | s | 2.5 | 7.8 |"),
        (("now",), "| Work | Unit | Budget | Now |", "| nothing new | s | 2.5 | 7.8 |"),
        (("before", "now"), "| Work | Unit | Budget | Before | Now |", "| nothing new | s | 2.5 | 7.8 | 7.8 |"),
    ],
    ids=["before", "now", "both"],
)
def test_a_column_that_nobody_measured_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: tuple[str, ...], head: str, row: str
) -> None:
    # Benchmarks are scripts that import each other, not a package.
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    bench = importlib.import_module("bench")
    monkeypatch.setattr(bench, "RESULTS", tmp_path)
    for label in measured:
        (tmp_path / label).mkdir()
        (tmp_path / label / "small.json").write_text(json.dumps(MADE | {"figures": [ROW]}))
    lines = bench.page().splitlines()
    assert head in lines
    assert row in lines
