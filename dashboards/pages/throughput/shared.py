"""What the heading and the sections of the page ask alike, so that it is asked once."""

from collections.abc import Mapping

from dashboards import figures
from dashboards.figures import Figure
from dashboards.shell import PageContext
from serving.modules import PAGES

PAGE = PAGES["throughput"]
BEDS = ("bed_days", "bed_occupancy_rate")
BED_TILES = ("bed_occupancy_rate", "length_of_stay_days")


def loaded(context: PageContext) -> dict[str, Figure]:
    """The figures of the tiles, and what tells whether the place has beds."""
    return figures.load(context.source, context.view, [*PAGE.tiles, "bed_days"])


def is_inpatient(figures_of_page: Mapping[str, Figure]) -> bool:
    """Whether the place has beds in the period."""
    return any(figures_of_page[name].value for name in BEDS if name in figures_of_page)
