"""Mails of subscriptions as a table: what was sent, what was not and why."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup
from serving.modules import PAGES
from serving.people.subscriptions import FAILED, GIVEN_UP, NOTED, SENDING, SENT, UNCLEAR, Delivery, Subscription

WORDS = {
    NOTED: "Is sent next",
    SENDING: "Is being sent",
    SENT: "Sent",
    FAILED: "Not sent, is tried again",
    UNCLEAR: "Unclear",
    GIVEN_UP: "Not sent",
}
MOST = 50


def title_of(page: str) -> str:
    """The title of a page; its key where a release no longer has it."""
    return PAGES[page].title if page in PAGES else page


def what(subscription: Subscription, names: Mapping[str, str]) -> str:
    """The title of the page, or the name of the saved report. `names` are those of the reports that the reader may open, by id: the
    name of another one is not shown."""
    if subscription.report_id:
        return names.get(subscription.report_id, f"A report of {subscription.email}")
    return title_of(subscription.page)


def days_of(mail: Delivery) -> str:
    """The first and the last day of the period of a mail."""
    return f"{fmt.day(mail.period_start)} to {fmt.day(mail.period_end)}"


def table(
    mails: Sequence[Delivery],
    subscriptions: Sequence[Subscription],
    names: Mapping[str, str],
    time_zone: str,
    *,
    with_people: bool,
) -> Markup:
    """The last mails, the newest first. `names` as of `what`."""
    by_id = {item.subscription_id: item for item in subscriptions}
    rows = []
    for mail in mails[:MOST]:
        subscription = by_id.get(mail.subscription_id)
        if subscription is None:
            continue
        at = fmt.moment(mail.sent_at or mail.noted_at, time_zone)
        person = (subscription.email,) if with_people else ()
        state = WORDS.get(mail.state, mail.state)
        rows.append(
            markup.Row((what(subscription, names), *person, days_of(mail), state, fmt.sentence(mail.reason), at))
        )
    titles = ("Page or report", *(("For",) if with_people else ()), "Period", "State", "Why", "When")
    return markup.table(
        [markup.Column(name) for name in titles], rows, caption="The last mails", empty="No mail was due yet."
    )
