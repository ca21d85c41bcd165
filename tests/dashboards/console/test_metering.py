"""Metering: people and modules by month, as CSV and as a signed message to a billing system."""

import base64
import csv
import hashlib
import hmac
import http.server
import io
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import ClassVar

import pytest

from dashboards import served_home
from foundation.errors import ConfigurationError
from serving.metering import metered
from serving.metering_webhook import send
from serving.people.principal import PLATFORM
from tests.dashboards.conftest import Browser
from tests.dashboards.console.forms import ROOT
from tests.support import clinicmart_here


class Billing(http.server.BaseHTTPRequestHandler):
    """A billing system: it keeps what it was sent, and answers with `status`."""

    status = 204
    messages: ClassVar[list[tuple[dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.messages.append((dict(self.headers.items()), body))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def billing() -> Iterator[str]:
    """The address of a billing system that runs."""
    Billing.status = 204
    Billing.messages.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Billing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hooks"
    server.shutdown()
    server.server_close()


def test_metering_counts_people_and_modules_of_each_month(served: served_home.Served, root: Browser) -> None:
    store = served.access
    for email in ("admin@harbor", "admin@harbor"):
        session = store.create_session(store.principal("harbor", email))
        assert session
    today = datetime.now(UTC).date()
    (harbor, mesa) = metered(store, today, today)
    assert (harbor.tenant_id, mesa.tenant_id) == ("harbor", "mesa")
    assert not harbor.complete
    assert "extracts" in harbor.modules
    store.set_module("harbor", "extracts", granted=False, actor="test")
    assert "extracts" not in metered(store, today, today)[0].modules
    # Of a month that ended before there was the organization nothing is charged.
    assert metered(store, date(2020, 1, 1), date(2020, 2, 1)) == ()
    month = f"{today:%Y-%m}"
    answer = root.get(f"/console/metering.csv?from={month}&to={month}")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["month"], row["tenant"], row["complete"]) for row in rows] == [
        (month, "harbor", "no"),
        (month, "mesa", "no"),
    ]
    assert "extracts" not in rows[0]["modules"].split()
    assert store.audit_rows(PLATFORM, action="metering exported")[0].actor == ROOT
    for wrong in ("from=2026-13&to=2026-13", "from=&to=", "from=2019-01&to=2026-01", f"from={month}&to=2999-01"):
        assert root.get(f"/console/metering.csv?{wrong}").status_code == 422
    with pytest.raises(ConfigurationError):
        metered(store, date(2026, 2, 1), date(2026, 1, 1))


def test_people_are_counted_once_a_month_by_what_they_did_while_signed_in(
    served: served_home.Served, browser: Callable[..., Browser]
) -> None:
    today = datetime.now(UTC).date()
    assert [row.people for row in metered(served.access, today, today)] == [0, 0]
    for _ in range(2):
        visitor = browser("http://harbor.localhost:8501")
        visitor.sign_in()
        visitor.get("/no_show")
        served_home.access()
    # What the operator does counts nobody.
    served.access.audit("harbor", "operator", "list")
    counted = metered(served.access, today, today)
    assert [row.people for row in counted] == [1, 0]


def test_metering_is_sent_signed_and_can_be_sent_again(
    served: served_home.Served, billing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "a secret of the billing system 7"
    monkeypatch.setenv("BILLING_SECRET", secret)
    month = f"{datetime.now(UTC):%Y-%m}"
    words = ("tenants", "metering", "--home", served.home.path, "--from", month)
    for _ in range(2):
        ran = clinicmart_here(*words, "--post", billing, "--secret-env", "BILLING_SECRET")
        assert ran.code == 0, ran.err
    first, second = Billing.messages
    assert first[0]["webhook-id"] == second[0]["webhook-id"]
    headers, body = first
    kept = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.new(secret.encode(), kept, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{digest}"
    rows = json.loads(body)["data"]
    assert [(row["tenant_id"], row["month"], row["complete"]) for row in rows] == [
        ("harbor", month, False),
        ("mesa", month, False),
    ]
    Billing.status = 503
    ran = clinicmart_here(*words, "--post", billing, "--secret-env", "BILLING_SECRET")
    assert (ran.code, "with status 503" in ran.err) == (2, True)
    results = [row.result for row in served.access.audit_rows(PLATFORM, action="metering sent")]
    assert results == ["refused", "done", "done"]


@pytest.mark.parametrize(
    ("url", "secret", "words"),
    [
        ("http://billing.example/hooks", "a secret of the billing system 7", "begins with https"),
        ("ftp://127.0.0.1/", "a secret of the billing system 7", "begins with https"),
        ("https://billing.example/hooks", "short", "at least 24 bytes"),
        ("http://127.0.0.1:9/", "a secret of the billing system 7", "127.0.0.1 does not answer"),
        ("https://", "a secret of the billing system 7", "does not answer"),
    ],
)
def test_metering_that_cannot_be_sent_says_why_without_the_secret(url: str, secret: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as raised:
        send((), url, secret)
    assert secret not in str(raised.value)
