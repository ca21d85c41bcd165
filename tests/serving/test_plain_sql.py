"""SQL without MetricFlow gives the answers of MetricFlow; `tests/test_golden_homes.py` asks it what earlier releases froze."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from serving.metrics import compiler
from serving.metrics.compiler import compiler_of, metricflow_release
from serving.metrics.plain_sql import PlainSql
from serving.metrics.shape import MetricError, Shape
from serving.model import MetricQuery
from serving.open_files import close_all
from serving.reader import Reader, open_reader
from serving.versions.store import current_version, files_of, version_to_json
from tests.serving.conftest import Place

FEBRUARY = {"date_from": date(2026, 2, 1), "date_to": date(2026, 2, 28)}


def questions(reader: Reader) -> list[MetricQuery]:
    """One of each kind for every metric: in total, by a grain, by a dimension, with a filter."""
    chosen = random.Random(5)
    asked = []
    for metric in reader.metrics():
        names = [name for name in metric.dimensions if not name.startswith("current_")]
        by = [chosen.choice(names)] if names else []
        asked += [
            MetricQuery(metrics=[metric.name]),
            MetricQuery(metrics=[metric.name], grain=chosen.choice(("day", "week", "month", "quarter", "year"))),
            MetricQuery(metrics=[metric.name], by=by, grain="month", **FEBRUARY),
        ]
        if "service_unit" in names:
            unit = str(reader.tree()["service_unit_id"][0])
            asked.append(MetricQuery(metrics=[metric.name], by=by, where={"service_unit": unit}))
    # Several metrics of different marts in one question.
    every = [metric.name for metric in reader.metrics()]
    return [*asked, MetricQuery(metrics=every, grain="month"), MetricQuery(metrics=every)]


def answers(reader: Reader, asked: list[MetricQuery]) -> list[pl.DataFrame]:
    return [reader.query(query) for query in asked]


def test_every_metric_answers_the_same_without_metricflow(
    place: Place, reader: Callable[[str], Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = reader("admin@harbor")
    asked = questions(admin)
    expected = answers(admin, asked)

    def gone(*_: object) -> None:
        raise ImportError("no MetricFlow")

    monkeypatch.setattr(compiler, "_engine", gone)
    monkeypatch.setattr(compiler, "_COMPILERS", {})
    close_all()
    plain = open_reader(place.home, place.access.principal("harbor", "admin@harbor"))
    for query, with_it, without in zip(asked, expected, answers(plain, asked), strict=True):
        assert with_it.columns == without.columns, query
        numbers = [name for name, kind in with_it.schema.items() if kind.is_numeric()]
        keys = [name for name in with_it.columns if name not in numbers]
        assert with_it.select(keys).equals(without.select(keys)), query
        for name in numbers:
            for one_value, other_value in zip(with_it[name], without[name], strict=True):
                assert (one_value is None) == (other_value is None), query
                assert one_value is None or float(one_value) == pytest.approx(float(other_value), rel=1e-9), query


def test_a_version_of_another_metricflow_is_compiled_without_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    served = current_version(place.home, "harbor")
    assert served is not None
    assert served.metricflow == metricflow_release()
    files = files_of(place.home, "harbor", served.version)
    of_its_day = replace(served, metricflow="0.1")
    for path in (files.version, files.folder.parent / "current.json"):
        path.write_bytes(version_to_json(of_its_day))
    monkeypatch.setattr(compiler, "_engine", lambda *_: pytest.fail("MetricFlow was asked"))
    close_all()
    person = place.access.principal("harbor", "admin@harbor")
    answer = open_reader(place.home, person, as_of=served.version).query(MetricQuery(metrics=["visits"]))
    assert answer["visits"][0] > 0


def test_what_the_manifest_does_not_have_is_a_sentence(place: Place) -> None:
    served = current_version(place.home, "harbor")
    assert served is not None
    manifest = files_of(place.home, "harbor", served.version).semantic_manifest.read_bytes()
    for shape in (
        Shape(metrics=("absent",), group_by=(), where=()),
        Shape(metrics=("visits",), group_by=("nowhere__at_all",), where=()),
    ):
        with pytest.raises(MetricError, match="cannot work out"):
            PlainSql(manifest).sql(shape)
    assert "select" in compiler_of(manifest, written_with="0.1").sql(Shape(metrics=("visits",), group_by=(), where=()))
