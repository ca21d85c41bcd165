"""What a brand may be: a name, an accent colour that people can read on every ground of ours, and a logo that is a picture alone.

Contrast is that of WCAG 2.2: 4.5 to 1 for text (1.4.3). The accent colours text, buttons and marks, so that one number serves all of them;
marks need 3 to 1 (1.4.11).
"""

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from PIL import Image

from foundation.colours import is_colour, least_contrast, mixed, nearest_with_contrast
from foundation.errors import ConfigurationError
from serving.people.branding import Brand
from serving.people.store import AccessStore

LEAST_CONTRAST = 4.5
LONGEST_NAME = 60
MOST_LOGO_BYTES = 500_000
MOST_PIXELS = 16_000_000
# What is kept of a logo, in pixels: twice what pages show, for screens with small pixels.
LOGO_WIDTH, LOGO_HEIGHT = 400, 80
FORMATS = ("PNG", "JPEG")
# How much of the accent a quiet fill of it has.
SOFT_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A ground of the pages: its name, its own colour, and the fills that stand on it."""

    name: str
    colour: str
    fills: tuple[str, ...]


# The grounds of `dashboards.theme`; a test holds both together.
GROUNDS: Mapping[str, Ground] = MappingProxyType(
    {
        "light": Ground(name="light", colour="#ffffff", fills=("#ffffff", "#f4f6f8")),
        "dark": Ground(name="dark", colour="#10181f", fills=("#10181f", "#182229", "#18232b")),
    }
)


def soft(accent: str, ground: Ground) -> str:
    """The quiet fill of an accent on a ground."""
    return mixed(ground.colour, accent, SOFT_SHARE)


def contrast_on(accent: str, ground: Ground) -> float:
    """The least contrast of an accent with what it stands on there."""
    return least_contrast(accent, (*ground.fills, soft(accent, ground)))


def readable(accent: str, ground: Ground) -> str:
    """The accent itself where people can read it on a ground, else the nearest colour of its hue that they can read."""
    colour = accent
    # The quiet fill moves with the accent: each step looks at the fill of the colour before.
    for _ in range(20):
        if contrast_on(colour, ground) >= LEAST_CONTRAST:
            return colour
        colour = nearest_with_contrast(colour, (*ground.fills, soft(colour, ground)), LEAST_CONTRAST)
    return "#000000" if ground.name == "light" else "#ffffff"


def checked(brand: Brand) -> Brand:
    """The brand as it is kept: the name without odd spaces, the colours in lower case, a colour for a dark ground where none was named.

    Raises ConfigurationError for a long name or one with control characters, for what is not a colour, and for a colour that people
    cannot read; the sentence names the nearest one that they can.
    """
    name = " ".join(brand.display_name.split())
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise ConfigurationError(f"the display name has at most {LONGEST_NAME} characters")
    accent, dark = (colour.strip().lower() for colour in (brand.accent, brand.accent_dark))
    if dark and not accent:
        raise ConfigurationError("choose a colour for light grounds too")
    for colour, ground in ((accent, GROUNDS["light"]), (dark, GROUNDS["dark"])):
        if colour:
            _check_colour(colour, ground)
    if accent and not dark:
        dark = readable(accent, GROUNDS["dark"])
    return replace(brand, display_name=name, accent=accent, accent_dark=dark)


def _check_colour(colour: str, ground: Ground) -> None:
    if not is_colour(colour):
        raise ConfigurationError(f"{colour[:20]!r} is not a colour such as #0f5f8c")
    ratio = contrast_on(colour, ground)
    if ratio < LEAST_CONTRAST:
        raise ConfigurationError(
            f"people cannot read {colour} on a {ground.name} ground: its contrast is {ratio:.1f} to 1, and text needs "
            f"{LEAST_CONTRAST} to 1; the nearest colour that passes is {readable(colour, ground)}"
        )


def logo_of(content: bytes) -> bytes:
    """A logo drawn again as a PNG of at most LOGO_WIDTH x LOGO_HEIGHT pixels: of the file that was sent nothing but the picture is left.

    Raises ConfigurationError for a file that is too large, is neither PNG nor JPEG, has too many pixels, or is damaged.
    """
    if not content or len(content) > MOST_LOGO_BYTES:
        raise ConfigurationError(f"the logo is a file of at most {MOST_LOGO_BYTES // 1000} kB")
    try:
        with warnings.catch_warnings(action="error"), Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ConfigurationError(f"the logo has at most {MOST_PIXELS // 1_000_000} million pixels")
            drawn = picture.convert("RGBA")
    except ConfigurationError:
        raise
    except Exception:
        # The words of the library may hold bytes of the file.
        raise ConfigurationError("the logo is a picture in PNG or JPEG, and this file is not, or is damaged") from None
    drawn.thumbnail((LOGO_WIDTH, LOGO_HEIGHT))
    fresh = Image.new("RGBA", drawn.size)
    fresh.paste(drawn)
    written = io.BytesIO()
    fresh.save(written, format="PNG", optimize=True)
    return written.getvalue()


def set_brand(store: AccessStore, tenant_id: str, brand: Brand, logo: bytes | None, *, actor: str) -> Brand:
    """Checks a brand and keeps it, with a new logo where the file of one is given. Returns what is kept. Raises as `checked`, `logo_of`
    and `Brandings.set`."""
    kept = checked(brand if logo is None else replace(brand, logo=logo_of(logo)))
    store.brandings.set(tenant_id, kept, actor=actor)
    return kept
