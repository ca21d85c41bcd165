"""dbt's events: what a log takes is written as before, what none takes costs nothing."""

import io

import pytest
from dbt.events.types import ConcurrencyLine, MainReportArgs
from dbt_common.events.base_types import EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.logger import LineFormat, LoggerConfig

from dagster_project.dbt_events import WrittenEvents

EVENTS = (
    (MainReportArgs(args={}), None),  # debug
    (ConcurrencyLine(num_threads=1, target_name="duckdb", node_count=2), None),  # info
    (MainReportArgs(args={}), EventLevel.INFO),
    (MainReportArgs(args={}), EventLevel.WARN),
    (ConcurrencyLine(num_threads=2, target_name="duckdb", node_count=2), EventLevel.ERROR),
)


def written(manager: EventManager, levels: list[EventLevel]) -> list[list[str]]:
    """The lines that logs of these levels hold after all events, without their times."""
    streams = [io.StringIO() for _ in levels]
    for number, (level, stream) in enumerate(zip(levels, streams, strict=True)):
        manager.add_logger(
            LoggerConfig(
                name=f"test_dbt_events_{number}", level=level, output_stream=stream, line_format=LineFormat.PlainText
            )
        )
    for event, level in EVENTS:
        manager.fire_event(event, level)
    return [[line.partition("  ")[2] for line in stream.getvalue().splitlines()] for stream in streams]


@pytest.mark.parametrize(
    "levels",
    [
        [EventLevel.INFO],
        [EventLevel.DEBUG],
        [EventLevel.ERROR, EventLevel.INFO],
        [EventLevel.WARN, EventLevel.DEBUG],
        [],
    ],
)
def test_logs_hold_the_same_lines_as_with_dbts_own_manager(levels):
    lines = written(WrittenEvents(), levels)
    assert lines == written(EventManager(), levels)
    assert all(lines)


def test_the_message_of_an_event_that_no_log_takes_is_not_made(monkeypatch):
    made = []
    monkeypatch.setattr(MainReportArgs, "message", lambda event: made.append(event) or "")
    manager = WrittenEvents()
    manager.add_logger(LoggerConfig(name="test_dbt_events", level=EventLevel.INFO, output_stream=io.StringIO()))
    manager.fire_event(MainReportArgs(args={}))
    assert made == []
    manager.fire_event(MainReportArgs(args={}), EventLevel.INFO)
    assert len(made) == 1


def test_a_debug_log_takes_debug_events():
    [debug] = written(WrittenEvents(), [EventLevel.DEBUG])
    [info] = written(WrittenEvents(), [EventLevel.INFO])
    assert len(debug) == len(EVENTS)
    assert len(info) == len(EVENTS) - 1
