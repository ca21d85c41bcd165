"""What a ticket shows: checked when a site asks for it, and again when a browser opens it."""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from dashboards import period as periods
from dashboards import served_home
from dashboards.data import Source
from dashboards.filters import checked
from dashboards.held_pages import pages_of
from dashboards.reports.contents import Report, shown_alone
from dashboards.reports.make import gathered
from dashboards.view import View
from foundation.errors import AccessError, ConfigurationError
from serving.modules import PAGES
from serving.people.embedding_sites import EmbeddingSite
from serving.people.embedding_tickets import LONGEST_LIFE, Ticket
from serving.reader import open_reader

USUAL_SECONDS = 120
LONGEST_SECONDS = int(LONGEST_LIFE.total_seconds())


class Wish(BaseModel):
    """What a site's server asks for: fields as in `Ticket`, and how many seconds the ticket may wait to be opened."""

    model_config = ConfigDict(extra="forbid", strict=True)

    page: str = Field(max_length=60)
    figure: str = Field(default="", max_length=80)
    unit: str = Field(default="", max_length=80)
    period: str = Field(default="", max_length=40)
    seconds: int = Field(default=USUAL_SECONDS, ge=1, le=LONGEST_SECONDS)


def ticket_for(site: EmbeddingSite, wish: Wish) -> tuple[str, timedelta]:
    """The signed ticket for a wish of a site, and its life. Raises AccessError for a page or a unit that the site may not show,
    ConfigurationError for a figure or a period that there is not."""
    ticket = Ticket(
        tenant_id=site.tenant_id,
        site_id=site.token_id,
        origin=site.origin,
        page=wish.page,
        figure=wish.figure,
        place=wish.unit,
        period=wish.period,
    )
    with open_reader(served_home.home(), site.principal) as reader:
        source = Source(reader, site.principal)
        _checked_view(source, site, ticket)
    life = timedelta(seconds=wish.seconds)
    return served_home.access().signed_ticket(ticket, life), life


def report_of(site: EmbeddingSite, ticket: Ticket) -> Report:
    """The report of a ticket, audited under the site's name. Raises as `ticket_for`."""
    with open_reader(served_home.home(), site.principal) as reader:
        source = Source(reader, site.principal)
        view = _checked_view(source, site, ticket)
        purpose = {"embedding": site.name, "origin": site.origin, "ticket": ticket.ticket_id[:12]}
        if ticket.figure:
            purpose["figure"] = ticket.figure
        return gathered(source, ticket.page, view, purpose, ticket.figure)


def _checked_view(source: Source, site: EmbeddingSite, ticket: Ticket) -> View:
    if ticket.page not in site.pages:
        raise AccessError("the site may not show this page")
    if ticket.page not in pages_of(source):
        raise AccessError("the organization does not have this page")
    figures = shown_alone(source, PAGES[ticket.page])
    if ticket.figure and ticket.figure not in figures:
        raise ConfigurationError(
            f"the page has no figure {ticket.figure!r} that can be shown alone; possible are {', '.join(figures) or 'none'}"
        )
    if ticket.period and ticket.period not in periods.PRESETS:
        raise ConfigurationError(f"the period is not one of {', '.join(periods.PRESETS)}")
    view = View(period=periods.preset(ticket.period or periods.DEFAULT, source.as_of), place=ticket.place or None)
    if checked(source, view)[1]:
        raise AccessError("the site may not show this unit")
    return view
