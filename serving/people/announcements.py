"""What the platform announces on the pages of all organizations, such as hours of maintenance. Days are days in UTC."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import Connection, Engine, RowMapping, insert, select, update

from foundation.errors import AccessError, ConfigurationError
from serving.people.principal import PLATFORM
from serving.people.tables import ANNOUNCEMENT
from serving.people.targets import Audits

LONGEST_SENTENCE = 300
# So that pages begin with the page.
MOST_AT_ONCE = 3


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """A sentence that stands on the pages from `first_day` to `last_day`, both included. `ended_at` (UTC) is None unless somebody ended it
    before."""

    announcement_id: int
    sentence: str
    first_day: date
    last_day: date
    made_by: str
    made_at: datetime
    ended_at: datetime | None

    def is_shown(self, day: date) -> bool:
        """Whether it stands on the pages on a day."""
        return self.ended_at is None and self.first_day <= day <= self.last_day


class Announcements:
    """The announcements of a platform. Each change is an audit row of the platform."""

    def __init__(
        self, *, reading: Engine, writing: Callable[[], AbstractContextManager[Connection]], audit: Audits
    ) -> None:
        self._reading, self._writing, self._audit = reading, writing, audit

    def all(self) -> tuple[Announcement, ...]:
        """Every announcement, the newest first."""
        rows = select(ANNOUNCEMENT).order_by(ANNOUNCEMENT.c.announcement_id.desc())
        with self._reading.connect() as connection:
            return tuple(_announcement(row) for row in connection.execute(rows).mappings())

    def on(self, day: date) -> tuple[str, ...]:
        """The sentences that stand on the pages on a day, the oldest first."""
        columns = ANNOUNCEMENT.c
        shown = columns.ended_at.is_(None) & (columns.first_day <= day) & (columns.last_day >= day)
        query = select(columns.sentence).where(shown).order_by(columns.announcement_id)
        with self._reading.connect() as connection:
            return tuple(connection.execute(query).scalars())

    def add(self, sentence: str, first_day: date, last_day: date, *, actor: str) -> None:
        """Announces a sentence. Raises ConfigurationError for an empty or a long one, for days that are over or turned round, and where
        MOST_AT_ONCE others stand on the pages in these days."""
        text = " ".join(sentence.split())
        if not text or len(text) > LONGEST_SENTENCE or not text.isprintable():
            raise ConfigurationError(f"write a sentence of 1 to {LONGEST_SENTENCE} characters")
        if last_day < first_day or last_day < datetime.now(UTC).date():
            raise ConfigurationError("the last day is not before the first, and not over")
        columns = ANNOUNCEMENT.c
        meets = columns.ended_at.is_(None) & (columns.first_day <= last_day) & (columns.last_day >= first_day)
        made = {"made_by": actor, "made_at": datetime.now(UTC)}
        with self._writing() as connection:
            if len(connection.execute(select(columns.announcement_id).where(meets)).all()) >= MOST_AT_ONCE:
                raise ConfigurationError(f"there are {MOST_AT_ONCE} announcements in these days; end one first")
            days = {"first_day": first_day, "last_day": last_day}
            connection.execute(insert(ANNOUNCEMENT).values(sentence=text, **days, **made))
            detail = {"from": first_day.isoformat(), "to": last_day.isoformat()}
            self._audit(connection, PLATFORM, actor, "announcement made", detail)

    def end(self, announcement_id: int, *, actor: str) -> None:
        """Takes an announcement from the pages. Raises AccessError where there is no such one that goes on."""
        mine = (ANNOUNCEMENT.c.announcement_id == announcement_id) & ANNOUNCEMENT.c.ended_at.is_(None)
        with self._writing() as connection:
            if not connection.execute(update(ANNOUNCEMENT).where(mine).values(ended_at=datetime.now(UTC))).rowcount:
                raise AccessError("there is no such announcement that goes on")
            self._audit(connection, PLATFORM, actor, "announcement ended", {"announcement": announcement_id})


def _announcement(row: RowMapping) -> Announcement:
    return Announcement(**{name: row[name] for name in Announcement.__dataclass_fields__})
