"""Annotations: what happened on which days. People with the right write, change and remove them here; others read them."""

from datetime import date

import streamlit as st
from markupsafe import Markup

from dashboards import annotations, blocks, markup, shell
from dashboards import format as fmt
from dashboards.data import UNKNOWN, Source
from dashboards.held_pages import pages_of
from dashboards.shell import PageContext
from foundation.errors import ClinicmartError
from serving.annotations import LONGEST_SENTENCE, Automatic
from serving.modules import PAGES
from serving.people.annotations import Annotation
from serving.people.targets import WHOLE

COLUMNS = ("Days", "Annotation", "For", "About", "Written by", "On")
AUTOMATIC_COLUMNS = ("Days", "Annotation", "For", "About")
HELP = f"One sentence, at most {LONGEST_SENTENCE} characters. No names or numbers of patients: everybody who sees these figures reads it."
ALL_FIGURES, PAGE, METRIC = "All figures", "page:", "metric:"
NEW = ""
# How many annotations this session has added: a new form begins empty. What became of the last one is said once.
_ADDED, _DONE = "cm_annotations_added", "cm_annotation_done"


def draw(context: PageContext) -> None:
    """Draws the annotations that the person sees, and the form to write and change them."""
    source = context.source
    # The head and the table are drawn once the form has saved an annotation.
    head = st.container()
    saved = st.session_state.pop(_DONE, "")
    if source.reader.annotations.may_write:
        saved = _form(source) or saved
    standing = source.reader.annotations.standing()
    title = fmt.plural(len(standing), "annotation") if standing else "No annotations yet"
    with head:
        context.html(markup.heading(title, [], shell.whose(source)), key="cm_head")
        if saved:
            context.html(markup.state("Saved" if saved.startswith("Saved") else "Not saved", saved), key="cm_saved")
        if not source.reader.annotations.may_write:
            text = "Administrators and executives write annotations, and program managers those of their units."
            context.html(markup.state("You can read annotations", text), key="cm_annotation_rights")
        if standing:
            context.html(_table(source, standing), key="cm_annotations")
    blocks.section(
        "From the data",
        "Gaps of feeds and moves of service units; charts also mark months that changed after they were closed",
    )
    context.html(_automatic(source, source.automatic_annotations), key="cm_automatic")


def _table(source: Source, standing: tuple[Annotation, ...]) -> Markup:
    rows = [
        markup.Row(
            (
                annotations.days_of(item.first_day, item.last_day),
                item.sentence,
                annotations.unit_name(source, item.service_unit_id),
                _about_words(source, _about(item)),
                item.author if item.author == item.set_by else f"{item.author}, changed by {item.set_by}",
                fmt.day(fmt.local_date(item.set_at, source.time_zone) if item.set_at else None),
            )
        )
        for item in reversed(standing)
    ]
    return markup.table([markup.Column(name) for name in COLUMNS], rows, caption="Annotations, the newest days first")


def _automatic(source: Source, items: tuple[Automatic, ...]) -> Markup:
    held = pages_of(source)
    rows = [
        markup.Row(
            (
                annotations.days_of(item.first_day, item.last_day),
                item.sentence,
                annotations.unit_name(source, item.service_unit_id),
                ", ".join(PAGES[page].title for page in item.pages if page in held) or ALL_FIGURES,
            )
        )
        for item in reversed(items)
        # A gap of pages for which the tenant has no figures concerns nothing that is shown.
        if not item.pages or not set(item.pages).isdisjoint(held)
    ]
    return markup.table(
        [markup.Column(name) for name in AUTOMATIC_COLUMNS],
        rows,
        caption="Annotations from the data",
        empty="No feed had a gap, and no service unit moved.",
    )


def _form(source: Source) -> str:
    """The form. Returns what became of it where it was sent. The rights are those of this run: they are looked up on each."""
    own = {item.annotation_id: item for item in source.annotations if source.reader.annotations.may_change(item)}
    chosen = NEW
    if own:
        chosen = st.selectbox(
            "Annotation", [NEW, *reversed(own)], format_func=lambda key: _line(own.get(key)), key="cm_annotation"
        )
    shown = own.get(chosen or NEW)
    units = _units(source)
    abouts = _abouts(source)
    # A refused annotation stays in the form.
    with st.form(f"cm_annotation_form_{chosen or st.session_state.get(_ADDED, 0)}"):
        sentence = st.text_input(
            "What happened", shown.sentence if shown else "", help=HELP, max_chars=LONGEST_SENTENCE
        )
        columns = st.columns([2, 2, 3, 3], vertical_alignment="bottom")
        first = columns[0].date_input("First day", shown.first_day if shown else source.as_of, format="MM/DD/YYYY")
        last = columns[1].date_input(
            "Last day",
            shown.last_day if shown else None,
            format="MM/DD/YYYY",
            help="Leave it empty for one day.",
        )
        unit = columns[2].selectbox(
            "For",
            units,
            index=units.index(shown.service_unit_id) if shown and shown.service_unit_id in units else 0,
            format_func=lambda name: annotations.unit_name(source, name),
        )
        about = columns[3].selectbox(
            "About",
            abouts,
            index=abouts.index(_about(shown)) if shown and _about(shown) in abouts else 0,
            format_func=lambda name: _about_words(source, name),
        )
        buttons = st.columns([2, 2, 6])
        is_sent = buttons[0].form_submit_button("Save annotation", type="primary")
        is_removed = buttons[1].form_submit_button("Remove it") if shown else False
    try:
        if shown and is_removed:
            source.reader.annotations.remove(shown.annotation_id)
            return f"Saved: the annotation of {annotations.days_of(shown.first_day, shown.last_day)} is removed."
        if is_sent and isinstance(first, date) and unit is not None and about is not None:
            last_day = last if isinstance(last, date) else first
            page, metric = _of_about(about)
            written = Annotation(
                sentence=sentence,
                first_day=first,
                last_day=last_day,
                service_unit_id=unit,
                page=page,
                metric=metric,
            )
            done = f"Saved: an annotation of {annotations.days_of(first, last_day)} for {annotations.unit_name(source, unit)}."
            if shown:
                source.reader.annotations.change(shown.annotation_id, written)
                return done
            source.reader.annotations.add(written)
            st.session_state[_DONE] = done
            st.session_state[_ADDED] = st.session_state.get(_ADDED, 0) + 1
            st.rerun()
    except ClinicmartError as error:
        return fmt.sentence(str(error))
    return ""


def _units(source: Source) -> list[str]:
    """The units that the person may write for; the whole tenant stands for the unit above all others."""
    units = [place for place in source.places if place != UNKNOWN]
    if source.reader.scope.is_restricted:
        return units
    root = source.root.id if source.root else None
    return [WHOLE, *(unit for unit in units if unit != root)]


def _abouts(source: Source) -> list[str]:
    pages = pages_of(source)
    metrics = [name for page in pages for name in PAGES[page].figures if name in source.metrics]
    metrics += [name for name in source.metrics if name not in metrics]
    return ["", *(f"{PAGE}{page}" for page in pages), *(f"{METRIC}{name}" for name in dict.fromkeys(metrics))]


def _about(item: Annotation) -> str:
    return f"{PAGE}{item.page}" if item.page else f"{METRIC}{item.metric}" if item.metric else ""


def _of_about(about: str) -> tuple[str, str]:
    """(page, metric) of a choice of the form; both are empty for all figures."""
    is_page = about.startswith(PAGE)
    return (about.removeprefix(PAGE), "") if is_page else ("", about.removeprefix(METRIC))


def _about_words(source: Source, about: str) -> str:
    if about.startswith(PAGE):
        return f"Page {PAGES[about.removeprefix(PAGE)].title}"
    name = about.removeprefix(METRIC)
    return source.metrics[name].label if name in source.metrics else ALL_FIGURES


def _line(item: Annotation | None) -> str:
    return (
        "A new annotation" if item is None else f"{annotations.days_of(item.first_day, item.last_day)}: {item.sentence}"
    )
