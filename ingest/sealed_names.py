"""Names of feed files in the ledger, encrypted: in some systems a file is named after the patient whom it is about.

The encryption is deterministic (AES-SIV, RFC 5297): the same name gives the same bytes under the key of a home, so that a name is
found by an index and compared in SQL. Without the key, the database shows which units have equal names and how long names are, and
nothing else.

    sa.Column("name", SealedName, nullable=False)

SQL asks for `seal_name(?)` where it compares or writes, and for `open_name(column)` in what it answers with. SQLite calls back these
functions, which `register` gives to each connection.
"""

import base64
import sqlite3
from collections.abc import Callable
from functools import cache
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from foundation.keys import Keys

# What a sealed name begins with: the number of this form.
_FORM = "siv1:"
_PURPOSES = ("ledger names, authentication", "ledger names, encryption")


class SealedName(sa.String):
    """Text that the database keeps encrypted and that Python sees as it is."""

    cache_ok = True

    def bind_expression(self, bindvalue: sa.BindParameter[str]) -> sa.ColumnElement[str]:
        return sa.func.seal_name(bindvalue, type_=self)

    def column_expression(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        return sa.func.open_name(column, type_=self)


def register(keys: Keys) -> Callable[[sqlite3.Connection], None]:
    """A function that teaches a connection to seal and open names under the key of a home. The key is derived with the first name: the
    process that serves pages has no such key, and counts what is in the ledger without names."""

    @cache
    def cipher() -> AESSIV:
        return AESSIV(b"".join(keys.derive(purpose) for purpose in _PURPOSES))

    def seal_name(name: str | None) -> str | None:
        if not name:
            return name
        return _FORM + base64.b64encode(cipher().encrypt(name.encode("utf-8", "surrogateescape"), None)).decode()

    def open_name(sealed: str | None) -> str | None:
        if not sealed:
            return sealed
        if not sealed.startswith(_FORM):
            raise ValueError("a name in the ledger is not sealed")
        return cipher().decrypt(base64.b64decode(sealed[len(_FORM) :]), None).decode("utf-8", "surrogateescape")

    def teach(connection: sqlite3.Connection) -> None:
        connection.create_function("seal_name", 1, seal_name, deterministic=True)
        connection.create_function("open_name", 1, open_name, deterministic=True)

    return teach
