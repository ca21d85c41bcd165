"""Streamlit's caches are process-wide: one function may use them, and its key holds tenant, scope and version."""

import ast
import inspect
from pathlib import Path

import polars as pl
import pytest

import dashboards
from dashboards import data
from serving.people.principal import Principal, Role

SOURCES = sorted(Path(dashboards.__file__).parent.rglob("*.py"))
BANNED = {"cache_data", "cache_resource", "experimental_memo", "experimental_singleton", "memo", "singleton", "cache"}


def cache_uses(tree: ast.AST) -> list[int]:
    """Lines that touch a Streamlit cache: as an attribute, by import, or through getattr."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in BANNED and ast.unparse(node.value) in ("st", "streamlit"):
            lines.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("streamlit"):
            lines += [node.lineno for name in node.names if name.name in BANNED]
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr" and ast.unparse(node.args[0]) == "st":
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_other_module_caches(path):
    found = cache_uses(ast.parse(path.read_text(encoding="utf-8")))
    assert len(found) == (1 if path.name == "data.py" else 0), f"{path}: lines {found}"


@pytest.mark.parametrize(
    "text",
    [
        "import streamlit as st\n@st.cache_data\ndef f(): ...",
        "from streamlit import cache_resource",
        "getattr(st, 'x')",
    ],
)
def test_the_rule_sees_each_way_to_a_cache(text):
    assert cache_uses(ast.parse(text))


def test_the_key_holds_tenant_scope_version_and_question():
    names = list(inspect.signature(data._answer.__wrapped__).parameters)
    assert names == ["tenant_id", "scope_hash", "version", "question", "_ask"]


def _figure(reader, tenant, email):
    person = Principal(tenant_id=tenant, email=email, display_name="", role=Role.ANALYST)
    return data.Source(reader, person).query(["appointments"])["appointments"][0]


def test_two_tenants_with_the_same_ids_never_share_an_answer(reader, visits):
    from tests.dashboards import fake_reader

    data._answer.clear()
    other = fake_reader.FakeReader(tenant_id="mesa", visits=visits.head(100))
    assert _figure(reader, "harbor", "a@harbor") == visits.height
    assert _figure(other, "mesa", "a@mesa") == 100


def test_two_scopes_of_one_tenant_never_share_an_answer(reader, visits):
    from tests.dashboards import fake_reader

    data._answer.clear()
    narrow = fake_reader.FakeReader(scope_hash="1" * 64, visits=visits.filter(pl.col("leaf") == "elm"))
    assert _figure(reader, "harbor", "a@harbor") == visits.height
    assert _figure(narrow, "harbor", "b@harbor") == narrow.visits.height < visits.height


def test_the_same_scope_asks_once(reader):
    data._answer.clear()
    first = _figure(reader, "harbor", "a@harbor")
    asked = reader.asked
    assert _figure(reader, "harbor", "b@harbor") == first
    assert reader.asked == asked
