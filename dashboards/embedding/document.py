"""A report as one HTML page for a frame: tiles with their trend, the table, what to read with care. No script, no link, no form."""

from collections.abc import Iterable
from datetime import date
from functools import lru_cache

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import theme
from dashboards.figures import Figure
from dashboards.markup import join
from dashboards.reports.contents import Report

_WIDTH, _HEIGHT, _FOOT, _GAP = 640, 200, 24, 6


@lru_cache(maxsize=1)
def _style() -> str:
    dark = theme.variables(theme.DARK)
    sheet = (theme.ASSETS / "embedding.css").read_text(encoding="utf-8")
    return f"{theme.variables(theme.LIGHT)}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n{sheet}"


def page(title: str, body: Markup) -> str:
    """A whole page of HTML."""
    return Markup(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>{title}</title><style>{style}</style></head><body><main>{body}</main></body></html>"
    ).format(title=title, style=Markup(_style()), body=body)  # noqa: S704  # the project's own stylesheet and tokens


def message(text: str) -> str:
    """A page that says one sentence."""
    return page("Clinicmart", Markup('<p class="message" role="alert">{}</p>').format(text))


def as_html(report: Report, figure: str) -> str:
    """The report; of one figure (`contents`) the value with its months."""
    tiles = report.tiles
    shown = join(_chart(tile) for tile in tiles) if figure else _tiles(tiles)
    body = Markup(
        '<h1>{title}</h1><p class="facts">{facts}</p>{shown}{table}{cautions}<p class="foot">{foot}</p>'
    ).format(
        title=tiles[0].metric.label if figure and tiles else report.page.title,
        facts=" · ".join((report.place, *(f"{name}: {value}" for name, value in report.filters), report.period.name)),
        shown=shown or Markup("<p>There is no figure to show for this choice.</p>"),
        table=_table(report),
        cautions=_cautions(report),
        foot=f"{report.tenant} · data as of {fmt.day(report.as_of)} · compared with {report.compared.name}",
    )
    return page(report.page.title, body)


def _tiles(tiles: Iterable[Figure]) -> Markup:
    parts = [
        Markup(
            "<li><h2>{label}</h2><p class='value'>{value}</p><p class='change'>{change}</p><p class='counted'>{counted}</p></li>"
        ).format(
            label=tile.metric.label,
            value=fmt.short(tile.value, tile.metric.unit),
            change=tile.problem or tile.change.text,
            counted=tile.counted,
        )
        for tile in tiles
    ]
    return Markup('<ul class="tiles">{}</ul>').format(join(parts)) if parts else Markup("")


def _chart(tile: Figure) -> Markup:
    """A figure and its months as columns; a month that can still change is pale, one without a value is empty."""
    head = Markup("<p class='value'>{value}</p><p class='change'>{change}</p><p class='counted'>{counted}</p>").format(
        value=fmt.short(tile.value, tile.metric.unit), change=tile.problem or tile.change.text, counted=tile.counted
    )
    values = [float(value) for _, value in tile.trend if value is not None]
    if not values:
        return head
    top, low = max(0.0, *values), min(0.0, *values)
    step = _WIDTH / len(tile.trend)
    scale = (_HEIGHT - _FOOT) / ((top - low) or 1.0)
    columns = join(
        _column(tile, month, value, left=number * step, width=step - _GAP, base=top * scale, scale=scale)
        for number, (month, value) in enumerate(tile.trend)
    )
    return head + Markup(
        '<svg class="months" viewBox="0 0 {width} {height}" role="img" aria-label="{label} by month">{columns}</svg>{table}'
    ).format(width=_WIDTH, height=_HEIGHT, label=tile.metric.label, columns=columns, table=_months(tile))


def _column(
    tile: Figure, month: date, value: object, *, left: float, width: float, base: float, scale: float
) -> Markup:
    """A column with its month below; `base` is the line of zero, `scale` units of the drawing for one of the value."""
    name = Markup('<text x="{x:.1f}" y="{y}">{text}</text>').format(
        x=left + width / 2, y=_HEIGHT - 6, text=f"{month:%b}"
    )
    if value is None:
        return name
    number = float(str(value))
    height = abs(number) * scale
    return name + Markup(
        '<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"><title>{title}</title></rect>'
    ).format(
        kind="moving" if month in tile.moving else "settled",
        x=left,
        y=base - height if number >= 0 else base,
        width=width,
        height=height,
        title=f"{fmt.month(month)}: {fmt.exact(fmt.decimal(number), tile.metric.unit)}",
    )


def _months(tile: Figure) -> Markup:
    """The same months as a table, for readers who do not see the drawing."""
    rows = join(
        Markup("<tr><th scope='row'>{}</th><td>{}</td></tr>").format(
            fmt.month(month), fmt.exact(value, tile.metric.unit)
        )
        for month, value in tile.trend
    )
    return Markup("<details><summary>Values by month</summary><table>{}</table></details>").format(rows)


def _table(report: Report) -> Markup:
    table = report.table
    if table is None or not table.rows:
        return Markup("")
    titles = (*(noun.capitalize() for noun in table.nouns), *(metric.label for metric in table.metrics))
    head = join(Markup("<th scope='col'>{}</th>").format(title) for title in titles)
    lines = join(
        Markup("<tr>{}{}</tr>").format(
            join(Markup("<th scope='row'>{}</th>").format(name) for name in names),
            join(
                Markup("<td>{}</td>").format(fmt.exact(value, metric.unit))
                for metric, value in zip(table.metrics, values, strict=True)
            ),
        )
        for names, values in table.lines
    )
    return Markup("<section class='table'><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></section>").format(
        head, lines
    )


def _cautions(report: Report) -> Markup:
    if not report.cautions:
        return Markup("")
    lines = join(Markup("<li>{}</li>").format(text) for text in report.cautions)
    return Markup("<section class='care'><h2>Read with care</h2><ul>{}</ul></section>").format(lines)
