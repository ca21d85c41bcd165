"""Lines of the log for machines that collect them: one JSON object a line, with run, tenant and feed as fields.

    {"time": "2026-03-02T05:00:07.412Z", "level": "info", "logger": "clinicmart.progress", "message": "harbor/pm: 3 of 27 files or tables",
     "run_id": "...", "tenant_id": "harbor", "feed": "pm"}

Messages are those of the text log, which hold no names of files and nothing of a patient. Of an error that nobody caught the line says
its type and place: its own text may hold values.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from traceback import extract_tb
from types import MappingProxyType

FORMATS = ("text", "json")
# What a line may say beside its message.
FIELDS = ("run_id", "tenant_id", "feed")
_NOTHING: Mapping[str, str] = MappingProxyType({})
_current: ContextVar[Mapping[str, str]] = ContextVar("log fields", default=_NOTHING)


@contextmanager
def about(**fields: str) -> Iterator[None]:
    """While the block runs, lines of progress carry these fields (`FIELDS`), beside those of the blocks around it."""
    token = _current.set({**_current.get(), **fields})
    try:
        yield
    finally:
        _current.reset(token)


class _Stamp(logging.Filter):
    """Puts the fields on a record where it is made, also in a helper process that hands it on."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in _current.get().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


# The lines by which a run says how far it is.
progress = logging.getLogger("clinicmart.progress")
progress.addFilter(_Stamp())


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: str(getattr(record, name)) for name in FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            for frame in extract_tb(record.exc_info[2])[-1:]:
                line["place"] = f"{Path(frame.filename).name}:{frame.lineno}"
        return json.dumps(line)


def json_handler() -> logging.Handler:
    """Writes lines of JSON to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    return handler


def log_as_json(level: int) -> None:
    """From now on everything that this process logs is JSON on standard error, of libraries too, from `level` on."""
    root = logging.getLogger()
    root.handlers = [json_handler()]
    root.setLevel(level)
    for name in list(logging.Logger.manager.loggerDict):
        # A library's own handler would write its line a second time, as text.
        if name.partition(".")[0] in ("streamlit", "uvicorn"):
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [], True
