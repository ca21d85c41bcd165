"""Contrast of colours as of WCAG 2.2, and the nearest colour that has enough of it. A colour is a text such as `#0f5f8c`."""

import colorsys
import re
from collections.abc import Collection

_COLOUR = re.compile(r"#[0-9a-f]{6}")
_STEPS = 255


def is_colour(text: str) -> bool:
    """Whether a text is a colour of the form #rrggbb, in lower case."""
    return _COLOUR.fullmatch(text) is not None


def _parts(colour: str) -> tuple[float, float, float]:
    """Red, green and blue from 0 to 1."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def _text(parts: Collection[float]) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)


def luminance(colour: str) -> float:
    """Relative luminance from 0 (black) to 1 (white): WCAG 2.2, definition of "relative luminance"."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _parts(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(colour: str, other: str) -> float:
    """The contrast ratio of two colours, from 1 to 21: WCAG 2.2, definition of "contrast ratio"."""
    high, low = sorted((luminance(colour), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def mixed(ground: str, colour: str, share: float) -> str:
    """A ground with a share (0 to 1) of a colour in it."""
    return _text([under + (over - under) * share for under, over in zip(_parts(ground), _parts(colour), strict=True)])


def least_contrast(colour: str, grounds: Collection[str]) -> float:
    """The contrast of a colour with the ground that it stands out from least."""
    return min(contrast(colour, ground) for ground in grounds)


def nearest_with_contrast(colour: str, grounds: Collection[str], ratio: float) -> str:
    """The colour of the same hue and saturation that is nearest in lightness and has at least a contrast with every ground. Black and
    white are tried last. Raises ValueError where nothing has it."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*_parts(colour))
    for step in range(_STEPS + 1):
        for nearby in (lightness - step / _STEPS, lightness + step / _STEPS):
            if 0 <= nearby <= 1:
                tried = colour if step == 0 else _text(colorsys.hls_to_rgb(hue, nearby, saturation))
                if least_contrast(tried, grounds) >= ratio:
                    return tried
    for tried in ("#000000", "#ffffff"):
        if least_contrast(tried, grounds) >= ratio:
            return tried
    raise ValueError(f"no colour has a contrast of {ratio} with all of {', '.join(grounds)}")
