"""Saved reports by mail: each recipient gets the own scope, and the name of a report leaves only where figures may."""

import io
import json
from datetime import date
from typing import Any

import pypdf
import pytest
import streamlit

from dashboards import format as fmt
from dashboards.delivery.compose import MOST_LINES, SAVED
from dashboards.delivery.send import send_due
from foundation.errors import AccessError, ConfigurationError
from foundation.keys import Keys
from foundation.mail_server import MailServer
from serving.model import MetricQuery
from serving.people.reports import Reports
from serving.people.subscriptions import Subscription
from serving.reader import open_reader
from serving.report_definition import BUILDER, ReportDefinition
from tests.dashboards.delivery.senders import (
    APRIL,
    PASSWORD,
    Mailbox,
    attached,
    audit_of,
    body_of,
    states,
    subscribe,
)
from tests.serving.conftest import Place
from tests.support import clinicmart_here

NAME = "Money of <Ms Smith>"
BY_PROVIDER = ReportDefinition(metrics=("billed_amount",), by=("provider",), period="last_quarter")
QUARTER = (date(2026, 1, 1), date(2026, 3, 31))


def reports_of(place: Place, user: str) -> Reports:
    return place.access.reports(Keys.of(place.home), user.partition("@")[2], user)


def saved(place: Place, user: str = "admin@harbor", *, is_shared: bool = True, name: str = NAME) -> str:
    return reports_of(place, user).save(name, BY_PROVIDER, is_shared=is_shared)


def by_mail(place: Place, user: str, report_id: str, **more: Any) -> Subscription:
    return subscribe(place, user, page=BUILDER, report_id=report_id, **more)


def test_each_recipient_gets_the_report_of_the_own_scope(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    report_id = saved(place)
    for user in ("admin@harbor", "east@harbor"):
        by_mail(place, user, report_id, file_format="pdf")
    assert [item.state for item in send_due(place.home, server, APRIL)] == ["sent", "sent"]
    totals = set()
    for user in ("admin@harbor", "east@harbor"):
        with open_reader(place.home, place.access.principal("harbor", user)) as reader:
            days = {"date_from": QUARTER[0], "date_to": QUARTER[1]}
            asked = MetricQuery(metrics=["billed_amount"], by=["provider"], **days)
            values = [fmt.exact(value, "usd") for value in reader.query(asked)["billed_amount"] if value is not None]
            total = reader.query(MetricQuery(metrics=["billed_amount"], **days))["billed_amount"][0]
        mail = mailbox.to(user)
        assert mail["Subject"].strip().startswith(f"{NAME}, Q1 2026: ")
        assert f"https://harbor.example/report_builder?report={report_id}" in body_of(mail)
        assert "Money of &lt;Ms Smith&gt;" in body_of(mail, "html")
        ((_, content),) = attached(mail)
        file = "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(content)).pages)
        for value in (*values, fmt.exact(total, "usd")):
            assert value in body_of(mail)
            assert f">{value}<" in body_of(mail, "html")
            assert value in file
        totals.add(total)
    assert len(totals) == 2
    rows = place.access.audit_rows("harbor", limit=500)
    assert all("Smith" not in json.dumps(row.detail, default=str) for row in rows)
    assert {row.detail["report"] for row in rows if row.action == "mail sent"} == {report_id}


def test_a_report_that_is_not_shared_is_refused_and_one_that_is_no_longer_shared_ends(
    place: Place, mailbox: Mailbox, server: MailServer
) -> None:
    mine = saved(place, is_shared=False)
    by_mail(place, "admin@harbor", mine)
    for user, report_id in (("east@harbor", mine), ("admin@mesa", mine), ("admin@harbor", "0" * 12)):
        with pytest.raises(AccessError, match="no such report"):
            by_mail(place, user, report_id)
    assert audit_of(place, "subscription made")[0] == ("admin@harbor", "refused")
    shared = saved(place, name="Shared")
    by_mail(place, "east@harbor", shared)
    reports_of(place, "admin@harbor").keep_private(shared)
    outcomes = {item.email: (item.state, item.reason) for item in send_due(place.home, server, APRIL)}
    assert outcomes == {
        "admin@harbor": ("sent", ""),
        "east@harbor": ("ended", "the report was removed, or is no longer shared with east@harbor"),
    }
    reports_of(place, "admin@harbor").remove(mine)
    assert [mail["To"] for mail in mailbox.mails] == ["admin@harbor"]


def test_a_report_whose_figure_was_removed_says_so_and_the_mail_waits(
    place: Place, mailbox: Mailbox, server: MailServer
) -> None:
    report_id = reports_of(place, "admin@harbor").save(
        NAME, ReportDefinition(metrics=("gone_metric",)), is_shared=False
    )
    by_mail(place, "admin@harbor", report_id)
    (outcome,) = send_due(place.home, server, APRIL)
    assert outcome.state == "failed"
    assert "the figure gone_metric is not there for you" in outcome.reason
    assert states(place) == [("failed", outcome.reason)]
    assert mailbox.mails == []


@pytest.mark.parametrize("content", ["encrypted", "links"])
def test_where_no_figure_may_leave_the_name_stays_too(
    place: Place, mailbox: Mailbox, server: MailServer, content: str
) -> None:
    place.access.subscriptions.set_rule("harbor", ["harbor"], content, actor="test")
    more = {"file_format": "pdf", "password": PASSWORD} if content == "encrypted" else {}
    by_mail(place, "admin@harbor", saved(place), **more)
    assert send_due(place.home, server, APRIL)[0].state == "sent"
    mail = mailbox.to("admin@harbor")
    assert mail["Subject"].strip().startswith(f"{SAVED}, Q1 2026: ")
    for kind in ("plain", "html"):
        assert "Smith" not in body_of(mail, kind)
        assert "$" not in body_of(mail, kind)
    files = attached(mail)
    assert [name for name, _ in files] == ["report_builder_2026-01-01_2026-03-31.pdf"] * (content == "encrypted")
    for _, file in files:
        assert b"Smith" not in file
        assert pypdf.PdfReader(io.BytesIO(file)).is_encrypted


def test_a_long_table_is_cut_in_the_mail_and_says_so(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    days = ReportDefinition(metrics=("visits",), by=("month", "provider"), period="2023-01-01_2026-03-31")
    report_id = reports_of(place, "admin@harbor").save("Long", days, is_shared=False)
    by_mail(place, "admin@harbor", report_id)
    send_due(place.home, server, APRIL)
    html = body_of(mailbox.to("admin@harbor"), "html")
    lines = html.count("<tr>") - 2
    assert lines <= MOST_LINES
    assert (lines == MOST_LINES) is (f"The first {MOST_LINES} of " in html)


def test_one_subscription_to_each_report(place: Place) -> None:
    first, second = saved(place), saved(place, name="Another")
    by_mail(place, "admin@harbor", first)
    by_mail(place, "admin@harbor", second)
    with pytest.raises(ConfigurationError, match="already gets this report each month"):
        by_mail(place, "admin@harbor", first)
    with pytest.raises(ConfigurationError, match="is not a page of figures"):
        subscribe(place, "admin@harbor", page=BUILDER)
    with pytest.raises(ConfigurationError, match="is not a page of figures"):
        subscribe(place, "admin@harbor", page="overview", report_id=first)
    with pytest.raises(AccessError, match="does not include this report"):
        by_mail(place, "desk@harbor", first)


def test_an_operator_subscribes_to_a_report_by_its_id(place: Place) -> None:
    report_id = saved(place)
    add = ("subscriptions", "add", "east@harbor", "--home", place.home.path, "--tenant", "harbor")
    ran = clinicmart_here(*add, "--report", report_id)
    assert (ran.code, f"gets {report_id} each month" in ran.out) == (0, True), ran.err
    for words in ((), ("--page", "overview", "--report", report_id)):
        assert clinicmart_here(*add, *words).code == 2


def test_a_person_subscribes_to_a_report_on_the_page(
    page: Any, markup_of: Any, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(streamlit.context), "ip_address", property(lambda _: "192.0.2.1"))
    served.access.subscriptions.set_rule("harbor", ["harbor"], "figures", actor="test")
    mine = served.access.reports(Keys.of(served.home), "harbor", "admin@harbor")
    report_id = mine.save("Visits <by> month", ReportDefinition(metrics=("no_show_rate",)), is_shared=False)
    try:
        test = page("reports", report=report_id)
        assert not test.exception
        assert test.selectbox[0].value == f"report:{report_id}"
        next(button for button in test.button if button.label == "Subscribe").click().run()
        assert "gets Visits &lt;by&gt; month after each month" in markup_of(test)
        (made,) = [item for item in served.access.subscriptions.going_on() if item.report_id]
        assert (made.page, made.report_id, made.every) == (BUILDER, report_id, "month")
        served.access.subscriptions.end("harbor", made.subscription_id, because="", actor="test")
    finally:
        mine.remove(report_id)
        served.access.subscriptions.set_rule("harbor", [], "figures", actor="test")
