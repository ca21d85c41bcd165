"""Reports: which pages and saved reports a person gets by mail. An administrator subscribes others too, and says what may leave by mail."""

from collections.abc import Mapping

import streamlit as st
from markupsafe import Markup

from dashboards import blocks, markup, served_home, shell
from dashboards import format as fmt
from dashboards.held_pages import pages_of
from dashboards.pages.report_builder import saved
from dashboards.pages.reports import mails
from dashboards.shell import PageContext
from foundation.errors import ClinicmartError
from serving.people.ended_periods import EVERY, MONTH
from serving.people.rights import ROLES
from serving.people.subscriptions import CONTENTS, FILES, LONGEST_DELAYS, Delivery, Subscription
from serving.report_definition import BUILDER
from serving.subscribing import Subscribing

# Before the id of a saved report among the choices.
_REPORT = "report:"
FILE_NAMES = {"": "None", "xlsx": "Excel", "pdf": "PDF"}
CONTENT_NAMES = {
    "figures": "Figures, and the file that the person chose",
    "encrypted": "Figures in an encrypted PDF alone",
    "links": "Links alone, no figures",
}
NO_MAIL = (
    "Your organization sends no mail yet",
    "An administrator first names the domains to which figures may be sent.",
)


def draw(context: PageContext) -> None:
    """Draws the subscriptions of a person, or of the organization, with the forms to change them."""
    source = context.source
    desk = Subscribing(served_home.access(), source.principal)
    # The head and the list are drawn once a form has changed them.
    head = st.container()
    blocks.section("Subscribe", "The first mail comes at once, with the last period that has ended")
    names = saved.names_of(source) if BUILDER in ROLES[source.principal.role].pages else {}
    done = _subscribe(context, desk, names)
    done = _change(desk, names) or done
    if desk.is_for_all:
        blocks.section("What may leave by mail", "A rule of the organization; without a domain nothing is sent")
        done = _rule(desk) or done
    kept = desk.subscriptions()
    with head:
        title = f"{fmt.plural(len(kept), 'subscription')} by mail" if kept else "Nothing is sent by mail"
        context.html(markup.heading(title, [], shell.whose(source)), key="cm_head")
        if done:
            context.html(markup.state("Saved" if done.startswith("Saved") else "Not saved", done), key="cm_saved")
        elif not desk.rule().domains:
            context.html(markup.state(*NO_MAIL), key="cm_no_mail")
        if kept:
            blocks.section("Subscriptions", "Each recipient gets the figures that he or she may see")
            context.html(_table(kept, names, with_people=desk.is_for_all), key="cm_subscriptions")
    blocks.section(
        "Last mails",
        "What was not sent is tried again until the next period begins; what is unclear is sent again only when you say so",
    )
    everything = (*kept, *desk.ended())
    shown = mails.table(desk.mails(), everything, names, source.time_zone, with_people=desk.is_for_all)
    context.html(shown, key="cm_mails")


def _subscribe(context: PageContext, desk: Subscribing, names: Mapping[str, str]) -> str:
    """The form that subscribes to a page or a saved report. Returns what became of it where it was sent."""
    source = context.source
    choices = {page: mails.title_of(page) for page in pages_of(source)} | {
        f"{_REPORT}{report_id}": f"Report: {name}" for report_id, name in names.items()
    }
    # The builder's link names the report.
    wished = f"{_REPORT}{context.view.report}" if context.view.report else ""
    with st.form("cm_subscribe"):
        people = desk.people()
        columns = st.columns([3, 3, 2, 2, 2], vertical_alignment="bottom")
        chosen = columns[0].selectbox(
            "Page or report",
            list(choices),
            index=list(choices).index(wished) if wished in choices else 0,
            format_func=choices.__getitem__,
        )
        email = columns[1].selectbox("For", people) if len(people) > 1 else people[0]
        every = columns[2].selectbox("After each", EVERY, index=EVERY.index(MONTH))
        delay = columns[3].number_input("Days later", 0, max(LONGEST_DELAYS.values()), 1)
        file_format = columns[4].selectbox("Attach", FILES, format_func=FILE_NAMES.__getitem__)
        password = st.text_input(
            "Password of the PDF",
            type="password",
            help="Leave it empty for a PDF that everybody can open. Your organization may ask for one.",
        )
        is_sent = st.form_submit_button("Subscribe", type="primary")
    if not is_sent or chosen is None or email is None or every is None:
        return ""
    is_report = chosen.startswith(_REPORT)
    try:
        made = desk.subscribe(
            email,
            page=BUILDER if is_report else chosen,
            report_id=chosen.removeprefix(_REPORT) if is_report else "",
            every=every,
            delay_days=int(delay),
            file_format=file_format or "",
            password=password,
        )
    except ClinicmartError as error:
        return fmt.sentence(str(error))
    return f"Saved: {made.email} gets {mails.what(made, names)} after each {made.every}."


def _change(desk: Subscribing, names: Mapping[str, str]) -> str:
    """Ends a subscription, or has a mail sent again. Returns what became of it."""
    kept = {item.subscription_id: item for item in desk.subscriptions()}
    waiting = {mail.delivery_id: mail for mail in desk.not_sent() if mail.subscription_id in kept}
    if not kept:
        return ""
    with st.form("cm_end_subscription", border=False):
        columns = st.columns([4, 2, 4, 2], vertical_alignment="bottom")
        ending = columns[0].selectbox(
            "End a subscription", list(kept), format_func=lambda key: _words(kept[key], names)
        )
        is_ended = columns[1].form_submit_button("End it")
        mail = columns[2].selectbox(
            "A mail that was not sent",
            list(waiting),
            format_func=lambda key: _mail_words(kept[waiting[key].subscription_id], waiting[key], names),
        )
        is_asked = columns[3].form_submit_button("Send it again", disabled=not waiting)
    try:
        if is_ended and ending is not None:
            desk.end(ending)
            return "Saved: the subscription has ended."
        if is_asked and mail is not None:
            desk.send_again(mail)
            return "Saved: the mail is tried with the next sending."
    except ClinicmartError as error:
        return fmt.sentence(str(error))
    return ""


def _rule(desk: Subscribing) -> str:
    """The tenant's rule. Returns what became of it where it was saved."""
    rule = desk.rule()
    with st.form("cm_mail_rule", border=False):
        columns = st.columns([4, 4, 2], vertical_alignment="bottom")
        domains = columns[0].text_input("Domains of recipients", ", ".join(rule.domains), help="Separated by commas.")
        content = columns[1].selectbox(
            "A mail holds", CONTENTS, index=CONTENTS.index(rule.content), format_func=CONTENT_NAMES.__getitem__
        )
        is_saved = columns[2].form_submit_button("Save rule")
    if not is_saved or content is None:
        return ""
    try:
        kept = desk.set_rule(tuple(part for part in domains.replace(",", " ").split() if part), content)
    except ClinicmartError as error:
        return fmt.sentence(str(error))
    return f"Saved: mail goes to {', '.join(kept.domains) or 'no domain'}."


def _words(item: Subscription, names: Mapping[str, str]) -> str:
    return f"{mails.what(item, names)} each {item.every} for {item.email}"


def _mail_words(item: Subscription, mail: Delivery, names: Mapping[str, str]) -> str:
    return f"{mails.what(item, names)} for {item.email}, {mails.days_of(mail)}"


def _table(kept: tuple[Subscription, ...], names: Mapping[str, str], *, with_people: bool) -> Markup:
    rows = [
        markup.Row(
            (
                mails.what(item, names),
                *((item.email,) if with_people else ()),
                f"Each {item.every}",
                fmt.plural(item.delay_days, "day"),
                FILE_NAMES[item.file_format],
                "yes" if item.has_password else "no",
                item.made_by,
            )
        )
        for item in kept
    ]
    titles = (
        "Page or report",
        *(("For",) if with_people else ()),
        "When",
        "Later by",
        "File",
        "Password",
        "Subscribed by",
    )
    return markup.table([markup.Column(title) for title in titles], rows, caption="Subscriptions")
