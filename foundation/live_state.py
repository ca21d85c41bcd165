"""The live state of a tenant: what senders said today, in a small encrypted file that is replaced as a whole every few seconds.

    home/live/<tenant>.sealed     one line with the format number, 12 bytes of nonce, then AES-256-GCM of JSON

The ingest side writes it and the process that serves pages reads it. Its key follows from the tenant's key of scopes, which both hold
and nobody derives another key from. Patients are keyed tokens; no name, number or birth date of a person is in it.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import BaseModel, ConfigDict

from foundation import formats
from foundation.errors import DamagedFileError
from foundation.home import Home, write_atomically
from foundation.kept_files import KeptFile
from foundation.keys import Keys

MAGIC = b"CLINICMART LIVE "
_NONCE_BYTES = 12


class LiveFeed(BaseModel):
    """One feed that is followed: how many messages were read, and when the last one arrived (UTC), None before the first."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    name: str
    messages: int = 0
    last_message_at: datetime | None = None


class LiveState(KeptFile):
    """`written_at` (UTC) is renewed also while nothing arrives. `rows` is entity to rows of its contract, of which only columns that a
    page needs are kept; times are ISO 8601 in UTC, patients are keyed tokens."""

    FORMAT: ClassVar[int] = formats.LIVE
    written_at: datetime
    feeds: Sequence[LiveFeed] = ()
    rows: Mapping[str, Sequence[Mapping[str, Any]]] = {}


def live_path(home: Home, tenant_id: str) -> Path:
    """The file of a tenant."""
    return home.path / "live" / f"{tenant_id}.sealed"


def _cipher(keys: Keys, tenant_id: str) -> AESGCM:
    return AESGCM(bytes.fromhex(keys.derive_for_scope("live", tenant_id, "state")))


def write_live(home: Home, keys: Keys, tenant_id: str, state: LiveState) -> None:
    """Replaces the live state of a tenant, whole or not at all."""
    home.folder("live")
    head = MAGIC + str(formats.LIVE).encode() + b"\n"
    nonce = secrets.token_bytes(_NONCE_BYTES)
    content = json.dumps(state.model_dump(mode="json") | {"format": LiveState.FORMAT}).encode()
    sealed = _cipher(keys, tenant_id).encrypt(nonce, content, head + tenant_id.encode())
    write_atomically(live_path(home, tenant_id), head + nonce + sealed)


def read_live(home: Home, keys: Keys, tenant_id: str) -> LiveState | None:
    """The live state of a tenant; None where nobody follows its senders.

    Raises DamagedFileError where the file was altered or belongs to another tenant, ConfigurationError where a later release wrote it.
    """
    path = live_path(home, tenant_id)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    head, newline, sealed = content.partition(b"\n")
    if not head.startswith(MAGIC) or not head[len(MAGIC) :].isdigit():
        raise DamagedFileError(f"{path}: is not a live state; remove it, the next message writes it again")
    formats.check_not_later(path, int(head[len(MAGIC) :]), formats.LIVE)
    try:
        opened = _cipher(keys, tenant_id).decrypt(
            sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], head + newline + tenant_id.encode()
        )
        return LiveState.parse(opened, path)
    except (InvalidTag, ValueError):
        raise DamagedFileError(f"{path}: was altered; remove it, the next message writes it again") from None
