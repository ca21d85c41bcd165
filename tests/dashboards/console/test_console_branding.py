"""Branding over HTTP: set in the console, shown on the organization's own sign-in page and nowhere else."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from dashboards import served_home
from dashboards.server import auth_gate
from serving.brand_rules import MOST_LOGO_BYTES
from serving.people.branding import PLAIN
from tests.dashboards.conftest import Browser

ADDRESS = "/console/branding"


def picture(kind: str = "PNG") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (200, 50), "#7a1f5c").save(written, format=kind)
    return written.getvalue()


def sent(root: Browser, logo: bytes = b"", token: str = "", origin: str = "", **fields: str) -> Any:
    session = root.client.cookies.get(auth_gate.SESSION_COOKIE, "")
    wanted = {"token": token or auth_gate.form_token("console", session), "tenant": "harbor"} | fields
    files = {"logo": ("logo.png", logo, "image/png")}
    headers = {"origin": origin or root.base, "accept": "text/html"}
    return root.client.post(root.base + ADDRESS, data=wanted, files=files, headers=headers, follow_redirects=False)


def test_it_shows_at_the_own_address_alone(
    served: served_home.Served, root: Browser, browser: Callable[..., Browser]
) -> None:
    answer = sent(root, picture(), display_name="Harbor <Group>", accent="#7A1F5C")
    assert "The branding is saved" in answer.text
    assert 'value="Harbor &lt;Group&gt;"' in answer.text
    page = browser("http://harbor.localhost:8501").get("/signin").text
    assert "Sign in to Harbor &lt;Group&gt;" in page
    assert '<img class="cm-logo" src="data:image/png;base64,' in page
    assert "--cm-accent: #7a1f5c;" in page
    dark = served.access.brandings.of_tenant("harbor").accent_dark
    assert f"--cm-accent: {dark};" in page
    for base in ("http://mesa.localhost:8501", "http://localhost:8501"):
        other = browser(base).get("/signin").text
        assert "Group" not in other
        assert '<img class="cm-logo"' not in other
        assert "#7a1f5c" not in other
    # Without a file the logo stays, until it is removed.
    assert "is saved" in sent(root, display_name="Harbor").text
    assert served.access.brandings.of_tenant("harbor").logo
    assert "is saved" in sent(root, display_name="Harbor", remove_logo="yes").text
    assert not served.access.brandings.of_tenant("harbor").logo


@pytest.mark.parametrize(
    ("fields", "logo", "words"),
    [
        ({"accent": "#f0a0c0"}, b"", "the nearest colour that passes is #"),
        ({"accent": "red"}, b"", "is not a colour"),
        ({}, b"<svg onload=alert(1)>", "a picture in PNG or JPEG"),
        ({}, picture("GIF"), "a picture in PNG or JPEG"),
        ({"display_name": "x" * 61}, b"", "display name"),
    ],
)
def test_what_is_refused_changes_nothing(
    served: served_home.Served, root: Browser, fields: dict[str, str], logo: bytes, words: str
) -> None:
    answer = sent(root, logo, **fields)
    assert answer.status_code == 422
    assert words in answer.text
    assert "onload" not in answer.text
    assert served.access.brandings.of_tenant("harbor") == PLAIN


def test_strangers_and_large_bodies_are_refused(
    served: served_home.Served, root: Browser, browser: Callable[..., Browser]
) -> None:
    assert sent(root, b"x" * (MOST_LOGO_BYTES + 10_000)).status_code == 413
    assert sent(root, display_name="x", token="0" * 64).status_code == 403
    assert sent(root, display_name="x", origin="https://evil.example").status_code == 403
    assert sent(root, display_name="x", tenant="nowhere").status_code == 403
    person = browser()
    assert sent(person, display_name="x").status_code == 403
    person.sign_in()
    assert sent(person, display_name="x").status_code == 403
    assert served.access.brandings.of_tenant("harbor") == PLAIN
