"""Pages by mail: a real mail server takes what people of three scopes get."""

import io
import itertools
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pypdf
import pytest
from dagster import DagsterInstance, DagsterRunStatus, RunRequest, SkipReason, build_sensor_context
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dagster_project.deliveries import mails_due, send_mail
from dashboards import format as fmt
from dashboards.delivery.compose import NO_FIGURES, WITHOUT_FILE
from dashboards.delivery.send import send_due
from foundation.errors import AccessError
from foundation.mail_server import MailServer
from serving.brand_rules import set_brand
from serving.model import MetricQuery
from serving.people.branding import Brand
from serving.people.due_mail import any_due, last_period
from serving.people.subscriptions import (
    EVERY,
    LONGEST_DELAYS,
    Subscription,
)
from serving.reader import open_reader
from tests.dashboards.delivery.senders import (
    APRIL,
    FEBRUARY,
    MARCH,
    PASSWORD,
    THREE,
    Mailbox,
    attached,
    audit_of,
    body_of,
    states,
    subscribe,
)
from tests.serving.conftest import Place


def test_three_people_get_the_figures_of_three_scopes(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    for user in THREE:
        subscribe(place, user, file_format="pdf")
    subscribe(place, "admin@mesa")
    outcomes = send_due(place.home, server, MARCH)
    assert [(item.email, item.state) for item in outcomes] == [(user, "sent") for user in (*THREE, "admin@mesa")]
    shown = set()
    for user in THREE:
        with open_reader(place.home, place.access.principal("harbor", user)) as reader:
            asked = MetricQuery(metrics=["billed_amount"], date_from=FEBRUARY[0], date_to=FEBRUARY[1])
            billed = reader.query(asked)["billed_amount"][0]
        mail = mailbox.to(user)
        assert fmt.short(billed, "usd") in body_of(mail)
        assert fmt.short(billed, "usd") in body_of(mail, "html")
        assert "data as of 31 Mar 2026" in mail["Subject"]
        assert "February 2026" in mail["Subject"]
        assert "https://harbor.example/revenue_cycle?period=2026-02-01_2026-02-28" in body_of(mail)
        ((name, content),) = attached(mail)
        assert name == "revenue_cycle_2026-02-01_2026-02-28.pdf"
        assert fmt.exact(billed, "usd") in pypdf.PdfReader(io.BytesIO(content)).pages[0].extract_text()
        shown.add(billed)
    assert len(shown) == 3
    assert "data as of 28 Feb 2026" in mailbox.to("admin@mesa")["Subject"]
    assert "west" not in mailbox.to("east@harbor").as_string()
    assert sorted(audit_of(place, "mail sent")) == sorted((user, "done") for user in THREE)
    assert {row.actor for row in place.access.audit_rows("harbor", action="report")} == set(THREE)


def test_a_mail_has_the_name_the_logo_and_the_accent_of_the_organization(
    place: Place, mailbox: Mailbox, server: MailServer
) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (200, 50), "#7a1f5c").save(picture, format="PNG")
    brand = Brand(display_name="Harbor <Group>", accent="#7a1f5c")
    kept = set_brand(place.access, "harbor", brand, picture.getvalue(), actor="admin@harbor")
    for user in ("east@harbor", "admin@mesa"):
        subscribe(place, user, file_format="pdf")
    send_due(place.home, server, MARCH)
    mail, theirs = mailbox.to("east@harbor"), mailbox.to("admin@mesa")
    html = body_of(mail, "html")
    assert "Harbor &lt;Group&gt;" in html
    assert 'src="cid:logo@clinicmart"' in html
    assert "color:#7a1f5c" in html
    (logo,) = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert logo["Content-ID"] == "<logo@clinicmart>"
    assert logo.get_payload(decode=True) == kept.logo
    # The file is still attached.
    assert [name for name, _ in attached(mail)] == ["revenue_cycle_2026-02-01_2026-02-28.pdf"]
    assert "cid:" not in body_of(theirs, "html")
    assert "image/png" not in {part.get_content_type() for part in theirs.walk()}


def test_each_period_is_one_mail(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    subscribe(place, "east@harbor", delay_days=5)
    assert send_due(place.home, server, datetime(2026, 4, 5, 12, tzinfo=UTC))[0].period == "2026-02-01 to 2026-02-28"
    for hours in range(4):
        send_due(place.home, server, datetime(2026, 4, 6, 12, tzinfo=UTC) + timedelta(hours=hours))
    periods = [mail["Subject"].split(":")[0] for mail in mailbox.mails]
    assert periods == ["Revenue cycle, February 2026", "Revenue cycle, March 2026"]
    assert len({mail["Message-ID"] for mail in mailbox.mails}) == 2
    assert not any_due(place.home, datetime(2026, 4, 6, 18, tzinfo=UTC))


def test_a_domain_that_the_tenant_does_not_allow(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    store = place.access.subscriptions
    subscribe(place, "east@harbor")
    store.set_rule("harbor", ["clinic.example"], "figures", actor="test")
    with pytest.raises(AccessError, match="mail to harbor is not allowed; allowed are clinic"):
        subscribe(place, "admin@harbor")
    assert audit_of(place, "subscription made")[0] == ("admin@harbor", "refused")
    assert "mail to harbor is not allowed" in send_due(place.home, server, APRIL)[0].reason
    assert mailbox.mails == []
    store.set_rule("harbor", ["harbor"], "figures", actor="test")
    assert send_due(place.home, server, APRIL + timedelta(hours=1))[0].state == "sent"


def test_ended_rights_end_the_mail(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    for user in THREE:
        subscribe(place, user)
    place.access.change_rights("harbor", "admin@harbor", is_active=False, actor="test")
    place.access.change_rights("harbor", "doctor@harbor", role="front_desk", unit_ids=("east",), actor="test")
    place.access.change_rights("harbor", "east@harbor", unit_ids=("west",), actor="test")
    outcomes = {item.email: item.state for item in send_due(place.home, server, APRIL)}
    assert outcomes == {"admin@harbor": "ended", "doctor@harbor": "ended", "east@harbor": "sent"}
    assert [mail["To"] for mail in mailbox.mails] == ["east@harbor"]
    assert "east" not in body_of(mailbox.mails[0]).lower().replace("made for: east", "")
    ended = {item.email: item.ended_because for item in place.access.subscriptions.of_tenant("harbor")}
    assert "no such user" in ended["admin@harbor"]
    assert "not available to you" in ended["doctor@harbor"]
    assert ended["east@harbor"] == ""
    assert send_due(place.home, server, APRIL + timedelta(days=30))[0].email == "east@harbor"


def test_what_the_tenant_lets_a_mail_hold(place: Place, mailbox: Mailbox, server: MailServer) -> None:
    store = place.access.subscriptions
    subscribe(place, "admin@harbor", file_format="xlsx")
    subscribe(place, "east@harbor", file_format="pdf", password=PASSWORD)
    store.set_rule("harbor", ["harbor"], "encrypted", actor="test")
    send_due(place.home, server, APRIL)
    without, protected = mailbox.to("admin@harbor"), mailbox.to("east@harbor")
    assert WITHOUT_FILE.split(".")[0] in body_of(without)
    assert attached(without) == []
    assert "$" not in body_of(without) + body_of(protected) + body_of(protected, "html")
    ((_, content),) = attached(protected)
    document = pypdf.PdfReader(io.BytesIO(content))
    assert document.is_encrypted
    assert document.decrypt(PASSWORD)
    assert "$" in document.pages[0].extract_text()
    mailbox.mails.clear()
    store.set_rule("harbor", ["harbor"], "links", actor="test")
    send_due(place.home, server, datetime(2026, 3, 3, tzinfo=UTC))
    assert len(mailbox.mails) == 2
    for mail in mailbox.mails:
        assert NO_FIGURES in body_of(mail)
        assert attached(mail) == []
        assert "$" not in body_of(mail) + body_of(mail, "html")


def test_a_page_or_its_figures_that_were_removed(
    place: Place, mailbox: Mailbox, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(place, "east@harbor")
    subscribe(place, "admin@harbor", page="no_show")
    from dashboards.reports import make

    monkeypatch.setattr(make, "PAGES", {key: page for key, page in make.PAGES.items() if key != "revenue_cycle"})
    reasons = {item.email: item.reason for item in send_due(place.home, server, APRIL)}
    assert "there is no page of figures 'revenue_cycle'" in reasons["east@harbor"]
    assert reasons["admin@harbor"] == "the page No-show has no figure to send"
    assert mailbox.mails == []


def test_rights_that_ended_end_two_mails_of_one_subscription(
    place: Place, mailbox: Mailbox, server: MailServer
) -> None:
    subscription = subscribe(place, "east@harbor")
    place.access.subscriptions.note(subscription, *FEBRUARY, MARCH)
    place.access.change_rights("harbor", "east@harbor", is_active=False, actor="test")
    assert [item.state for item in send_due(place.home, server, APRIL)] == ["ended", "ended"]
    assert [state for state, _ in states(place)] == ["given up", "given up"]


def test_the_orchestrator_asks_again_after_an_attempt_that_counted_nothing(place: Place, server: MailServer) -> None:
    workspace: Any = SimpleNamespace(home=place.home, config=SimpleNamespace(mail=server, file="c.yml"))
    sensor = mails_due(workspace)
    with DagsterInstance.ephemeral() as instance:

        def request() -> Any:
            return sensor(build_sensor_context(instance=instance))

        assert isinstance(request(), SkipReason)
        subscribe(place, "east@harbor")
        assert request() == RunRequest(run_key=None)
        mail_job = send_mail(workspace)
        run = instance.create_run_for_job(mail_job, status=DagsterRunStatus.STARTED)
        assert "being sent" in str(request().skip_message)
        instance.report_run_failed(run)
        assert request() == RunRequest(run_key=None)
        send_due(place.home, server)
        assert isinstance(request(), SkipReason)
        workspace.config.mail = None
        assert "no mail server" in str(request().skip_message)


@given(
    every=st.sampled_from(EVERY),
    delay_days=st.integers(0, 6),
    today=st.dates(date(2024, 1, 1), date(2030, 12, 31)),
)
def test_the_last_period_is_whole_has_waited_and_is_the_last(every: str, delay_days: int, today: date) -> None:
    def period(day: date) -> tuple[date, date]:
        return last_period(subscription_of(every, delay_days), day)

    start, end = period(today)
    assert delay_days <= LONGEST_DELAYS[every]
    assert end + timedelta(days=delay_days) < today
    assert (
        (start.weekday(), end.weekday()) == (0, 6)
        if every == "week"
        else start.day == (end + timedelta(days=1)).day == 1
    )
    # The next period begins where this one ends, and none is left out.
    following = [period(today + timedelta(days=days)) for days in range(32)]
    starts = list(dict.fromkeys(following))
    assert all(later[0] == earlier[1] + timedelta(days=1) for earlier, later in itertools.pairwise(starts))


def subscription_of(every: str, delay_days: int) -> Subscription:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    names = {"tenant_id": "harbor", "email": "a@harbor", "page": "overview", "file_format": "", "made_by": "a@harbor"}
    return Subscription(
        subscription_id=1, every=every, delay_days=delay_days, has_password=False, made_at=moment, ended_at=None,
        ended_because="", **names,
    )  # fmt: skip
