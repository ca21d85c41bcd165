"""A report as a PDF of letter size. Made by fpdf2, which is Python alone: no browser and no library of the system is needed."""

import io
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from fpdf import FPDF
from fpdf.enums import EncryptionMethod, TableBordersLayout
from fpdf.fonts import FontFace

from dashboards import format as fmt
from dashboards.reports.contents import Report, in_words

MIME = "application/pdf"
FONT = "Source Sans Pro"
_FILES = {"": "SourceSansPro-Regular.ttf", "B": "SourceSansPro-Semibold.ttf"}
_SOFT, _INK, _LINE = (90, 98, 110), (24, 32, 44), (208, 213, 221)
_MARGIN = 15
# Millimetres.
_LOGO_WIDTH, _LOGO_HEIGHT = 50, 12
# Stands in place of a character that the font does not have.
_MISSING = "?"


def as_pdf(report: Report, password: str = "") -> bytes:
    """The document; with a password it opens with that password alone (AES-256)."""
    document = _Document(report)
    if password:
        document.set_encryption(
            owner_password=password, encryption_method=EncryptionMethod.AES_256, user_password=password
        )
    document.add_page()
    _head(document, report)
    _tiles(document, report)
    _cautions(document, report)
    _annotations(document, report)
    _table(document, report)
    _definitions(document, report)
    return bytes(document.output())


@cache
def _font_file(style: str) -> str:
    return str(resources.files("font_source_sans_pro").joinpath("files", _FILES[style]))


class _Document(FPDF):
    """Pages with a foot that says whose figures these are and up to which day."""

    def __init__(self, report: Report) -> None:
        super().__init__(format="letter")
        self.report = report
        for style in _FILES:
            self.add_font(FONT, style, _font_file(style))
        self.set_margin(_MARGIN)
        self.set_auto_page_break(True, margin=18)
        self.set_title(f"{report.page.title}, {report.period.name}")
        self.set_creator("Clinicmart")

    def footer(self) -> None:
        self.set_y(-14)
        self.write_as(8, _SOFT)
        report = self.report
        whose = ", ".join(dict.fromkeys((report.tenant, report.place)))
        text = f"{whose} · data as of {fmt.day(report.as_of)} · for {report.asked_by}"
        self.cell(text=self.shown(text), w=self.epw - 20)
        self.cell(text=f"{self.page_no()} of {{nb}}", align="R", w=20)

    def write_as(self, size: float, colour: Sequence[int] = _INK, style: str = "") -> None:
        self.set_font(FONT, style, size)
        self.set_text_color(*colour)

    def shown(self, text: str) -> str:
        """The text as far as the font has its characters."""
        font: Any = self.fonts[FONT.lower()]
        return "".join(char if char == "\n" or ord(char) in font.cmap else _MISSING for char in text)

    def paragraph(self, text: str) -> None:
        self.multi_cell(w=0, text=self.shown(text), new_x="LMARGIN", new_y="NEXT", align="L")

    def heading(self, text: str) -> None:
        """The title of a part, never alone at the foot of a page."""
        if self.will_page_break(24):
            self.add_page()
        self.ln(5)
        self.write_as(12, style="B")
        self.paragraph(text)
        self.ln(1)

    def lines(
        self, titles: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], numbers: range
    ) -> None:
        """A table whose head is repeated on each page; columns in `numbers` stand right. A last row "All" is bold."""
        self.write_as(9)
        self.set_draw_color(*_LINE)
        aligned = tuple("RIGHT" if column in numbers else "LEFT" for column in range(len(titles)))
        with self.table(
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            col_widths=tuple(widths),
            text_align=aligned,
            headings_style=FontFace(emphasis="BOLD", color=_INK),
            line_height=5,
            padding=0.6,
            v_align="TOP",
        ) as table:
            for values in (titles, *rows):
                row = table.row()
                for value in values:
                    style = FontFace(emphasis="BOLD") if values[0] == "All" else None
                    row.cell(self.shown(value), style=style)


def _head(document: _Document, report: Report) -> None:
    if report.brand.logo:
        # In a box at the top right, as high as the first two lines.
        document.image(
            io.BytesIO(report.brand.logo),
            x=document.w - _MARGIN - _LOGO_WIDTH,
            y=document.t_margin,
            w=_LOGO_WIDTH,
            h=_LOGO_HEIGHT,
            keep_aspect_ratio=True,
            alt_text=report.tenant,
        )
    document.write_as(10, _SOFT)
    document.paragraph(report.tenant)
    document.write_as(20, style="B")
    document.paragraph(report.page.title)
    document.write_as(9, _SOFT)
    document.paragraph("   ".join(f"{name}: {value}" for name, value in report.facts if name != "Organization"))
    if report.brand.accent:
        document.set_draw_color(report.brand.accent)
        document.set_line_width(0.6)
        document.line(_MARGIN, document.y + 2, document.w - _MARGIN, document.y + 2)
        document.set_line_width(0.2)
        document.ln(2)


def _tiles(document: _Document, report: Report) -> None:
    document.heading(f"Figures of {report.period.name}")
    if not report.tiles:
        document.write_as(9)
        document.paragraph("There is no figure to show for this choice.")
        return
    rows = [
        (
            figure.metric.label,
            fmt.exact(figure.value, figure.metric.unit),
            figure.problem or figure.change.text,
            figure.counted,
        )
        for figure in report.tiles
    ]
    document.lines(("Figure", "Value", "Change", "Counted from"), rows, (26, 16, 33, 25), range(1, 2))


def _cautions(document: _Document, report: Report) -> None:
    if not report.cautions:
        return
    document.heading("Read with care")
    document.write_as(9)
    for text in report.cautions:
        document.paragraph(text)


def _annotations(document: _Document, report: Report) -> None:
    if not report.annotations:
        return
    document.heading("Annotations")
    document.write_as(9)
    for text in report.annotations:
        document.paragraph(text)


def _table(document: _Document, report: Report) -> None:
    table = report.table
    if table is None or not table.rows:
        return
    document.heading(table.title)
    written = [
        (*names, *(fmt.exact(value, metric.unit) for metric, value in zip(table.metrics, values, strict=True)))
        for names, values in table.lines
    ]
    width = 70 // len(table.metrics)
    titles = (*(noun.capitalize() for noun in table.nouns), *(metric.label for metric in table.metrics))
    widths = (*[30 // len(table.nouns)] * len(table.nouns), *[width] * len(table.metrics))
    document.lines(titles, written, widths, range(len(table.nouns), len(titles)))


def _definitions(document: _Document, report: Report) -> None:
    if not report.definitions:
        return
    document.heading("What the figures mean")
    for metric in report.definitions:
        document.write_as(8.5, style="B")
        document.paragraph(metric.label)
        document.write_as(8.5, _SOFT)
        words = in_words(metric)
        document.paragraph(
            "  ".join(text if title == "Meaning" else f"{title}: {fmt.sentence(text)}" for title, text in words.items())
        )
        document.ln(1)
