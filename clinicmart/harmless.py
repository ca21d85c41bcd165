"""Output that cannot control a terminal: names of files and words of feeds can hold escape sequences.

A control character is shown as Python writes it (`\\x1b`). Line feeds, tabs and the bold heads of our own tables stay.
"""

import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO

# C0 and C1 but tab and line feed, DEL, and the marks that turn the direction of text round.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
_HARMFUL = re.compile(f"[{_CONTROLS}]")
# What rich writes for bold, dim and italic, and their ends.
_HARMFUL_BUT_STYLES = re.compile(f"(\x1b\\[(?:0|1|2|3|22|23)?m)|[{_CONTROLS}]")


def visible(text: str) -> str:
    """A text with its control characters made visible, so that a terminal does not obey them."""
    return _HARMFUL.sub(lambda match: _shown(match[0]), text)


def _shown(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


class HarmlessOutput:
    """A text stream that writes control characters as `visible` does, except the styles of our own tables."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes a text; returns the length that was asked for, as callers expect."""
        self._stream.write(_HARMFUL_BUT_STYLES.sub(lambda match: match[1] or _shown(match[0]), text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes texts one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def make_harmless() -> None:
    """From now on, the output of this process cannot control the terminal."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, HarmlessOutput):
            setattr(sys, name, HarmlessOutput(stream))
