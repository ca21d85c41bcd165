"""What the heading and the sections of the page ask alike, so that it is asked once."""

from collections.abc import Mapping

from dashboards import figures
from dashboards.figures import Figure
from dashboards.shell import PageContext
from serving.modules import PAGES

PAGE = PAGES["throughput"]
# The figures of the tiles, and what tells whether the place has beds.
ASKED = (*PAGE.tiles, "bed_days")
BEDS = ("bed_days", "bed_occupancy_rate")
BED_TILES = ("bed_occupancy_rate", "length_of_stay_days")


def loaded(context: PageContext) -> dict[str, Figure]:
    """The figures that the page asks for."""
    return figures.load(context.source, context.view, ASKED)


def shown_tiles(figures_of_page: Mapping[str, Figure]) -> dict[str, Figure]:
    """The tiles of the page. Those of beds are for places that have some: a clinic's page does not show empty ones."""
    inpatient = is_inpatient(figures_of_page)
    names = [name for name in PAGE.tiles if name in figures_of_page and (inpatient or name not in BED_TILES)]
    return {name: figures_of_page[name] for name in names}


def is_inpatient(figures_of_page: Mapping[str, Figure]) -> bool:
    """Whether the place has beds in the period."""
    return any(figures_of_page[name].value for name in BEDS if name in figures_of_page)
