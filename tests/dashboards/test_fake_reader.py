"""The reader that page tests use answers to the same names as the real one, so that it cannot drift from it."""

import inspect
import re
from pathlib import Path

import pytest

from serving.reader import Reader
from tests.dashboards.fake_reader import FakeReader

DASHBOARDS = Path(__file__).parents[2] / "dashboards"


def used_by_pages() -> set[str]:
    """Names of the reader that the dashboards use."""
    texts = (path.read_text("utf-8") for path in DASHBOARDS.rglob("*.py"))
    return {name for text in texts for name in re.findall(r"\breader\.([a-z]\w*)", text)}


def parameters(function: object) -> list[tuple[str, object, object]]:
    """(name, kind, default) of a method."""
    return [(item.name, item.kind, item.default) for item in inspect.signature(function).parameters.values()]  # type: ignore[arg-type]


def test_both_have_what_pages_use() -> None:
    names = used_by_pages()
    assert {"query", "drill", "health", "tree"} <= names
    fake, real = FakeReader(), vars(Reader)
    assigned = set(re.findall(r"self\.([a-z]\w*) = ", inspect.getsource(Reader.__init__)))
    assert {name for name in names if name not in real and name not in assigned} == set()
    assert {name for name in names if name not in dir(fake)} == set()


@pytest.mark.parametrize("name", sorted(used_by_pages()))
def test_methods_take_the_same_and_give_the_same_kind(name: str) -> None:
    real, fake = inspect.getattr_static(Reader, name, None), inspect.getattr_static(FakeReader, name, None)
    if not inspect.isfunction(real):
        assert not inspect.isfunction(fake), "an attribute is no method"
        return
    assert inspect.isfunction(fake)
    assert parameters(fake) == parameters(real)
    assert inspect.signature(fake).return_annotation == inspect.signature(real).return_annotation
