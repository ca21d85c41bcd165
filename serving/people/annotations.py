"""What people wrote about days: a sentence on a day or on several, for a service unit or the whole tenant. Kept in `access.sqlite`.

    store.add(annotation)          a new annotation; returns it with its id
    store.change(annotation)       a new version of it; nothing is overwritten
    store.standing()               the last version of each that is not removed
    store.is_author(id, email)     whether the present holder of a user name wrote it

A sentence may name a person although it should not, so that it is sealed (AES-SIV, RFC 5297) and no audit row holds it. Who may read,
write and change one is checked in `serving.annotations`.
"""

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from sqlalchemy import Connection, Engine, RowMapping, func, insert, select

from foundation.keys import Keys
from serving.people.holders import is_of_holder
from serving.people.tables import ANNOTATION
from serving.people.targets import WHOLE, Audits


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One version of an annotation of the days from `first_day` to `last_day`.

    `service_unit_id` is WHOLE for the tenant. `page` is the key of a page of figures and `metric` the name of a metric; both are empty
    for an annotation of all figures. `author` wrote the first version, `set_by` this one; `set_at` is UTC.
    """

    sentence: str
    first_day: date
    last_day: date
    service_unit_id: str = WHOLE
    page: str = ""
    metric: str = ""
    annotation_id: str = ""
    author: str = ""
    set_by: str = ""
    set_at: datetime | None = None
    is_removed: bool = False

    @property
    def detail(self) -> dict[str, object]:
        """What audit rows say of it; never the sentence."""
        return {
            "unit": self.service_unit_id,
            "from": self.first_day.isoformat(),
            "to": self.last_day.isoformat(),
            "page": self.page,
            "metric": self.metric,
        }


class Annotations:
    """The annotations of one tenant."""

    def __init__(
        self,
        *,
        keys: Keys,
        tenant_id: str,
        reading: Engine,
        writing: Callable[[], AbstractContextManager[Connection]],
        audit: Audits,
    ) -> None:
        self._keys, self._tenant_id = keys, tenant_id
        self._reading, self._writing, self._audit = reading, writing, audit

    def add(self, annotation: Annotation) -> Annotation:
        """Adds an annotation and an audit row without the sentence. Returns it with its new id."""
        made = replace(annotation, annotation_id=secrets.token_hex(4), author=annotation.set_by)
        self._write(made, "annotation added")
        return made

    def change(self, annotation: Annotation) -> None:
        """Adds a version of an annotation, and an audit row without the sentence; `is_removed` removes it."""
        self._write(annotation, "annotation removed" if annotation.is_removed else "annotation changed")

    def versions(self) -> tuple[Annotation, ...]:
        """Every version, also of removed annotations, in the order in which they were written."""
        query = select(ANNOTATION).where(ANNOTATION.c.tenant_id == self._tenant_id).order_by(ANNOTATION.c.version_id)
        with self._reading.connect() as connection:
            rows = connection.execute(query).mappings().all()
        if not rows:
            # No key is read.
            return ()
        cipher = self._cipher()
        return tuple(_annotation(row, cipher) for row in rows)

    def standing(self) -> tuple[Annotation, ...]:
        """The last version of each annotation that is not removed, by first day."""
        last = {version.annotation_id: version for version in self.versions()}
        kept = (version for version in last.values() if not version.is_removed)
        return tuple(sorted(kept, key=lambda version: (version.first_day, version.annotation_id)))

    def is_author(self, annotation_id: str, email: str) -> bool:
        """Whether the present holder of a user name wrote the first version of an annotation, not an earlier holder who left."""
        is_of_it = (ANNOTATION.c.tenant_id == self._tenant_id) & (ANNOTATION.c.annotation_id == annotation_id)
        first = select(func.min(ANNOTATION.c.version_id)).where(is_of_it).scalar_subquery()
        own = is_of_holder(ANNOTATION, email, "set_at", "author")
        query = select(ANNOTATION.c.version_id).where(ANNOTATION.c.version_id == first, own)
        with self._reading.connect() as connection:
            return connection.execute(query).first() is not None

    def _write(self, annotation: Annotation, action: str) -> None:
        sealed = self._cipher().encrypt(annotation.sentence.encode(), [annotation.annotation_id.encode()]).hex()
        values = {
            "annotation_id": annotation.annotation_id,
            "service_unit_id": annotation.service_unit_id,
            "first_day": annotation.first_day,
            "last_day": annotation.last_day,
            "page": annotation.page,
            "metric": annotation.metric,
            "author": annotation.author,
            "is_removed": annotation.is_removed,
        }
        with self._writing() as connection:
            connection.execute(
                insert(ANNOTATION).values(
                    **values,
                    tenant_id=self._tenant_id,
                    sentence=sealed,
                    set_by=annotation.set_by,
                    set_at=datetime.now(UTC),
                )
            )
            detail = {"annotation": annotation.annotation_id, **annotation.detail, "author": annotation.author}
            self._audit(connection, self._tenant_id, annotation.set_by, action, detail)

    def _cipher(self) -> AESSIV:
        return AESSIV(bytes.fromhex(self._keys.derive_for_scope("annotation", self._tenant_id, "")))


def _annotation(row: RowMapping, cipher: AESSIV) -> Annotation:
    return Annotation(
        sentence=cipher.decrypt(bytes.fromhex(row["sentence"]), [row["annotation_id"].encode()]).decode(),
        first_day=row["first_day"],
        last_day=row["last_day"],
        service_unit_id=row["service_unit_id"],
        page=row["page"],
        metric=row["metric"],
        annotation_id=row["annotation_id"],
        author=row["author"],
        set_by=row["set_by"],
        set_at=row["set_at"],
        is_removed=row["is_removed"],
    )
