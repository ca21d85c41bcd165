"""How a failure is written down: its type and where in the code, never its message, which may hold data."""

import traceback


def place_of(error: BaseException) -> str:
    """`KeyError at figures.py:88 < no_show.py:21`: the innermost frames, the last one first."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    places = " < ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {places}"
