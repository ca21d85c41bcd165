"""Who gets which page by mail: passwords of files, what is refused, the commands and the page."""

import io
from pathlib import Path
from typing import Any

import pypdf
import pytest
import streamlit

from dashboards.delivery.send import send_due
from foundation.errors import AccessError, ConfigurationError
from foundation.mail_server import MailServer
from serving.people import subscriptions
from serving.people.store import AccessStore
from serving.subscribing import Subscribing
from tests.dashboards.delivery.senders import APRIL, PASSWORD, Mailbox, attached, states, subscribe
from tests.serving.conftest import Place
from tests.support import clinicmart_here


@pytest.mark.parametrize(
    ("content", "file_format", "password", "words"),
    [
        ("figures", "pdf", PASSWORD, ""),
        ("figures", "pdf", "", ""),
        ("figures", "xlsx", PASSWORD, "opens a PDF only"),
        ("figures", "", PASSWORD, "opens a PDF only"),
        ("figures", "pdf", "vier ruhige Möwen 7", "common signs only"),
        ("figures", "pdf", "four quiet\therons 7", "common signs only"),
        ("encrypted", "", PASSWORD, ""),
        ("encrypted", "pdf", PASSWORD, ""),
        ("encrypted", "pdf", "", "give a password"),
        ("encrypted", "xlsx", PASSWORD, "opens a PDF only"),
        ("links", "", "", ""),
    ],
)
def test_passwords_that_protect_nothing_are_refused(
    place: Place, content: str, file_format: str, password: str, words: str
) -> None:
    place.access.subscriptions.set_rule("harbor", ["harbor"], content, actor="test")
    if not words:
        made = subscribe(place, "east@harbor", file_format=file_format, password=password)
        assert made.has_password is bool(password)
        return
    with pytest.raises(ConfigurationError, match=words):
        subscribe(place, "east@harbor", file_format=file_format, password=password)


def test_a_password_comes_with_a_new_subscription_and_goes_with_its_end(
    place: Place, mailbox: Mailbox, server: MailServer
) -> None:
    store = place.access.subscriptions
    first = subscribe(place, "east@harbor", file_format="pdf")
    second = subscribe(place, "east@harbor", file_format="pdf", password=PASSWORD)
    assert store.subscription("harbor", first.subscription_id).ended_because == "replaced by one with a password"
    with pytest.raises(ConfigurationError, match="already gets"):
        subscribe(place, "east@harbor", file_format="pdf", password=PASSWORD)
    assert store.going_on() == (second,)
    store.end("harbor", second.subscription_id, because="", actor="test")
    with pytest.raises(ConfigurationError, match="has ended"):
        store.password(second)


def test_a_workbook_never_leaves_instead_of_an_encrypted_file(
    place: Place, mailbox: Mailbox, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier release took a password with a workbook."""
    with monkeypatch.context() as patch:
        patch.setattr(subscriptions, "_check_password", lambda *_: None)
        subscribe(place, "east@harbor", file_format="xlsx", password=PASSWORD)
    send_due(place.home, server, APRIL)
    ((name, content),) = attached(mailbox.to("east@harbor"))
    assert name.endswith(".pdf")
    assert pypdf.PdfReader(io.BytesIO(content)).is_encrypted


def test_wrong_subscriptions_are_refused(place: Place) -> None:
    for more, words in (
        ({"page": "nothing"}, "is not a page"),
        ({"every": "hour"}, "is not one of week, month"),
        ({"delay_days": 28}, "waits 0 to 27 days"),
        ({"every": "week", "delay_days": 7}, "waits 0 to 6 days"),
        ({"file_format": "docx"}, "is not a format"),
        ({"file_format": "pdf", "password": "short"}, "at least"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            subscribe(place, "east@harbor", **more)
    with pytest.raises(AccessError, match="does not include the page"):
        subscribe(place, "doctor@harbor", page="payer_mix")
    subscribe(place, "east@harbor")
    with pytest.raises(ConfigurationError, match="already gets"):
        subscribe(place, "east@harbor")
    with pytest.raises(AccessError, match="no subscription"):
        place.access.subscriptions.end("mesa", 1, because="", actor="admin@mesa")


def test_the_commands(place: Place, mailbox: Mailbox, server: MailServer, tmp_path: Path) -> None:
    home = ("--home", place.home.path)
    config = tmp_path / "c.yaml"
    config.write_text(
        f"mail: {{host: 127.0.0.1, port: {server.port}, security: none, sender: c@example.org, "
        "pages: 'https://{tenant}.example'}\n",
        encoding="utf-8",
    )
    for words in (
        ("subscriptions", "rule", *home, "--tenant", "harbor", "--domain", "harbor"),
        (
            "subscriptions",
            "add",
            "east@harbor",
            *home,
            "--tenant",
            "harbor",
            "--page",
            "revenue_cycle",
            "--attach",
            "xlsx",
        ),
    ):
        ran = clinicmart_here(*words)
        assert ran.code == 0, ran.err
    ran = clinicmart_here("deliver", *home, "--config", config)
    # The data end long before the last month.
    assert ran.code == 1
    assert "failed: the data reach 31 Mar 2026" in ran.out
    listed = clinicmart_here("subscriptions", "list", *home, "--tenant", "harbor")
    assert "the data reach 31 Mar 2026" in listed.out
    assert clinicmart_here("subscriptions", "end", "1", *home, "--tenant", "harbor").code == 0
    assert clinicmart_here("deliver", *home, "--config", config).out.strip() == "no mail is due"
    assert clinicmart_here("subscriptions", "end", "1", *home, "--tenant", "harbor").code == 1
    assert AccessStore.open(place.home).verify_audit().is_intact
    assert mailbox.mails == []


def test_a_person_subscribes_on_the_page_and_sees_what_was_not_sent(
    page: Any, markup_of: Any, served: Any, mailbox: Mailbox, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(streamlit.context), "ip_address", property(lambda _: "192.0.2.1"))
    test = page("reports")
    assert not test.exception
    assert "Your organization sends no mail yet" in markup_of(test)
    test.text_input[-1].set_value("harbor")
    next(button for button in test.button if button.label == "Save rule").click().run()
    assert "mail goes to harbor" in markup_of(test)
    next(button for button in test.button if button.label == "Subscribe").click().run()
    assert not test.exception
    assert "gets Overview after each month" in markup_of(test)
    # Nothing is published in this home.
    assert send_due(served.home, server, APRIL)[0].reason == "nothing is published yet for this organization"
    assert "Nothing is published yet for this organization." in markup_of(page("reports"))
    administration = page("administration")
    administration.segmented_control(key="cm_admin_view").set_value("Mail").run()
    assert "1 not sent" in markup_of(administration)
    again = page("reports")
    next(button for button in again.button if button.label == "Send it again").click().run()
    assert "the mail is tried with the next sending" in markup_of(again)
    assert states(served) == [("noted", "nothing is published yet for this organization")]
    ending = page("reports")
    next(button for button in ending.button if button.label == "End it").click().run()
    assert "the subscription has ended" in markup_of(ending)
    assert served.access.subscriptions.going_on() == ()


def test_only_administrators_act_for_others(place: Place) -> None:
    mine = subscribe(place, "admin@harbor")
    desk = Subscribing(place.access, place.access.principal("harbor", "east@harbor"))
    assert (desk.people(), desk.subscriptions(), desk.mails()) == (("east@harbor",), (), ())
    for act in (
        lambda: desk.end(mine.subscription_id),
        lambda: desk.set_rule(("evil.example",), "figures"),
        lambda: desk.send_again(1),
        lambda: desk.subscribe("admin@harbor", page="overview", every="month", delay_days=1, file_format=""),
    ):
        with pytest.raises(AccessError, match="ask your administrator"):
            act()
        assert place.access.audit_rows("harbor")[0].result == "refused"
    assert place.access.subscriptions.rule("harbor").domains == ("harbor",)
    admin = Subscribing(place.access, place.access.principal("harbor", "admin@harbor"))
    made = admin.subscribe("east@harbor", page="overview", every="week", delay_days=0, file_format="pdf")
    assert (made.email, made.made_by) == ("east@harbor", "admin@harbor")
    assert [item.subscription_id for item in desk.subscriptions()] == [made.subscription_id]
    foreign = Subscribing(place.access, place.access.principal("mesa", "admin@mesa"))
    with pytest.raises(AccessError, match="ask your administrator"):
        foreign.end(made.subscription_id)
    desk.end(made.subscription_id)
    assert desk.ended()[0].ended_because == "ended by east@harbor"
