"""Earlier versions that a page can show: what they are called, which is meant, and the line that says a page shows the past."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from markupsafe import Markup

from dashboards import data, markup, widgets
from dashboards import format as fmt
from dashboards.data import Source
from dashboards.view import View
from foundation.errors import ClinicmartError

MOST_DAYS = 14
NOT_KEPT = "The version that the address asks for is not kept. These are the figures of now."


def choices(source: Source) -> dict[str, str]:
    """The values that `as_of` can have, the newest first, with their words: closes that were not reopened, then the last days with a
    publication before the served version."""
    zone = ZoneInfo(source.time_zone)
    *earlier, served = source.reader.versions() or [source.reader.version]
    on = {version.version: version.published_at.astimezone(zone).date() for version in (*earlier, served)}
    closes = {f"close:{close.name}": f"As closed: {close.month:%B %Y}" for close in reversed(source.closed.standing)}
    same_day = {
        version.version: f"Published {fmt.moment(version.published_at, source.time_zone)}"
        for version in reversed(earlier[-MOST_DAYS:])
        if on[version.version] == on[served.version]
    }
    days = sorted({on[version.version] for version in earlier} - {on[served.version]}, reverse=True)
    return closes | same_day | {day.isoformat(): f"End of {fmt.day(day)}" for day in days[:MOST_DAYS]}


def opened(source: Source, view: View) -> tuple[Source, str]:
    """(the data of the version that the view names, why it cannot be shown); the served version where it names none."""
    if view.as_of == source.asked_as_of:
        return source, ""
    try:
        return data.source_of(source.principal, as_of=view.as_of), ""
    except ClinicmartError:
        return source, NOT_KEPT


def name_of(source: Source) -> str:
    """What the earlier version is called that a source shows; empty where it shows the served one."""
    asked = source.asked_as_of
    return "" if asked is None else choices(source).get(asked, asked)


def banner(source: Source, version_names: Mapping[str, str]) -> Markup:
    """The line above a page that shows an earlier version, with the way back to now."""
    asked = source.asked_as_of or ""
    published = fmt.moment(source.reader.published_at, source.time_zone)
    version_name = version_names.get(asked, "An earlier version")
    sentence = f"You see the past. {version_name}: published {published}, data to {fmt.day(source.as_of)}. Your rights are those of now."
    return markup.notice([sentence], icon=markup.MARKS["caution"], link=("Show the present", widgets.move(as_of=None)))
