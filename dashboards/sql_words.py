"""Completion in the SQL editor: names of tables, columns and metrics, and words of SQL, offered while a person writes.

Beside the editor stands a list that the keyboard reaches: arrows choose, Tab takes, Escape closes. Nothing leaves the browser.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl
import streamlit as st

WORDS = (
    "select from where group by order by having limit join left join on using with as and or not in between like is null "
    "case when then else end distinct count sum avg min max median cast date_trunc filter over partition by union all except "
    "pivot describe summarize coalesce round"
)
_SCRIPT = """
export default function({ data, parentElement }) {
  // The editor may be drawn after this, and again: its events are heard at the document.
  let field = null;
  const isEditor = (event) => {
    const is = event.target.matches?.(`.st-key-${data.field} textarea`);
    if (is) field = event.target;
    return is;
  };
  let list = parentElement.querySelector('ul');
  if (!list) {
    list = document.createElement('ul');
    list.className = 'cm-complete';
    list.id = 'cm-complete';
    list.setAttribute('role', 'listbox');
    list.setAttribute('aria-label', 'Names that fit');
    list.hidden = true;
    parentElement.appendChild(list);
  }
  let chosen = 0, fitting = [];
  const close = () => { list.hidden = true; fitting = []; field?.removeAttribute('aria-activedescendant'); };
  const written = () => {
    const before = field.value.slice(0, field.selectionStart);
    return (before.match(/(?:(\\w+)\\.)?(\\w*)$/) || ['', '', '']);
  };
  const choose = (index) => {
    chosen = (index + fitting.length) % fitting.length;
    [...list.children].forEach((item, at) => item.setAttribute('aria-selected', String(at === chosen)));
    field.setAttribute('aria-activedescendant', `cm-complete-${chosen}`);
  };
  const take = (index) => {
    const part = written()[2], name = fitting[index][0], end = field.selectionStart;
    const text = field.value.slice(0, end - part.length) + name + field.value.slice(end);
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value').set.call(field, text);
    field.selectionStart = field.selectionEnd = end - part.length + name.length;
    field.dispatchEvent(new Event('input', { bubbles: true }));
    close();
    field.focus();
  };
  const offer = () => {
    const [, table, part] = written();
    const text = field.value.toLowerCase(), start = part.toLowerCase();
    if (!table && start.length < 2) return close();
    // Of a table that the text names, or of an alias, the columns of the tables in the text come first.
    const here = new Set(Object.keys(data.columns).filter((name) => new RegExp(`\\\\b${name}\\\\b`).test(text)));
    const tables = table && data.columns[table.toLowerCase()] ? [table.toLowerCase()] : [...here];
    const names = new Map();
    for (const name of tables) for (const column of data.columns[name]) names.set(column, name);
    if (!table) for (const [name, kind] of data.names) if (!names.has(name)) names.set(name, kind);
    for (const [name, columns] of Object.entries(data.columns)) {
      for (const column of columns) if (!names.has(column)) names.set(column, name);
    }
    fitting = [...names].filter(([name]) => name.startsWith(start) && name !== start).slice(0, 8);
    if (!fitting.length) return close();
    list.replaceChildren(...fitting.map(([name, kind], at) => {
      const item = document.createElement('li');
      item.id = `cm-complete-${at}`;
      item.setAttribute('role', 'option');
      item.textContent = name;
      const note = document.createElement('small');
      note.textContent = kind;
      item.appendChild(note);
      item.onmousedown = (event) => { event.preventDefault(); take(at); };
      return item;
    }));
    list.hidden = false;
    field.setAttribute('aria-autocomplete', 'list');
    field.setAttribute('aria-controls', list.id);
    field.spellcheck = false;
    choose(0);
  };
  const press = (event) => {
    if (list.hidden || !isEditor(event)) return;
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey;
    if (event.key === 'Escape') close();
    else if (event.key === 'ArrowDown') choose(chosen + 1);
    else if (event.key === 'ArrowUp') choose(chosen - 1);
    else if (plain && event.key === 'Tab') take(chosen);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const typed = (event) => { if (event.isTrusted && isEditor(event)) offer(); };
  const left = (event) => { if (isEditor(event)) close(); };
  document.addEventListener('input', typed);
  document.addEventListener('keydown', press, true);
  document.addEventListener('focusout', left);
  return () => {
    document.removeEventListener('input', typed);
    document.removeEventListener('keydown', press, true);
    document.removeEventListener('focusout', left);
  };
}
"""


def draw(field: str, words: Mapping[str, pl.DataFrame]) -> None:
    """Offers completion in the text area with the key `field`. `words` is the dictionary of the extract."""
    component = st.components.v2.component("clinicmart_completion", js=_SCRIPT, isolate_styles=False)
    component(key="cm_sql_words", data={"field": field, **names_of(words)})


def names_of(words: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """`columns`: table to its columns; `names`: (name, kind) of tables, metrics and words of SQL."""
    columns: dict[str, list[str]] = {}
    for table, column in words["columns"].select("table_name", "column_name").iter_rows():
        columns.setdefault(table, []).append(column.lower())
    metrics = [name.partition(".")[2] for name in words["metrics"]["view_name"] if name != "no view"]
    names = [*((name, "table") for name in columns), *((name, "metric") for name in metrics)]
    return {"columns": columns, "names": [*names, *((word, "SQL") for word in WORDS.split())]}
