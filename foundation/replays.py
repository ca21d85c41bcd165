"""A replayed home: its marts hold what an earlier day knew (`clinicmart replay`).

The file `replay.json` of such a home says up to which moment it was rebuilt. What is worked out from its rows is worked out as of that
moment. It takes no feeds: rows of later days would mix with those of the day, under other keys than the tokens in them.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from foundation import formats
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.kept_files import KeptFile

RECORD = "replay.json"


class FirstLoad(BaseModel):
    """How much of a feed came at once. `rows` are those landed by the moment of the replay, `first_rows` those of the first run that
    landed any, at `first_landed_at` (UTC)."""

    model_config = ConfigDict(frozen=True)
    tenant_id: str
    feed: str
    rows: int
    first_rows: int
    first_landed_at: datetime

    @property
    def share(self) -> float:
        """The part of the rows that landed in the first load, 0 to 1."""
        return self.first_rows / self.rows if self.rows else 0.0


class ReplayRecord(KeptFile):
    """`replay.json`: `as_of` as it was asked, `moments` the moment (UTC) for each tenant, and how much of each feed came at once."""

    FORMAT = formats.REPLAY
    as_of: str
    moments: dict[str, datetime]
    first_loads: tuple[FirstLoad, ...] = ()

    @classmethod
    def of(cls, home: Home) -> "ReplayRecord | None":
        """The record of a home; None for a home that reads feeds."""
        return cls.read(home.path / RECORD)


def moments_of(home: Home) -> Mapping[str, datetime]:
    """Tenant to the moment (UTC) that its rows are looked at; empty in a home that reads feeds, where it is now."""
    record = ReplayRecord.of(home)
    return {} if record is None else record.moments


def refuse_feeds(home: Home) -> None:
    """Raises ConfigurationError in a replayed home, before anything is read into it."""
    record = ReplayRecord.of(home)
    if record is not None:
        raise ConfigurationError(
            f"{home.path} holds the marts as of {record.as_of} and takes no feeds; name the home that reads the feeds, or replay another "
            "day into a new folder"
        )


def moment_of(as_of: str, time_zone: str) -> datetime:
    """The moment (UTC) that a text names: a day (its end in the tenant's zone), a moment in ISO 8601 (UTC where it has no offset), or the
    name of a published version. Raises ConfigurationError for other texts and for moments to come."""
    try:
        day = date.fromisoformat(as_of)
    except ValueError:
        moment = _moment(as_of)
    else:
        moment = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(time_zone)).astimezone(UTC)
        # Today has an end that is to come; what had landed by then is what has landed now.
        if day == datetime.now(ZoneInfo(time_zone)).date():
            moment = datetime.now(UTC)
    if moment > datetime.now(UTC):
        raise ConfigurationError(f"--as-of {as_of} is still to come")
    return moment


def _moment(text: str) -> datetime:
    try:
        # Also the name of a version, which is the moment at which it was made.
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            f"--as-of {text!r} is not a day such as 2026-10-31, a moment such as 2026-10-31T05:00:00+00:00, or the name of a version"
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def new_folder(target: Path) -> Path:
    """The folder of a new home, as an absolute path. Raises ConfigurationError where something is there."""
    folder = target.expanduser().resolve()
    if folder.exists() or folder.is_symlink():
        raise ConfigurationError(f"{folder} is there already; name a new folder for the replay")
    return folder
