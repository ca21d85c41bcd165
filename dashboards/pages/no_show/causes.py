"""What goes with missed appointments: earlier no-shows, the payer, days from booking, the kind of visit, who the patients are."""

from dashboards import blocks
from dashboards.pages.no_show import shared
from dashboards.shell import PageContext

# Dimension, title, whether its values stand in a fixed order.
BREAKDOWNS = (
    ("prior_no_show_band", "By no-shows in the year before", True),
    ("payer_class", "By payer class", False),
    ("lead_time_band", "By days from booking to visit", True),
    ("visit_type", "Which visit types have most", False),
    ("age_band", "By age", True),
    ("patient_kind", "By new and established patients", False),
    ("sex", "By sex", False),
    ("language", "By language", False),
)


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    rankings = (
        shared.ranking(context, dimension, title=title, ordered=is_ordered)
        for dimension, title, is_ordered in BREAKDOWNS
    )
    blocks.columns([ranking for ranking in rankings if ranking])
    blocks.small_print(
        "What goes together need not be the cause: patients with a long lead time, for one, differ in other ways."
    )
