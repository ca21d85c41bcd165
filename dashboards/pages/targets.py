"""Targets: what figures should be, who set it, and from which day on. People with the right set them here."""

from datetime import date

import streamlit as st
from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup, shell, targets
from dashboards.data import UNKNOWN, Source
from dashboards.shell import PageContext
from foundation.errors import ClinicmartError
from serving.modules import PAGES
from serving.people.targets import WHOLE, Target, TargetTable, read_value

NONE = "none"
HELP = "In the figure's unit: 6% for a share, 40 for days, a month's worth of counts and amounts. The word none ends the target."
COLUMNS = ("Figure", "For", "Target", "From", "Set by", "Set on")


def draw(context: PageContext) -> None:
    """Draws the targets of a unit, with their history, and the form to set one."""
    source = context.source
    # The head names how many there are once the form has saved one.
    head = st.container()
    saved = _form(source) if source.reader.targets.may_set else ""
    versions = source.reader.targets.versions()
    standing = [target for target in TargetTable(versions).standing if target.value is not None]
    title = f"{fmt.plural(len(standing), 'target')} set" if standing else "No targets are set"
    with head:
        context.html(markup.heading(title, [], shell.whose(source)), key="cm_head")
    if saved:
        context.html(markup.state("Saved" if saved.startswith("Saved") else "Not saved", saved), key="cm_saved")
    if not source.reader.targets.may_set:
        text = "Administrators set targets, and program managers those of their units."
        context.html(markup.state("You can read targets", text), key="cm_target_rights")
    if standing:
        context.html(_table(source, standing, "Targets as they stand"), key="cm_targets")
    if len(versions) > len(standing):
        earlier = _table(source, list(reversed(versions)), "Every version, the newest first")
        context.html(markup.folded("Every version", earlier), key="cm_target_versions")


def _table(source: Source, shown: list[Target], caption: str) -> Markup:
    rows = []
    for target in shown:
        metric = source.metrics.get(target.metric)
        if metric is None:
            continue
        value = "ended" if target.value is None else fmt.exact(target.value, metric.unit)
        value += " a month" if target.value is not None and targets.is_per_month(metric) else ""
        at = fmt.local_date(target.set_at, source.time_zone) if target.set_at else None
        unit = _unit_name(source, target.service_unit_id)
        rows.append(markup.Row((metric.label, unit, value, fmt.day(target.valid_from), target.set_by, fmt.day(at))))
    return markup.table([markup.Column(name) for name in COLUMNS], rows, caption=caption)


def _unit_name(source: Source, unit: str) -> str:
    if unit == WHOLE:
        return source.tenant_name
    return source.places[unit].name if unit in source.places else "A unit above yours"


def _form(source: Source) -> str:
    """The form. Returns what became of it where it was sent. The rights are those of this run: they are looked up on each."""
    metrics = [name for page in PAGES.values() for name in page.figures if name in source.metrics]
    metrics += [name for name in source.metrics if name not in metrics]
    metrics = [name for name in dict.fromkeys(metrics) if source.metrics[name].direction in ("higher", "lower")]
    units = [place for place in source.places if place != UNKNOWN]
    if not source.reader.scope.is_restricted:
        root = source.root.id if source.root else None
        units = [WHOLE, *(unit for unit in units if unit != root)]
    with st.form("cm_target_form"):
        columns = st.columns([3, 3, 2, 2], vertical_alignment="bottom")
        metric = columns[0].selectbox("Figure", metrics, format_func=lambda name: source.metrics[name].label)
        unit = columns[1].selectbox("For", units, format_func=lambda name: _unit_name(source, name))
        value = columns[2].text_input("Target", help=HELP, max_chars=20)
        first = columns[3].date_input("From", value=source.as_of.replace(day=1), format="MM/DD/YYYY")
        is_sent = st.form_submit_button("Save target", type="primary")
    if not is_sent or metric is None or unit is None or not isinstance(first, date):
        return ""
    definition = source.metrics[metric]
    try:
        amount = None if value.strip().lower() == NONE else read_value(value, definition.unit)
        source.reader.targets.set(metric, unit or None, first, amount)
    except ClinicmartError as error:
        return fmt.sentence(str(error))
    shown = "no target" if amount is None else fmt.exact(amount, definition.unit)
    return f"Saved: {definition.label} for {_unit_name(source, unit)}, {shown} from {fmt.day(first)}."
