"""The page: its heading, its tiles, and the section that is open."""

from dashboards import blocks, figures, findings, sections, shell
from dashboards.pages.revenue_cycle import denials, money, payers, receivables, shared, speed
from dashboards.sections import Section
from dashboards.shell import PageContext

PAGE = shared.PAGE
SECTIONS = (
    Section(key="money", title="Billed to collected", draw=money.draw, needs=("billed_amount",)),
    Section(key="denials", title="Denials", draw=denials.draw, needs=("denial_rate", "denied_claims")),
    Section(key="receivables", title="Receivables", draw=receivables.draw, needs=receivables.BALANCES),
    Section(key="speed", title="Lags and clean claims", draw=speed.draw, needs=speed.TILES),
    Section(key="payers", title="Payers", draw=payers.draw, needs=payers.METRICS),
)


def draw(context: PageContext) -> None:
    """Draws the page Revenue cycle for the view of the context."""
    loaded = shared.loaded(context)
    if shell.before_data(context, loaded):
        return
    level = shared.level(context)
    lead, subject, numerator = _lead(loaded)
    shell.head(context, findings.finding(loaded.get(lead), subject, level, numerator))
    blocks.tiles(context, {name: loaded[name] for name in PAGE.tiles if name in loaded})
    sections.draw(context, SECTIONS)


def _lead(loaded: dict[str, figures.Figure]) -> tuple[str, str, str | None]:
    """The heading's figure: denials where there are any answers of payers, else what was billed."""
    denials = loaded.get("denial_rate")
    if denials is not None and denials.value is not None:
        return "denial_rate", "Denials", "denied_claims"
    return "billed_amount", "Billed charges", None
