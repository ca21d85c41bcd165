"""Denials by chapter of the diagnosis that a claim lists first, and what is wrong with the codes."""

from dashboards import blocks, breakdowns, figures, markup, widgets
from dashboards.breakdowns import Member
from dashboards.shell import PageContext

DIMENSION, NOT_STATED = "diagnosis_chapter", "not stated"
ANSWERED, DENIED, RATE, MONEY = "remitted_claims", "denied_claims", "denial_rate", "denied_billed_amount"
# The columns of the table.
TITLES = {ANSWERED: "Claims answered", DENIED: "Denied at first", RATE: "Denial rate", MONEY: "Billed on them"}
# What is coded, and what is not.
CODING = {
    "diagnoses": "Diagnoses",
    "diagnoses_outside_icd10": "Outside ICD-10-CM",
    "diagnosis_outside_icd10_rate": "Share",
    "visits_with_diagnosis": "Visits with a diagnosis",
    "visits_without_diagnosis": "Visits without",
}


def draw(context: PageContext) -> None:
    """Draws the table for the view of the context; nothing where no claim of the view states a diagnosis."""
    source, view = context.source, context.view
    titles = {name: text for name, text in TITLES.items() if figures.knows(source.metrics.get(name), DIMENSION)}
    if RATE not in titles:
        return
    members = breakdowns.by_dimension(source, view, list(titles), DIMENSION, before=False)
    listed = [member for member in members if any(member.now.get(name) for name in titles)]
    if all(member.id == NOT_STATED for member in listed):
        return
    blocks.section(
        "Denials by diagnosis",
        f"First decisions on claims with services of {view.period.name}, by chapter of the diagnosis that the claim lists first",
    )
    columns = [
        markup.Column("Chapter"),
        *(markup.Column(text, source.metrics[name].unit) for name, text in titles.items()),
    ]
    rows = [markup.Row((member.name, *(_cell(member, name) for name in titles))) for member in listed]
    context.html(markup.table(columns, rows, caption="Denials by chapter of the diagnosis"), key="cm_diagnoses")
    if source.hides_few and any(member.now.get(ANSWERED) is None for member in members):
        blocks.small_print(f"Rows may be missing. {source.hidden_note}")
    _coding(context)


def _coding(context: PageContext) -> None:
    """One row: codes in no chapter of ICD-10-CM, and visits without a diagnosis."""
    source, view = context.source, context.view
    loaded = figures.load(source, view, tuple(CODING))
    if not loaded:
        return
    blocks.section("Codes of diagnoses", "Diagnoses of claims and visits; completed visits with and without one")
    columns = [markup.Column("Period"), *(markup.Column(CODING[name], source.metrics[name].unit) for name in loaded)]
    cells = (markup.Link(figure.value, widgets.passport(name)) for name, figure in loaded.items())
    context.html(
        markup.table(columns, [markup.Row((view.period.name, *cells))], caption="Codes of diagnoses"),
        key="cm_diagnosis_codes",
    )


def _cell(member: Member, metric: str) -> markup.Link:
    return markup.Link(member.now.get(metric), widgets.passport(metric, member.moves) if member.moves else "")
