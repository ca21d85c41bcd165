"""Lines of the log as JSON: run, tenant and feed of a line are separate fields."""

import json
import logging
import subprocess
import sys
from logging.handlers import QueueHandler
from multiprocessing import SimpleQueue

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.logs import FIELDS, JsonFormatter, about, progress

PROGRAM = """
import logging
from foundation.logs import log_as_json
import uvicorn.config, streamlit.logger
uvicorn.config.Config(lambda: None)
streamlit.logger.get_logger("streamlit.page")
log_as_json(logging.WARNING)
logging.getLogger("uvicorn.error").warning("of the server")
logging.getLogger("streamlit.page").warning("of a page")
logging.getLogger("ours").info("not asked for")
try:
    raise ValueError("patient Doe")
except ValueError:
    logging.getLogger("ours").exception("a page failed")
"""


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(progress, "propagate", True)
    caplog.set_level(logging.INFO, logger=progress.name)
    return caplog


def written(record: logging.LogRecord) -> dict[str, str]:
    line: dict[str, str] = json.loads(JsonFormatter().format(record))
    return line


def test_a_line_of_progress_carries_run_tenant_and_feed_of_the_blocks_around_it(
    lines: pytest.LogCaptureFixture,
) -> None:
    with about(run_id="r1"):
        with about(tenant_id="harbor", feed="pm"):
            progress.info("%d of %d files", 3, 27)
        progress.warning("after it")
    progress.info("outside")
    first, second, third = map(written, lines.records)
    assert {name: first[name] for name in FIELDS} == {"run_id": "r1", "tenant_id": "harbor", "feed": "pm"}
    assert (first["message"], first["level"], first["logger"]) == ("3 of 27 files", "info", "clinicmart.progress")
    assert first["time"].endswith("Z")
    assert (second["level"], second["run_id"], "feed" in second) == ("warning", "r1", False)
    assert not set(FIELDS) & set(third)


def test_a_helper_hands_its_fields_on_and_the_run_keeps_them(lines: pytest.LogCaptureFixture) -> None:
    queue: SimpleQueue[logging.LogRecord] = SimpleQueue()
    helper = QueueHandler(queue)  # type: ignore[arg-type]
    helper.enqueue = queue.put  # type: ignore[method-assign]
    progress.addHandler(helper)
    try:
        with about(tenant_id="harbor", feed="pm"):
            progress.info("landed")
    finally:
        progress.removeHandler(helper)
    with about(run_id="r1", tenant_id="mesa"):
        progress.handle(queue.get())
    line = written(lines.records[-1])
    assert {name: line[name] for name in FIELDS} == {"run_id": "r1", "tenant_id": "harbor", "feed": "pm"}


@given(st.text(), st.text())
def test_any_text_is_one_line_and_comes_back(message: str, feed: str) -> None:
    record = logging.makeLogRecord({"msg": message, "levelname": "INFO", "feed": feed})
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert (json.loads(line)["message"], json.loads(line)["feed"]) == (message, feed)


def test_a_server_logs_json_once_of_libraries_too_and_no_text_of_an_error() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [line["message"] for line in lines] == ["of the server", "of a page", "a page failed"]
    assert (lines[2]["error"], lines[2]["place"].startswith("<string>:")) == ("ValueError", True)
    assert "Doe" not in ran.stderr
