"""Forms of the console, sent as its pages have them."""

import re
from typing import Any

from tests.dashboards.conftest import Browser

ROOT = "root@platform"


def sent(visitor: Browser, path: str = "/console", **fields: str) -> Any:
    """Sends a form of the console as its page has it."""
    token = re.search(
        r'action="/console"><input type="hidden" name="token" value="([0-9a-f]+)"', visitor.get(path).text
    )
    assert token is not None
    return visitor.post("/console", {"token": token[1], **fields})
