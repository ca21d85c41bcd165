"""The pages, in the order they stand in the bar. A page whose module is not granted is absent."""

from dashboards.pages import (
    closed_months,
    compare,
    lineage,
    no_show,
    payer_mix,
    revenue_cycle,
    targets,
    throughput,
    worklists,
)
from dashboards.pages.administration import page as administration
from dashboards.pages.data_health import page as data_health
from dashboards.pages.overview import page as overview
from dashboards.shell import PageSpec
from serving.modules import MODULES, PAGES

_DRAWN_BY = {
    "overview": overview.draw,
    "revenue_cycle": revenue_cycle.draw,
    "throughput": throughput.draw,
    "no_show": no_show.draw,
    "payer_mix": payer_mix.draw,
}
_MODULE_OF = {page.key: module.name for module in MODULES for page in module.pages}
ALL = (
    *(
        PageSpec(
            page.key,
            page.title,
            _MODULE_OF.get(page.key),
            _DRAWN_BY[page.key],
            tells_gaps=page is overview.PAGE,
        )
        for page in PAGES.values()
    ),
    PageSpec("closed_months", "Closed months", None, closed_months.draw, of_closes=True),
    PageSpec("data_health", "Data health", None, data_health.draw, of_feeds=True),
    PageSpec("worklists", "Worklists", None, worklists.draw, of_work=True),
    PageSpec("targets", "Targets", None, targets.draw, of_targets=True),
    PageSpec("administration", "Administration", None, administration.draw, of_people=True),
    PageSpec("compare", "Why is my number different?", None, compare.draw, of_figure=True),
    PageSpec("lineage", "Where a figure comes from", None, lineage.draw, of_figure=True),
)
