"""A report as an Excel workbook. Numbers are numbers with all their digits; texts are texts, also where they look like a formula."""

import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import xlsxwriter

from dashboards import format as fmt
from dashboards.reports.contents import Report, in_words
from serving.rows.export import plain_text

MIME = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# How Excel shows a value, by its unit.
NUMBER_FORMATS = {
    "usd": '"$"#,##0.00;-"$"#,##0.00',
    "count": "#,##0",
    "percent": "0.0%",
    "ratio": "#,##0.00",
}
_PLAIN_NUMBER = "#,##0.0"
_OPTIONS = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
_WIDE, _NARROW = 44, 18
_MONTH = "mmm yyyy"
# A limit of Excel.
_LONGEST_SHEET_NAME = 31


def as_xlsx(report: Report) -> bytes:
    """The workbook: sheets Figures, By <noun>, By month and Definitions."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, _OPTIONS) as book:
        book.set_properties({"title": f"{report.page.title}, {report.period.name}", "company": report.tenant})
        writer = _Writer(book)
        _figures(writer, report)
        if report.table is not None:
            _table(writer, report)
        _months(writer, report)
        _definitions(writer, report)
    return buffer.getvalue()


class _Writer:
    """Writes lines of cells, each value by its kind."""

    def __init__(self, book: Any) -> None:
        self.book = book
        self.formats: dict[tuple[str, bool], Any] = {}

    def sheet(self, name: str, widths: Sequence[int]) -> Any:
        sheet = self.book.add_worksheet(name)
        for column, width in enumerate(widths):
            sheet.set_column(column, column, width)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
        return sheet

    def style(self, number_format: str = "", *, bold: bool = False) -> Any:
        key = (number_format, bold)
        if key not in self.formats:
            chosen: dict[str, Any] = {"valign": "top"}
            if number_format:
                chosen["num_format"] = number_format
            else:
                chosen["text_wrap"] = True
            self.formats[key] = self.book.add_format(chosen | ({"bold": True} if bold else {}))
        return self.formats[key]

    def texts(self, sheet: Any, line: int, values: Iterable[str], *, bold: bool = False) -> None:
        for column, value in enumerate(values):
            sheet.write_string(line, column, plain_text(value), self.style(bold=bold))

    def number(self, sheet: Any, line: int, column: int, value: Any, unit: str, *, bold: bool = False) -> None:
        """A figure; a dash for one that has no value."""
        if value is None:
            sheet.write_string(line, column, fmt.DASH, self.style(bold=bold))
            return
        number_format = NUMBER_FORMATS.get(unit, _PLAIN_NUMBER)
        if unit == "count" and fmt.decimal(value) != fmt.decimal(value).to_integral_value():
            number_format = NUMBER_FORMATS["ratio"]
        exact = float(value) if isinstance(value, Decimal) else value
        sheet.write_number(line, column, exact, self.style(number_format, bold=bold))


def _figures(writer: _Writer, report: Report) -> None:
    sheet = writer.sheet("Figures", (_WIDE, _NARROW, 10, _WIDE, _WIDE, _WIDE))
    writer.texts(sheet, 0, [report.page.title], bold=True)
    line = 1
    for name, value in report.facts:
        writer.texts(sheet, line, [name])
        sheet.write_string(line, 1, plain_text(value))
        line += 1
    line += 1
    titles = ["Figure", "Value", "Unit", "Change", "Counted from", "Read with care"]
    writer.texts(sheet, line, titles, bold=True)
    for figure in report.tiles:
        line += 1
        writer.texts(sheet, line, [figure.metric.label])
        writer.number(sheet, line, 1, figure.value, figure.metric.unit)
        care = "; ".join(text for text in (figure.problem, figure.caution, *figure.doubts) if text)
        for column, text in enumerate((figure.metric.unit, figure.change.text, figure.counted, care), start=2):
            sheet.write_string(line, column, plain_text(text), writer.style())
    line += 2
    for text in report.cautions:
        sheet.write_string(line, 0, plain_text(text))
        line += 1


def _table(writer: _Writer, report: Report) -> None:
    table = report.table
    if table is None:
        return
    first = len(table.nouns)
    sheet = writer.sheet(table.title[:_LONGEST_SHEET_NAME], (*[_WIDE] * first, *[_NARROW] * len(table.metrics)))
    titles = [*(noun.capitalize() for noun in table.nouns), *(metric.label for metric in table.metrics)]
    writer.texts(sheet, 0, titles, bold=True)
    for line, (names, values) in enumerate(table.lines, start=1):
        is_total = line > len(table.rows)
        writer.texts(sheet, line, names, bold=is_total)
        for column, (metric, value) in enumerate(zip(table.metrics, values, strict=True), start=first):
            writer.number(sheet, line, column, value, metric.unit, bold=is_total)
    sheet.freeze_panes(1, first)


def _months(writer: _Writer, report: Report) -> None:
    """Thirteen months of each tile, and below them the annotations of these months."""
    shown = [figure for figure in report.tiles if figure.trend]
    months = sorted({month for figure in shown for month, _ in figure.trend})
    if not months:
        return
    is_taken = report.table is not None and report.table.title == "By month"
    sheet = writer.sheet("Trend by month" if is_taken else "By month", (_NARROW, *[_NARROW] * len(shown)))
    writer.texts(sheet, 0, ["Month", *(figure.metric.label for figure in shown)], bold=True)
    for line, month in enumerate(months, start=1):
        sheet.write_datetime(line, 0, month, writer.style(_MONTH))
        for column, figure in enumerate(shown, start=1):
            writer.number(sheet, line, column, dict(figure.trend).get(month), figure.metric.unit)
    sheet.freeze_panes(1, 1)
    for line, text in enumerate(report.annotations, start=len(months) + 2):
        sheet.write_string(line, 0, plain_text(text))


def _definitions(writer: _Writer, report: Report) -> None:
    titles = ("Meaning", "Numerator", "Denominator", "Left out", "Counted on", "Version")
    sheet = writer.sheet("Definitions", (28, 60, 30, 30, 30, 30, 10))
    writer.texts(sheet, 0, ["Figure", *titles], bold=True)
    for line, metric in enumerate(report.definitions, start=1):
        words = in_words(metric)
        writer.texts(sheet, line, [metric.label, *(words.get(title, "") for title in titles)])
    sheet.freeze_panes(1, 1)
