"""What Streamlit runs alone, a fragment or a dialog, asks again who is signed in."""

import ast
from pathlib import Path

import pytest
import streamlit as st

import dashboards
from dashboards import data
from dashboards import person as people
from dashboards.server import auth_gate
from serving.people.caller import caller
from serving.people.principal import Role
from serving.people.sessions import session_id

SOURCES = sorted(Path(dashboards.__file__).parent.rglob("*.py"))
ALONE = {"fragment", "dialog"}
# These fragments draw again only what the page has computed. What they open asks.
DRAWS_AGAIN = {"shell.py": 2}


def unchecked(tree: ast.AST) -> list[int]:
    """Lines where a fragment or a dialog gets a body that does not ask again."""
    lines = []
    for node in ast.walk(tree):
        is_named = isinstance(node, ast.Attribute) and node.attr in ALONE and ast.unparse(node.value) == "st"
        if is_named:
            lines.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("streamlit"):
            lines += [node.lineno for name in node.names if name.name in ALONE]
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    good = [
        call.func.func.lineno
        for call in calls
        if isinstance(call.func, ast.Call)
        and ast.unparse(call.func.func) in ("st.dialog", "st.fragment")
        and isinstance(call.args[0], ast.Call)
        and ast.unparse(call.args[0].func) in ("still", "person.still")
    ]
    # `st.fragment(still(...))` takes its body as the first argument.
    good += [
        call.func.lineno
        for call in calls
        if ast.unparse(call.func) == "st.fragment"
        and isinstance(call.args[0], ast.Call)
        and ast.unparse(call.args[0].func) in ("still", "person.still")
    ]
    for line in good:
        lines.remove(line)
    return lines


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_fragment_and_dialog_asks_again(path):
    assert len(unchecked(ast.parse(path.read_text("utf-8")))) == DRAWS_AGAIN.get(path.name, 0)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("st.dialog('x')(body)()", [1]),
        ("st.fragment(body)()", [1]),
        ("@st.fragment\ndef f(): ...", [1]),
        ("from streamlit import fragment", [1]),
        ("st.dialog('x')(still(source, body))()", []),
        ("st.fragment(still(source, body), key='k')()", []),
    ],
)
def test_the_rule_sees_each_form(text, lines):
    assert unchecked(ast.parse(text)) == lines


@pytest.fixture
def browser_of(served, monkeypatch):
    """`browser_of("x@harbor")`: this thread as a script of that person's browser; gives the session's token."""

    def opened(email: str) -> str:
        token = served.access.create_session(served.access.principal("harbor", email))
        monkeypatch.setattr(type(st.context), "cookies", property(lambda _: {auth_gate.SESSION_COOKIE: token}))
        return token

    return opened


class DrawnAgain(Exception):
    """Streamlit begins the page again."""


def test_a_body_runs_while_the_person_is_the_same_and_not_after(served, browser_of, reader, monkeypatch):
    def again() -> None:
        raise DrawnAgain

    left: list[str] = []
    monkeypatch.setattr(people.widgets, "leave", lambda markup, _: left.append(str(markup)))
    monkeypatch.setattr(people.st, "rerun", again)
    monkeypatch.setattr(data, "open_reader", lambda home, principal, **_: reader)
    own = {"password": "correct horse battery 9", "must_change": False}
    served.access.add_user("harbor", "once@harbor", display_name="Once", role=Role.ANALYST, **own)
    ran: list[str] = []
    token = browser_of("once@harbor")
    principal = served.access.session(token)
    body = people.still(data.Source(reader, principal), ran.append)
    body("before")
    assert (ran, caller().channel, caller().session) == (["before"], "page", session_id(token))
    served.access.change_rights("harbor", "once@harbor", role=Role.EXECUTIVE, actor="test")
    body("the session ended with the rights")
    browser_of("once@harbor")
    with pytest.raises(DrawnAgain):
        body("signed in again, with other rights")
    served.access.change_rights("harbor", "once@harbor", role=Role.ANALYST, actor="test")
    browser_of("once@harbor")
    reader.scope_hash = "1" * 64
    with pytest.raises(DrawnAgain):
        body("the same role, and the scope is another one")
    served.access.change_rights("harbor", "once@harbor", is_active=False, actor="test")
    body("locked")
    assert ran == ["before"]
    assert ["signed out" in text for text in left] == [True, True]
