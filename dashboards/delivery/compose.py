"""A report as a mail: HTML and text with the tiles, a link to the page, and a file where one was chosen. Figures only, never rows.

The mail of a report that somebody built has its table too, and its name only where figures may stand in a mail: a name is free text.
"""

from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from markupsafe import Markup

from dashboards import format as fmt
from dashboards.figures import Figure
from dashboards.reports import document, workbook
from dashboards.reports.contents import Report
from foundation.mail_server import MailServer
from serving.modules.overview import PAGE as FIRST_PAGE
from serving.people.branding import Brand
from serving.people.subscriptions import ENCRYPTED, FIGURES, LINKS, Delivery, Subscription

NO_FIGURES = "Your organization sends no figures by mail. Open the page to see them."
SAVED = "A saved report"
# Longer tables are cut in a mail.
MOST_LINES = 40
IN_THE_FILE = "The figures are in the attached PDF. It opens with the password that you chose."
WITHOUT_FILE = (
    "Your organization sends figures in encrypted files alone, and you chose no password. "
    "Subscribe again with one, or open the page."
)
LOGO_ID = "logo@clinicmart"
STYLE = "font-family:Segoe UI,Helvetica,Arial,sans-serif;color:#18202c;font-size:14px"
CELL = "padding:6px 12px 6px 0;border-bottom:1px solid #d0d5dd;text-align:left;vertical-align:top"
_RIGHT = "padding:6px 12px 6px 0;border-bottom:1px solid #d0d5dd;text-align:right;vertical-align:top;white-space:nowrap"


@dataclass(frozen=True, kw_only=True)
class Recipient:
    """Who gets the mail, and how: `content` is the tenant's rule, `password` that of an encrypted PDF, empty where there is none."""

    subscription: Subscription
    content: str
    password: str = ""

    @property
    def shows_figures(self) -> bool:
        """Whether figures stand in the mail itself."""
        return self.content == FIGURES


def compose(report: Report, recipient: Recipient, delivery: Delivery, server: MailServer) -> EmailMessage:
    """The mail. Its Message-ID is that of the delivery, so that a second attempt is the same mail."""
    subject = f"{_title(report, recipient)}, {report.period.name}: {report.place}, data as of {fmt.day(report.as_of)}"
    message = envelope(server, recipient.subscription.email, subject, delivery.message_id, report.asked_at)
    link = link_to(report, recipient.subscription, server)
    message.set_content(_text(report, recipient, link))
    message.add_alternative(str(_html(report, recipient, link)), subtype="html")
    _add_logo(message, report.brand)
    _attach(message, report, recipient)
    return message


def _add_logo(message: EmailMessage, brand: Brand) -> None:
    """The logo as a part of the HTML, which names it by its Content-ID: mail programs open no address for it."""
    part = message.get_body(("html",))
    if brand.logo and isinstance(part, EmailMessage):
        part.add_related(brand.logo, "image", "png", cid=f"<{LOGO_ID}>", disposition="inline", filename="logo.png")


def envelope(server: MailServer, email: str, subject: str, message_id: str, at: datetime) -> EmailMessage:
    """A mail to a person without a body. `message_id` is the part before the at sign, `at` the moment (UTC) in its header Date."""
    message = EmailMessage()
    message["From"] = server.sender
    message["To"] = email
    message["Subject"] = header_line(subject)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = f"<{message_id}@{server.sender.rpartition('@')[2]}>"
    # So that no absence notice answers (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    return message


def link_to(report: Report, subscription: Subscription, server: MailServer) -> str:
    """The address of the page with the period of the report, or of a saved report."""
    base = address_of_pages(server, subscription.tenant_id)
    if subscription.report_id:
        return f"{base}/{report.page.key}?report={subscription.report_id}"
    path = "" if report.page is FIRST_PAGE else report.page.key
    return f"{base}/{path}?period={report.period.start}_{report.period.end}"


def address_of_pages(server: MailServer, tenant_id: str) -> str:
    """Where people of a tenant open the pages, without a slash at the end."""
    return server.pages.replace("{tenant}", tenant_id).rstrip("/")


def header_line(text: str) -> str:
    """A text without control characters: a name of a unit cannot begin another header."""
    return "".join(char if char.isprintable() else " " for char in text)


def _attach(message: EmailMessage, report: Report, recipient: Recipient) -> None:
    name = f"{report.page.key}_{report.period.start}_{report.period.end}"
    file_format = recipient.subscription.file_format
    # A person who chose a password gets an encrypted file, also where the organization does not ask for it.
    is_pdf = file_format == "pdf" or bool(file_format and recipient.password)
    if (recipient.content == ENCRYPTED and recipient.password) or (recipient.content == FIGURES and is_pdf):
        content = document.as_pdf(report, recipient.password)
        message.add_attachment(content, maintype="application", subtype="pdf", filename=f"{name}.pdf")
    elif recipient.content == FIGURES and file_format == "xlsx":
        maintype, _, subtype = workbook.MIME.partition("/")
        message.add_attachment(workbook.as_xlsx(report), maintype=maintype, subtype=subtype, filename=f"{name}.xlsx")


def _why_none(recipient: Recipient) -> str:
    """Why no figures stand in the mail; empty where they do."""
    if recipient.content == LINKS:
        return NO_FIGURES
    if recipient.content == ENCRYPTED:
        return IN_THE_FILE if recipient.password else WITHOUT_FILE
    return ""


def _title(report: Report, recipient: Recipient) -> str:
    return SAVED if recipient.subscription.report_id and not recipient.shows_figures else report.page.title


def _lines(report: Report, recipient: Recipient) -> tuple[list[str], list[tuple[str, ...]], str]:
    """(titles, lines, what is left out) of the table of a built report; empty without one."""
    table = report.table
    if table is None or not table.rows or not recipient.subscription.report_id:
        return [], [], ""
    titles = [*(noun.capitalize() for noun in table.nouns), *(metric.label for metric in table.metrics)]
    lines = [
        (*names, *(fmt.exact(value, metric.unit) for metric, value in zip(table.metrics, values, strict=True)))
        for names, values in table.lines
    ]
    if len(lines) <= MOST_LINES:
        return titles, lines, ""
    return (
        titles,
        lines[:MOST_LINES],
        f"The first {MOST_LINES} of {len(table.rows):,} lines. The page and the files have all.",
    )


def _change(figure: Figure) -> str:
    return figure.problem or figure.change.text


def _text(report: Report, recipient: Recipient, link: str) -> str:
    facts = [f"{name}: {value}" for name, value in report.facts]
    body = [_why_none(recipient)]
    if recipient.shows_figures:
        body = [
            f"{figure.metric.label}: {fmt.short(figure.value, figure.metric.unit)} ({_change(figure)})"
            for figure in report.tiles
        ]
        titles, lines, left_out = _lines(report, recipient)
        body += ["", *(" | ".join(line) for line in (titles, *lines))] if lines else []
        body += [left_out] if left_out else []
        body += ["", *report.cautions] if report.cautions else []
    return "\n".join([_title(report, recipient), "", *facts, "", *body, "", link, "", _foot(recipient), ""])


def _html(report: Report, recipient: Recipient, link: str) -> Markup:
    facts = Markup("<br>").join(Markup("{}: {}").format(name, value) for name, value in report.facts)
    body = Markup("<p>{}</p>").format(_why_none(recipient))
    if recipient.shows_figures:
        lines = [
            Markup('<tr><td style="{}">{}</td><td style="{}"><b>{}</b></td><td style="{}">{}</td></tr>').format(
                CELL, figure.metric.label, _RIGHT, fmt.short(figure.value, figure.metric.unit), CELL, _change(figure)
            )
            for figure in report.tiles
        ]
        cautions = Markup("").join(Markup("<p>{}</p>").format(text) for text in report.cautions)
        body = Markup('<table style="border-collapse:collapse;{}">{}</table>{}').format(
            STYLE, Markup("").join(lines), _table(report, recipient) + cautions
        )
    logo = Markup('<p><img src="cid:{}" alt="{}" height="40"></p>').format(LOGO_ID, report.tenant)
    return Markup(
        '<html><body style="{}">{}<h1 style="font-size:20px">{}</h1><p style="color:#5a626e">{}</p>{}'
        '<p><a href="{}" style="{}">Open the page</a></p><p style="color:#5a626e">{}</p></body></html>'
    ).format(
        STYLE,
        logo if report.brand.logo else "",
        _title(report, recipient),
        facts,
        body,
        link,
        f"color:{report.brand.accent}" if report.brand.accent else "",
        _foot(recipient),
    )


def _table(report: Report, recipient: Recipient) -> Markup:
    titles, lines, left_out = _lines(report, recipient)
    if not lines:
        return Markup("")
    names = len(report.table.nouns) if report.table else 0
    head = Markup("").join(
        Markup('<th style="{}">{}</th>').format(CELL if column < names else _RIGHT, title)
        for column, title in enumerate(titles)
    )
    rows = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                Markup('<td style="{}">{}</td>').format(CELL if column < names else _RIGHT, text)
                for column, text in enumerate(line)
            )
        )
        for line in lines
    )
    note = Markup("<p>{}</p>").format(left_out) if left_out else Markup("")
    return Markup('<table style="border-collapse:collapse;margin-top:16px;{}"><tr>{}</tr>{}</table>{}').format(
        STYLE, head, rows, note
    )


def _foot(recipient: Recipient) -> str:
    subscription = recipient.subscription
    return (
        f"You get this each {subscription.every}, with the figures that you may see. "
        "To end it, open the page Reports or ask your administrator."
    )
