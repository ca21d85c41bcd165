"""What to say of a name that is not there."""

import difflib
from collections.abc import Iterable

FEW_NAMES = 12


def near(name: str, names: Iterable[str]) -> str:
    """The end of a sentence that says which names are like a mistyped one, or which there are where none is and they are few."""
    sorted_names = sorted(set(names))
    similar = difflib.get_close_matches(name, sorted_names, n=3)
    if similar:
        return f"; similar names: {', '.join(similar)}"
    return f"; there are: {', '.join(sorted_names) or 'none'}" if len(sorted_names) <= FEW_NAMES else ""
