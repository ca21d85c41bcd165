"""The frame of the pages outside Streamlit: the same tokens, and no script but one of our files."""

from functools import lru_cache
from pathlib import Path

import streamlit
from markupsafe import Markup
from starlette.responses import HTMLResponse

from dashboards import markup, theme
from serving.people.branding import PLAIN, Brand


@lru_cache(maxsize=1)
def _font_face() -> str:
    """Streamlit's bundled font, so that sign-in and pages look alike; the fallbacks serve where it moved."""
    fonts = sorted(Path(streamlit.__file__).parent.glob("static/static/media/SourceSansVF-Upright*.woff2"))
    if not fonts:
        return ""
    address = f"/static/media/{fonts[0].name}"
    return f'@font-face {{font-family: "Source Sans"; src: url("{address}") format("woff2"); font-weight: 200 900;}}'


@lru_cache(maxsize=1)
def _style() -> str:
    dark = theme.variables(theme.DARK)
    sheet = (theme.ASSETS / "signin.css").read_text(encoding="utf-8")
    return f"{_font_face()}\n{theme.variables(theme.LIGHT)}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n{sheet}"


def page(
    title: str, body: Markup, status: int = 200, *, script: str = "", is_wide: bool = False, brand: Brand = PLAIN
) -> HTMLResponse:
    """A whole page. `script` is the address of a file of ours. `is_wide`: with room for a table. `brand` is that of the
    organization whose page it is."""
    page = Markup(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>{title} · Clinicmart</title><style>{style}{accent}</style>{script}</head>"
        '<body><main{width}><div class="brand">{mark}{name}</div>{body}</main></body></html>'
    )
    style = Markup(_style())  # noqa: S704  # the project's own stylesheet and tokens: no value of a request is in it
    tag = Markup('<script src="{}" defer></script>').format(script) if script else ""
    width = Markup(' class="wide"') if is_wide else ""
    return HTMLResponse(
        page.format(title=title, style=style, script=tag, body=body, width=width, **_brand(brand)), status_code=status
    )


def _brand(brand: Brand) -> dict[str, Markup | str]:
    """What of the frame is an organization's."""
    colours = ""
    if brand.accent:
        light, dark = (theme.variables(theme.branded(look, brand)) for look in (theme.LIGHT, theme.DARK))
        colours = f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}"
    return {
        "accent": Markup(colours),  # noqa: S704  # tokens: colours that were checked
        "mark": markup.logo(brand.logo) if brand.logo else Markup('<i aria-hidden="true"></i>'),
        "name": brand.display_name or "Clinicmart",
    }


# The field of forms that ask for the password again; `id` is its id in the page.
PASSWORD_FIELD = Markup(
    '<label for="{id}">Your password</label>'
    '<input id="{id}" name="password" type="password" autocomplete="current-password" required>'
)


def problem_line(text: str) -> Markup:
    """What went wrong, as the first line of a form; nothing for no text."""
    return Markup('<p class="problem" role="alert">{}</p>').format(text) if text else Markup("")


def hidden(name: str, value: str) -> Markup:
    """A field of a form that people do not see."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(name, value)
