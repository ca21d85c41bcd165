"""The page: its heading, its tiles, and the section that is open."""

from dashboards import blocks, findings, sections, shell
from dashboards.pages.no_show import authorizations, causes, eligibility, lost, missed, referrals, reminders, shared
from dashboards.sections import Section
from dashboards.shell import PageContext

PAGE = shared.PAGE
SECTIONS = (
    Section(key="missed", title="Missed appointments", draw=missed.draw, needs=(shared.LEAD,)),
    Section(key="causes", title="History, payer, lead time", draw=causes.draw, needs=(shared.LEAD,)),
    Section(key="reminders", title="Reminders", draw=reminders.draw, needs=reminders.TILES),
    Section(key="lost", title="Slots lost", draw=lost.draw, needs=lost.LOST),
    Section(key="referrals", title="Referral to visit", draw=referrals.draw, needs=("referrals",)),
    Section(key="eligibility", title="Eligibility", draw=eligibility.draw, needs=(eligibility.RATE,)),
    Section(key="authorizations", title="Authorisations", draw=authorizations.draw, needs=(authorizations.REQUESTED,)),
)


def draw(context: PageContext) -> None:
    """Draws the page No-show for the view of the context."""
    loaded = shared.loaded(context)
    if shell.before_data(context, loaded):
        return
    shell.head(context, findings.finding(loaded.get(shared.LEAD), "No-shows", shared.level(context), "no_shows"))
    blocks.tiles(context, {name: loaded[name] for name in PAGE.tiles if name in loaded})
    sections.draw(context, SECTIONS)
