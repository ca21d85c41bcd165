"""The page Today: lists that end early say so, and a board that is drawn again passes on whom it has noted."""

from datetime import UTC, datetime, timedelta

import pytest

from foundation.live_state import LiveFeed, LiveState
from serving.today import MOST_LISTED, Place, board
from tests.dashboards import fake_reader

NOW = datetime(2026, 11, 14, 15, tzinfo=UTC)
ELM = Place(unit_id="elm", name="Elm Street Clinic", time_zone="America/New_York")


def visit(number: int) -> dict[str, str | None]:
    came = NOW - timedelta(minutes=number)
    who = {"encounter_id": f"v{number}", "patient_id": f"token{number}", "provider_id": None}
    return who | {
        "service_unit_id": "elm",
        "encounter_class": "AMB",
        "status": "arrived",
        "started_at": came.isoformat(),
        "ended_at": None,
    }


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[set[str] | None]:
    """What each drawing of a board of 63 patients passes as noted."""
    passed: list[set[str] | None] = []
    feeds = [LiveFeed(name="adt", messages=63, last_message_at=NOW)]
    state = LiveState(written_at=NOW, feeds=feeds, rows={"encounter": [visit(number) for number in range(63)]})

    def today(_self: object, _now: datetime, noted: set[str] | None = None) -> object:
        passed.append(None if noted is None else set(noted))
        return board(state, [ELM], NOW, "key")

    monkeypatch.setattr(fake_reader.FakeReader, "today", today)
    return passed


def test_a_list_that_ends_early_says_how_many_of_how_many_it_has(page, markup_of, reader, noted) -> None:
    reader.is_live = True
    html = markup_of(page("today"))
    assert "63 patients wait, the longest for 62 min" in html
    assert f"the longest first; {MOST_LISTED} of 63" in html
    waiting = html.split("<h2>Waiting</h2>")[1].split("</table>")[0]
    assert waiting.count("Elm Street Clinic") == MOST_LISTED


def test_a_board_that_is_drawn_again_says_whom_it_has_noted(page, reader, noted) -> None:
    reader.is_live = True
    drawn = page("today")
    drawn.run()
    assert noted[0] is None
    assert noted[1:]
    assert all(len(people) == MOST_LISTED for people in noted[1:])
