"""The payer payments that a tenant has landed, with their claims, so that a payment is recognised when it comes again in
another file, with other separators, through another feed or in parts.

    home/payments/<tenant>.sqlite
        part   name           keyed hash of what names the payment
               unit_id        the unit that brought it
               is_old_style   whether an earlier release landed its rows
               content        which claims it brought and what they were paid, sealed (AES-256-GCM)

A part counts when its unit is landed, or is being landed by the same run: what a killed run noted counts for nothing. Where
the file is missing or torn (a home of an earlier release, a lost file) it is made from the landed rows.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from foundation.home import Home
from foundation.keys import Keys
from foundation.migrations import Store, open_derived
from ingest import ledger as tables
from ingest.ledger import Ledger
from ingest.migrations import STEPS

_NONCE_BYTES = 12
_METADATA = sa.MetaData()
sa.Table(
    "part",
    _METADATA,
    sa.Column("name", sa.Integer, nullable=False),
    sa.Column("unit_id", sa.Integer, nullable=False),
    sa.Column("is_old_style", sa.Integer, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Index("part_by_name", "name"),
    sa.Index("part_by_unit", "unit_id"),
)
PAYMENTS = Store(metadata=_METADATA, steps=STEPS / "payments")


@dataclass(kw_only=True)
class PaymentPart:
    """The content of a payment in one transaction, or in all of them together.

    `claims` and `adjustments` are marks: the rest of their ids behind the remittance_id, or what `is_old_style` rows of an
    earlier release are compared by. `paid` is the sum of CLP04, `adjusted` of PLB amounts, in US dollars. `open_at` are the
    transactions, by unit and position, whose notice says that the payment does not balance.
    """

    remittance_id: str
    claims: set[str] = field(default_factory=set)
    adjustments: set[str] = field(default_factory=set)
    paid: Decimal = Decimal(0)
    adjusted: Decimal = Decimal(0)
    is_old_style: bool = False
    open_at: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: "PaymentPart") -> None:
        """Takes over what another part brought."""
        self.claims |= other.claims
        self.adjustments |= other.adjustments
        self.paid += other.paid
        self.adjusted += other.adjusted
        self.open_at += other.open_at


class PaymentMemory:
    """The payments of one tenant."""

    def __init__(self, path: Path, key: bytes, ledger: Ledger) -> None:
        self._key, self._seal, self._ledger = key, AESGCM(hashlib.sha256(b"seal" + key).digest()), ledger
        self._counting: set[int] = set()
        # Units that are being landed, and the earlier reads of the same files that they replace.
        self._replaced: dict[int, frozenset[int]] = {}
        self._connection, self.is_new = open_derived(path, PAYMENTS)

    @classmethod
    def of(cls, home: Home, keys: Keys, ledger: Ledger, tenant_id: str) -> "PaymentMemory":
        """That of a tenant; empty where `is_new`."""
        return cls(home.folder("payments") / f"{tenant_id}.sqlite", keys.derive("payments", tenant_id), ledger)

    def knows_old_style(self) -> bool:
        """Whether there are payments that an earlier release landed."""
        return self._connection.execute("select 1 from part where is_old_style limit 1").fetchone() is not None

    def close(self) -> None:
        """Gives the file back."""
        self._connection.close()

    def begin(self, unit_id: int, replaces: Sequence[int] = ()) -> None:
        """Payments kept from now on belong to this unit. Payments of the units that it `replaces` no longer count."""
        self._counting.add(unit_id)
        self._replaced[unit_id] = frozenset(replaces)

    def forget(self, unit_id: int) -> None:
        """The unit was refused: nothing of it counts."""
        self._counting.discard(unit_id)
        self._replaced.pop(unit_id, None)
        self._connection.execute("delete from part where unit_id = ?", (unit_id,))

    def keep(self, unit_id: int, parts: Iterable[tuple[str, PaymentPart]]) -> None:
        """Notes parts by the name of their payment, as brought by a unit."""
        rows = [(self._hash(name), unit_id, part.is_old_style, self._sealed(name, part)) for name, part in parts]
        self._connection.execute("begin immediate")
        self._connection.executemany("insert into part values (?, ?, ?, ?)", rows)
        self._connection.execute("commit")

    def recall(self, names: Sequence[str]) -> dict[str, PaymentPart]:
        """The known payments of these names, each with all its parts; unknown names are absent."""
        by_hash = {self._hash(name): name for name in names}
        query = "select name, unit_id, content from part where name in (select value from json_each(?)) order by rowid"
        rows = self._connection.execute(query, (json.dumps(list(by_hash)),)).fetchall()
        landed = self._landed({unit_id for _, unit_id, _ in rows})
        parts: dict[str, PaymentPart] = {}
        for hashed, unit_id, content in rows:
            if unit_id in landed:
                part = self._opened(by_hash[hashed], content)
                if by_hash[hashed] in parts:
                    parts[by_hash[hashed]].add(part)
                else:
                    parts[by_hash[hashed]] = part
        return parts

    def _landed(self, unit_ids: set[int]) -> set[int]:
        """Units that count."""
        unit_ids = unit_ids.difference(*self._replaced.values())
        landed = unit_ids & self._counting
        asked = sorted(unit_ids - landed)
        unit = tables.unit.c
        for start in range(0, len(asked), 500):
            query = sa.select(unit.unit_id).where(
                unit.unit_id.in_(asked[start : start + 500]), unit.outcome == "landed"
            )
            landed |= {int(row["unit_id"]) for row in self._ledger.rows(query)}
        return landed

    def _hash(self, name: str) -> int:
        digest = hashlib.blake2b(name.encode(), key=self._key, digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)

    def _sealed(self, name: str, part: PaymentPart) -> bytes:
        content: Mapping[str, object] = {
            "remittance_id": part.remittance_id,
            "claims": sorted(part.claims),
            "adjustments": sorted(part.adjustments),
            "paid": str(part.paid),
            "adjusted": str(part.adjusted),
            "is_old_style": part.is_old_style,
            "open_at": part.open_at,
        }
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._seal.encrypt(nonce, json.dumps(content).encode(), name.encode())

    def _opened(self, name: str, sealed: bytes) -> PaymentPart:
        content = json.loads(self._seal.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode()))
        return PaymentPart(
            remittance_id=content["remittance_id"],
            claims=set(content["claims"]),
            adjustments=set(content["adjustments"]),
            paid=Decimal(content["paid"]),
            adjusted=Decimal(content["adjusted"]),
            is_old_style=content["is_old_style"],
            open_at=[(unit_id, position) for unit_id, position in content["open_at"]],
        )
