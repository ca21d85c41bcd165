"""Sends metering to a billing system: one signed POST, as of Standard Webhooks 1.0.0 (github.com/standard-webhooks/standard-webhooks).

webhook-id         the same for the same rows, so that a receiver can drop what comes again
webhook-timestamp  seconds since 1970
webhook-signature  v1,BASE64(HMAC-SHA-256(secret, "ID.TIMESTAMP.BODY"))
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx

from foundation.errors import ConfigurationError
from foundation.exposure import is_loopback
from serving.metering import Metered

TIMEOUT_SECONDS = 30
# Shorter secrets can be guessed; the specification asks for 24 bytes.
SHORTEST_SECRET = 24


def send(rows: Sequence[Metered], url: str, secret: str, now: datetime | None = None) -> str:
    """Posts the rows as JSON and returns the id of the message. Nothing is sent twice by itself: run it again after a failure.

    Raises ConfigurationError for an address without TLS that is not of this machine, for a short secret, and where the receiver does not
    answer with 2xx; the message names the host and never the secret.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ConfigurationError("the address of a billing system begins with https://")
    if len(secret.encode()) < SHORTEST_SECRET:
        raise ConfigurationError(f"the secret of a webhook has at least {SHORTEST_SECRET} bytes")
    body = body_of(rows)
    message_id = f"metering_{hashlib.sha256(body).hexdigest()[:24]}"
    headers = {"content-type": "application/json", **signed(body, message_id, secret, now or datetime.now(UTC))}
    try:
        answer = httpx.post(url, content=body, headers=headers, timeout=TIMEOUT_SECONDS, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConfigurationError(
            f"{parts.hostname} does not answer ({type(error).__name__}); send it again later"
        ) from None
    if not answer.is_success:
        raise ConfigurationError(f"{parts.hostname} refuses the metering with status {answer.status_code}")
    return message_id


def body_of(rows: Sequence[Metered]) -> bytes:
    """The JSON: `type`, and `data` with a row for each organization and month, in a fixed order."""
    data = [{**asdict(row), "month": f"{row.month:%Y-%m}"} for row in rows]
    return json.dumps({"type": "metering", "data": data}, sort_keys=True, ensure_ascii=False).encode()


def signed(body: bytes, message_id: str, secret: str, now: datetime) -> dict[str, str]:
    """The headers of a message."""
    timestamp = str(int(now.timestamp()))
    digest = hmac.new(secret.encode(), f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
