"""A titled part of a page, drawn as one piece of markup. Pure."""

from markupsafe import Markup

from dashboards import markup
from dashboards.markup import CHEVRON, EMPTY


def panel(title: str, note: str, content: Markup, kind: str, link: tuple[str, str] = ("", "")) -> Markup:
    """A titled part of the page. `link` is (text, action) of what stands beside the title."""
    below = Markup("<p>{}</p>").format(note) if note else EMPTY
    leads_on = markup.button(Markup("{}{}").format(link[0], CHEVRON), link[1], "cm-go") if link[1] else EMPTY
    return Markup('<section class="cm-panel cm-{}"><header><h2>{}</h2>{}</header>{}{}</section>').format(
        kind, title, leads_on, below, content
    )
