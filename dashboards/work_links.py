"""Ways from a section of a page to the worklist whose rows it is about."""

from collections.abc import Sequence

from markupsafe import Markup

from dashboards import markup, widgets
from dashboards import view as states
from dashboards.shell import PageContext
from serving.worklists.lists import LISTS

WORKLISTS = "worklists"


def draw(context: PageContext, names: Sequence[str], key: str) -> None:
    """A button for each of the lists that this person works on; nothing for who works on none."""
    if WORKLISTS not in context.pages:
        return
    there = [name for name in names if name in context.source.reader.worklists.names]
    buttons = [
        markup.button(
            f"Work on: {LISTS[name].title.lower()}",
            f"{widgets.PAGE}{WORKLISTS}?{states.encode({'basis': name})}",
            "cm-rows",
        )
        for name in there
    ]
    if buttons:
        context.html(Markup('<div class="cm-switch">{}</div>').format(markup.join(buttons)), key=key)
