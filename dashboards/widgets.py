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
from serving.people.branding import PLAIN, Brand

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
  }
  root.onclick = (event) => {
    const copy = event.target.closest('[data-copy]');
    if (copy && navigator.clipboard) {
      navigator.clipboard.writeText(window.location.href).then(() => { copy.innerText = copy.dataset.copy; });
      return;
    }
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
FIGURE = "figure:"  # an action that opens a figure's passport: figure:<metric>?<what its mark changes in the view>
# In the session's state: a click moved the whole page, or asked for a passport.
_BRAND = "cm_brand"
_MOVED, _ASKED = "cm_moved", "cm_asked"


def _mount(html: Markup, *, key: str, leave: str = "", on_action: Callable[[], None] | None = None) -> Any:
    component = st.components.v2.component("clinicmart_markup", js=_SCRIPT, isolate_styles=False)
    return component(key=key, data={"html": str(html), "leave": leave}, on_action_change=on_action or (lambda: None))


def current_view(as_of: date) -> View:
    """The view that the URL says now."""
    return states.parse({name: st.query_params.get_all(name) for name in st.query_params}, as_of)


def moved_by(view: View, changes: str) -> View:
    """The view after changes written as `move` writes them, without its prefix."""
    return states.moved_by(view, changes)


def go(view: View) -> None:
    """Makes the URL say this view: one step of the browser's history."""
    st.query_params.from_dict(view.params())


def move(**changes: Any) -> str:
    """The action text of a change of the view; None clears a value."""
    return MOVE + states.encode(changes)


def narrow(moves: Mapping[str, Any]) -> str:
    """The action that narrows the page by `moves`; empty where there are none."""
    return move(**moves) if moves else ""


def passport(metric: str, changes: Mapping[str, Any] | None = None) -> str:
    """The action text that opens a figure's passport; `changes` narrow the view to the mark that was clicked."""
    return f"{FIGURE}{metric}?{states.encode(changes or {})}"


def apply_move(action: str, as_of: date) -> None:
    """Carries out a `view:` or `figure:` action. Anything else is ignored: actions come from the browser."""
    if action.startswith(MOVE):
        st.session_state[_MOVED] = True
        go(states.moved_by(current_view(as_of), action.removeprefix(MOVE)))
    elif action.startswith(FIGURE):
        st.session_state[_ASKED] = True
        metric, _, at = action.removeprefix(FIGURE).partition("?")
        go(states.moved_by(current_view(as_of), states.encode({"figure": metric, "at": at})))


def asked_for_passport() -> bool:
    """Whether a click of this run asked for a passport; true once for each click."""
    return bool(st.session_state.pop(_ASKED, False))


def rerun_if_moved() -> None:
    """Draws the whole page again where a click inside a fragment changed its view."""
    if st.session_state.pop(_MOVED, False):
        st.rerun()


def forget_moves() -> None:
    """A click in the drawer moved only what the drawer shows: the page need not follow."""
    st.session_state.pop(_MOVED, None)


def html(markup: Markup, *, key: str, as_of: date | None = None) -> str:
    """Draws markup. A click on a `view:` or `figure:` element changes the URL before the next run; a `page:` action is returned."""

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
    of_brand = theme.stylesheet_of_brand() if st.session_state.get(_BRAND, PLAIN).accent else ""
    st.html(f"<style>{theme.stylesheet(look)}{of_brand}</style>")


def wear(brand: Brand) -> None:
    """From here on this live page, which belongs to one sign-in, has the accent of a brand."""
    st.session_state[_BRAND] = brand


def look() -> theme.Tokens:
    """Tokens of the ground that the browser shows, with the accent of the person's organization."""
    return theme.branded(theme.tokens(st.context.theme.type), st.session_state.get(_BRAND, PLAIN))


def chart(
    option: Mapping[str, Any],
    *,
    key: str,
    height: int,
    alt: str,
    marks: Sequence[Sequence[str]] = (),
    as_of: date | None = None,
) -> None:
    """Draws a chart. `marks` holds, for each series, the action of each of its marks (`passport`); one list is for all series."""
    if not marks or as_of is None:
        st.echarts_chart(dict(option), height=height, theme=None, renderer="svg", key=key, alt=alt)
        return
    kept = f"{key}//chosen"

    def act() -> None:
        chosen = [
            (group["series_index"], index)
            for group in st.session_state[key]["selection"]["selected"]
            for index in group["data_indices"]
        ]
        before = st.session_state.get(kept, [])
        st.session_state[kept] = chosen
        # A second click on a mark takes its selection away: it asks for the same passport again.
        clicked = [mark for mark in chosen if mark not in before] or [mark for mark in before if mark not in chosen]
        action = _mark_at(marks, clicked[0]) if clicked else ""
        if action:
            apply_move(action, as_of)

    st.echarts_chart(dict(option), height=height, theme=None, renderer="svg", key=key, alt=alt, on_select=act)


def _mark_at(marks: Sequence[Sequence[str]], place: tuple[int, int]) -> str:
    """The action of a mark by (series, position); empty where the browser names none of them."""
    series, index = place
    of_series = marks[0] if len(marks) == 1 else marks[series] if 0 <= series < len(marks) else ()
    return of_series[index] if 0 <= index < len(of_series) else ""


def as_table(table: Markup) -> Markup:
    """A table folded away below what shows the same values."""
    return Markup('<div class="cm-as-table">{}</div>').format(folded("Show as table", table))
