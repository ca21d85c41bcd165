"""The overview's scorecard: the members one level down with the most volume."""

from collections.abc import Mapping

from dashboards import scorecard
from dashboards.data import Source
from dashboards.figures import Figure
from dashboards.level import Answers, Level
from dashboards.scorecard import Scorecard
from dashboards.view import View

METRICS = ("denial_rate", "no_show_rate", "days_in_ar", "completed_appointments", "encounters")
MOST_METRICS = 4
MOST_MEMBERS = 5


def units(source: Source, view: View, level: Level, answer: Answers, loaded: Mapping[str, Figure]) -> Scorecard:
    """At most MOST_METRICS figures, of which a member has any."""
    there = [name for name in METRICS if any(row.get(name) is not None for row in answer.period)]
    shown = [name for name in there if name in source.metrics][:MOST_METRICS]
    volume = next((name for name in ("completed_appointments", "encounters", "remitted_claims") if name in shown), "")
    return scorecard.scorecard(
        source,
        view,
        level,
        shown,
        loaded,
        answers=answer,
        volume=volume,
        most=MOST_MEMBERS,
    )
