"""Sections of a page: below the tiles one of them is open, and only what is open asks for its figures.

The address names the section (`section`), so that links, back and reload lead to it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dashboards import markup, widgets
from dashboards.shell import PageContext


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section: its name in the address, its title, what draws it, and the metrics of which a person must have one to have it."""

    key: str
    title: str
    draw: Callable[[PageContext], None]
    needs: Sequence[str]


def offered(context: PageContext, sections: Sequence[Section]) -> list[Section]:
    """The sections that have a figure for this person."""
    return [section for section in sections if any(name in context.source.metrics for name in section.needs)]


def draw(context: PageContext, sections: Sequence[Section]) -> None:
    """The switch between the sections, then the one that the address names; the first one where it names none."""
    there = offered(context, sections)
    if not there:
        return
    chosen = next((section for section in there if section.key == context.view.section), there[0])
    if len(there) > 1:
        context.html(_switch(there, chosen), key="cm_sections")
    chosen.draw(context)


def _switch(sections: Sequence[Section], chosen: Section) -> Markup:
    first = sections[0]
    tabs = [
        markup.button(
            section.title,
            widgets.move(section=None if section is first else section.key),
            "cm-tab cm-here" if section is chosen else "cm-tab",
        )
        for section in sections
    ]
    return Markup('<nav class="cm-tabs" aria-label="Sections">{}</nav>').format(markup.join(tabs))
