"""The pages, in the order they stand in the bar. A page whose module is not granted is absent."""

from dashboards.pages import closed_months, lineage, no_show, overview, payer_mix, revenue_cycle, throughput
from dashboards.pages.data_health import page as data_health
from dashboards.shell import PageSpec

ALL = (
    PageSpec("overview", "Overview", None, overview.draw),
    PageSpec("revenue_cycle", "Revenue cycle", "revenue_cycle", revenue_cycle.draw),
    PageSpec("throughput", "Throughput", "throughput", throughput.draw),
    PageSpec("no_show", "No-show", "no_show", no_show.draw),
    PageSpec("payer_mix", "Payer mix", "payer_mix", payer_mix.draw),
    PageSpec("closed_months", "Closed months", None, closed_months.draw, of_closes=True),
    PageSpec("data_health", "Data health", None, data_health.draw, of_feeds=True),
    PageSpec("lineage", "Where a figure comes from", None, lineage.draw, of_figure=True),
)
