"""A published home whose tenants send mail, and a mail server that runs."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from dashboards import data
from foundation.home import Home
from foundation.mail_server import MailServer
from tests.dashboards.conftest import new_home
from tests.dashboards.delivery.senders import Mailbox, settings
from tests.serving.conftest import Place, _copied, _published_once  # noqa: F401


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home without mails and alerts of other tests."""
    return new_home(tmp_path / "without_mails")


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def server(mailbox: Mailbox) -> Iterator[MailServer]:
    """The settings of a mail server that runs."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield settings(port)
    controller.stop()


@pytest.fixture
def place(_published_once: Place, tmp_path: Path) -> Iterator[Place]:  # noqa: F811
    data._answer.clear()
    copied = _copied(_published_once, tmp_path)
    for tenant in ("harbor", "mesa"):
        copied.access.subscriptions.set_rule(tenant, [tenant], "figures", actor="test")
    yield copied
    data._answer.clear()
