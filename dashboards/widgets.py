"""Drawing on a Streamlit page: markup that sends clicks back, charts whose marks lead a level down, moves in the URL."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import streamlit as st
from markupsafe import Markup

from dashboards import theme
from dashboards import view as states
from dashboards.markup import folded
from dashboards.view import View

# What is drawn is `Markup`, which escapes every value laid into it: see `dashboards.markup`.
_SCRIPT = """
export default function({ data, parentElement, setTriggerValue }) {
  let root = parentElement.querySelector('.cm-root');
  if (!root) {
    root = document.createElement('div');
    root.className = 'cm-root';
    parentElement.appendChild(root);
  }
  if (root.cmHtml !== data.html) {
    root.innerHTML = data.html;
    root.cmHtml = data.html;
    // Rows open far below the tile that was clicked: bring them into view.
    const rows = root.querySelector('.cm-rows-head');
    if (rows) {
      rows.tabIndex = -1;
      rows.focus({ preventScroll: true });
      rows.scrollIntoView({ block: 'start' });
    }
  }
  root.onclick = (event) => {
    const target = event.target.closest('[data-do]');
    if (!target || !root.contains(target)) return;
    event.preventDefault();
    setTriggerValue('action', target.dataset.do);
  };
  const close = (event) => {
    for (const open of root.querySelectorAll('details.cm-definition[open]')) {
      if (event.type === 'keydown' ? event.key === 'Escape' : !open.contains(event.target)) open.open = false;
    }
  };
  document.addEventListener('click', close);
  document.addEventListener('keydown', close);
  if (data.leave) window.location.assign(data.leave);
  return () => {
    document.removeEventListener('click', close);
    document.removeEventListener('keydown', close);
  };
}
"""
PAGE = "page:"  # an action that opens another page: page:<url path>?<query parameters>
MOVE = "view:"  # an action that changes the view: view:<name>=<value>&...


def _mount(html: Markup, *, key: str, leave: str = "", on_action: Callable[[], None] | None = None) -> Any:
    component = st.components.v2.component("clinicmart_markup", js=_SCRIPT, isolate_styles=False)
    return component(key=key, data={"html": str(html), "leave": leave}, on_action_change=on_action or (lambda: None))


def current_view(as_of: date) -> View:
    """The view that the URL says now."""
    return states.parse(st.query_params.to_dict(), as_of)


def moved_by(view: View, changes: str) -> View:
    """The view after changes written as `move` writes them, without its prefix."""
    return states.moved_by(view, changes)


def go(view: View) -> None:
    """Makes the URL say this view: one step of the browser's history."""
    st.query_params.from_dict(view.params())


def move(**changes: Any) -> str:
    """The action text of a change of the view; None clears a value."""
    return MOVE + states.encode(changes)


def apply_move(action: str, as_of: date) -> None:
    """Carries out a `view:` action. Anything else is ignored: actions come from the browser."""
    if action.startswith(MOVE):
        go(states.moved_by(current_view(as_of), action.removeprefix(MOVE)))


def html(markup: Markup, *, key: str, as_of: date | None = None) -> str:
    """Draws markup. A click on a `view:` element changes the URL before the next run; a `page:` action is returned."""

    def act() -> None:
        action = st.session_state[key]["action"]
        if action and as_of is not None:
            apply_move(action, as_of)

    result = _mount(markup, key=key, on_action=act)
    action = result.action or ""
    return action if action.startswith(PAGE) else ""


def leave(markup: Markup, address: str) -> None:
    """Draws markup and sends the browser away, to a page outside Streamlit."""
    _mount(markup, key="cm_leave", leave=address)


def style(look: theme.Tokens) -> None:
    st.html(f"<style>{theme.stylesheet(look)}</style>")


def look() -> theme.Tokens:
    """Tokens of the ground that the browser shows."""
    return theme.tokens(st.context.theme.type)


def chart(
    option: Mapping[str, Any],
    *,
    key: str,
    height: int,
    alt: str,
    table: Markup,
    moves: Sequence[Mapping[str, Any]] = (),
    as_of: date | None = None,
) -> None:
    """Draws a chart and, folded below it, the same values as a table.

    `moves` holds, for each category, what a click on its mark changes in the view.
    """
    _draw_chart(option, key=key, height=height, alt=alt, moves=moves, as_of=as_of)
    as_table(table)


def as_table(table: Markup) -> None:
    """A table folded away below what shows the same values."""
    st.html(str(Markup('<div class="cm-root cm-as-table">{}</div>').format(folded("Show as table", table))))


def _draw_chart(
    option: Mapping[str, Any],
    *,
    key: str,
    height: int,
    alt: str,
    moves: Sequence[Mapping[str, Any]],
    as_of: date | None,
) -> None:
    if not moves or as_of is None:
        st.echarts_chart(dict(option), height=height, theme=None, renderer="svg", key=key, alt=alt)
        return

    def act() -> None:
        chosen = st.session_state[key]["selection"]["selected"]
        indices = [index for group in chosen for index in group["data_indices"]]
        if indices and 0 <= indices[0] < len(moves) and moves[indices[0]]:
            go(current_view(as_of).moved(**moves[indices[0]]))

    st.echarts_chart(dict(option), height=height, theme=None, renderer="svg", key=key, alt=alt, on_select=act)
