"""The pages, in the order they stand in the bar. Those that a role does not hold, or whose module is not granted, are absent."""

from dashboards.held_pages import has_figures_of, pages_of
from dashboards.pages import (
    alerts,
    annotations,
    closed_months,
    compare,
    credentials,
    extract,
    lineage,
    referrals,
    settings,
    sql,
    targets,
    today,
    worklists,
)
from dashboards.pages.administration import page as administration
from dashboards.pages.data_health import page as data_health
from dashboards.pages.forecasts import page as forecasts
from dashboards.pages.monday import page as monday
from dashboards.pages.monday.week import WATCHED
from dashboards.pages.no_show import page as no_show
from dashboards.pages.overview import page as overview
from dashboards.pages.payer_mix import page as payer_mix
from dashboards.pages.reports import page as reports
from dashboards.pages.revenue_cycle import page as revenue_cycle
from dashboards.pages.throughput import page as throughput
from dashboards.reports.chosen import PAGE, TITLE
from dashboards.shell import BAR, MENU, OTHER_PAGES, PageContext, PageSpec
from serving.forecasts.measures import METRICS
from serving.modules import PAGES, Page

_DRAWN_BY = {
    "overview": overview.draw,
    "revenue_cycle": revenue_cycle.draw,
    "throughput": throughput.draw,
    "no_show": no_show.draw,
    "payer_mix": payer_mix.draw,
    "credentials": credentials.draw,
}


def _of_figures(page: Page) -> PageSpec:
    """A page of figures: there where the tenant has its module, and figures of it. The overview belongs to none."""
    return PageSpec(
        key=page.key,
        title=page.title,
        draw=_DRAWN_BY[page.key],
        is_for=lambda source: has_figures_of(source, page.key),
        has_pickers=True,
        tells_gaps=page is overview.PAGE,
        # Few people look at it, and not every day.
        opened_from=MENU if page.key == "credentials" else BAR,
    )


def _draw_report_builder(context: PageContext) -> None:
    # Imported when it is drawn: it makes files, and what makes files imports the other pages.
    from dashboards.pages.report_builder import page

    page.draw(context)


_THIS_WEEK = PageSpec(
    key=monday.KEY,
    title=monday.TITLE,
    draw=monday.draw,
    is_for=lambda source: any(name in source.metrics for name in WATCHED),
    tells_gaps=True,
)
_OVERVIEW, *_AREAS = (_of_figures(page) for page in PAGES.values())
ALL = (
    _OVERVIEW,
    _THIS_WEEK,
    *_AREAS,
    PageSpec(
        key="forecasts",
        title="Forecasts",
        draw=forecasts.draw,
        is_for=lambda source: source.reader.forecasts.may_see and any(name in source.metrics for name in METRICS),
        opened_from=MENU,
    ),
    PageSpec(
        key="today",
        title="Today",
        draw=today.draw,
        # A person who has no other page reads on it that nobody listens.
        is_for=lambda source: source.reader.is_live or not source.metrics,
        absent=("Nothing is followed", "The page Today appears when clinicmart listen receives messages."),
    ),
    PageSpec(
        key="closed_months",
        title="Closed months",
        draw=closed_months.draw,
        is_for=lambda source: bool(source.modules and source.closed.closes),
        absent=("No month is closed", "The page Closed months appears when an administrator has closed a month."),
        opened_from=MENU,
    ),
    PageSpec(
        key="data_health",
        title="Data health",
        draw=data_health.draw,
        is_for=lambda source: source.sees_health,
    ),
    PageSpec(
        key="worklists",
        title="Worklists",
        draw=worklists.draw,
        is_for=lambda source: bool(source.reader.worklists.names),
    ),
    PageSpec(
        key="referrals",
        title="Referrals",
        draw=referrals.draw,
        is_for=lambda source: "referrals" in source.metrics,
    ),
    PageSpec(
        key="sql",
        title="SQL",
        draw=sql.draw,
        is_for=lambda source: source.reader.scope.may_extract,
        opened_from=MENU,
    ),
    PageSpec(
        key="extract",
        title="Extract",
        draw=extract.draw,
        is_for=lambda source: source.reader.scope.may_extract,
        opened_from=MENU,
    ),
    PageSpec(
        key="reports",
        title="Reports",
        draw=reports.draw,
        is_for=lambda source: bool(pages_of(source)),
        opened_from=MENU,
    ),
    PageSpec(
        key=PAGE,
        title=TITLE,
        draw=_draw_report_builder,
        is_for=lambda source: bool(pages_of(source)),
        has_pickers=True,
        opened_from=MENU,
    ),
    PageSpec(
        key="alerts",
        title="Alerts",
        draw=alerts.draw,
        is_for=lambda source: bool(source.metrics),
        opened_from=MENU,
    ),
    PageSpec(
        key="annotations",
        title="Annotations",
        draw=annotations.draw,
        is_for=lambda source: bool(pages_of(source)),
        opened_from=MENU,
    ),
    PageSpec(key="targets", title="Targets", draw=targets.draw, opened_from=OTHER_PAGES),
    PageSpec(
        key="administration",
        title="Administration",
        draw=administration.draw,
        opened_from=MENU,
    ),
    PageSpec(
        key="settings",
        title="Settings",
        draw=settings.draw,
    ),
    PageSpec(
        key="compare",
        title="Why is my number different?",
        draw=compare.draw,
        needs_figure=True,
        opened_from=OTHER_PAGES,
    ),
    PageSpec(
        key="lineage", title="Where a figure comes from", draw=lineage.draw, needs_figure=True, opened_from=OTHER_PAGES
    ),
)
