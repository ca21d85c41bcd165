"""Closes a month: freezes every figure of the published version, so that a later change cannot go unnoticed.

    close_month(home, principal, date(2026, 9, 1)) -> Close
    reopen_month(home, principal, date(2026, 9, 1), because="wrong fee schedule") -> Close

Only an administrator of the organisation closes and reopens; both are audited, refusals too. A month that has not ended in the
tenant's zone is never closed, one that is closed already is not closed again, and one whose data lack something only with a
reason. What plausibility doubts of it is kept with the close. What later changes become is in `serving.closed_months.restate`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from foundation import duck, formats
from foundation.errors import AccessError, ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from serving.closed_months.figures import FIGURES, Asked, Whole, everything, figures, labels, open_whole
from serving.model import NothingPublished, Version
from serving.people.principal import Principal
from serving.people.rights import ROLES
from serving.people.store import AccessStore
from serving.plausibility import published_findings
from serving.versions.closes import (
    Close,
    close_of,
    closes,
    figures_file,
    keys_of,
    last_day,
    locked,
    record,
    record_reopened,
)
from serving.versions.health import published_health
from serving.versions.store import current_version, files_of

DAYS_NAMED = 5


class IncompleteMonth(ClinicmartError):
    """The data of the month lack something; `missing` says what, a sentence each."""

    def __init__(self, month: date, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        lacks = "; ".join(missing)
        super().__init__(
            f"{month:%Y-%m} cannot be closed: {lacks}. Deliver what is missing and run again, or close it as it is with "
            "--accept-incomplete and a reason"
        )


def close_month(
    home: Home,
    principal: Principal,
    month: date,
    *,
    accept_incomplete: str | None = None,
    now: datetime | None = None,
) -> Close:
    """Freezes a month (its first day) from the served version. `accept_incomplete` is the reason to close it incomplete.

    Raises AccessError for anybody but an administrator of the organisation, NothingPublished, ConfigurationError for a month
    that has not ended or is closed, IncompleteMonth where data are missing and no reason is given.
    """
    moment = now or datetime.now(UTC)

    def work() -> Close:
        with locked(home, principal.tenant_id):
            version = _version(home, principal.tenant_id)
            before = _refuse(home, version, month, moment)
            missing = missing_data(home, version, month)
            if missing and not (accept_incomplete or "").strip():
                raise IncompleteMonth(month, missing)
            close = Close(
                tenant_id=principal.tenant_id,
                month=month,
                number=len(before) + 1,
                version=version.version,
                run_id=version.run_id,
                closed_at=moment,
                closed_by=principal.email,
                figures=0,
                missing=missing,
                accepted_because=(accept_incomplete or "").strip() if missing else "",
                doubts=_doubts(home, version, month),
            )
            close = _freeze(home, version, close)
            record(home, close)
            return close

    return _audited(home, principal, month, "month closed", work)


def reopen_month(home: Home, principal: Principal, month: date, *, because: str, now: datetime | None = None) -> Close:
    """Reopens the standing close of a month; its figures and restatements stay. Raises as `close_month` does."""

    def work() -> Close:
        if not because.strip():
            raise ConfigurationError("reopening a month needs a reason")
        with locked(home, principal.tenant_id):
            close = close_of(home, principal.tenant_id, month)
            if not close.stands:
                raise ConfigurationError(f"{close.name} is open: it was reopened by {close.reopened_by}")
            moment = now or datetime.now(UTC)
            return record_reopened(home, close, at=moment, by=principal.email, because=because.strip())

    return _audited(home, principal, month, "month reopened", work)


def _audited(home: Home, principal: Principal, month: date, action: str, work: Callable[[], Close]) -> Close:
    """Does the work for an administrator, and notes in the audit log how it ended."""
    access = AccessStore.open(home)
    detail: dict[str, object] = {"month": f"{month:%Y-%m}"}
    try:
        if not ROLES[principal.role].closes_months:
            raise AccessError("only an administrator of the organisation closes and reopens months")
        close = work()
    except ClinicmartError as error:
        detail["reason"] = str(error)
        access.audit(principal.tenant_id, principal.email, action, detail=detail, result="refused")
        raise
    detail |= {"close": close.number, "version": close.version, "figures": close.figures}
    detail |= {"accepted_because": close.accepted_because, "missing": list(close.missing)} if close.missing else {}
    detail |= {"doubts": list(close.doubts)} if close.doubts else {}
    detail |= {"because": close.reopened_because} if close.reopened_because else {}
    access.audit(principal.tenant_id, principal.email, action, detail=detail)
    return close


def _version(home: Home, tenant_id: str) -> Version:
    version = current_version(home, tenant_id)
    if version is None:
        raise NothingPublished("nothing is published yet; run the pipeline first")
    return version


def _refuse(home: Home, version: Version, month: date, now: datetime) -> list[Close]:
    """The earlier closes of a month that may be closed now."""
    zone = time_zone(home, version)
    today = now.astimezone(ZoneInfo(zone)).date()
    if today <= last_day(month):
        raise ConfigurationError(f"{month:%Y-%m} has not ended yet: it is {today} in {zone}")
    before = [close for close in closes(home, version.tenant_id) if close.month == month]
    if before and before[-1].stands:
        raise ConfigurationError(
            f"{month:%Y-%m} was closed on {before[-1].closed_at.astimezone(ZoneInfo(zone)):%d %b %Y} by "
            f"{before[-1].closed_by}; reopen it first"
        )
    return before


def time_zone(home: Home, version: Version) -> str:
    """The tenant's zone, as a version says."""
    key = Keys.of(home).derive_all_hex("published", version.tenant_id)
    with duck.session(home) as connection:
        path = files_of(home, version.tenant_id, version.version).base
        duck.attach(connection, path, alias="base", key=key, read_only=True)
        row = connection.execute(
            "select time_zone from base.marts.dim_tenants where tenant_id = $tenant", {"tenant": version.tenant_id}
        ).fetchone()
    if row is None:
        raise AccessError("the published file is not this tenant's; publish again")
    return str(row[0])


def missing_data(home: Home, version: Version, month: date) -> tuple[str, ...]:
    """What the data of a month lack, a sentence each, as coverage and alerts of the version tell it.

    Coverage is known for the last eight weeks of each feed; of months before that only alerts that still stand tell.
    """
    health, last, sentences = published_health(home, version), last_day(month), []
    if version.data_as_of is None or version.data_as_of < last:
        reach = "no feed says" if version.data_as_of is None else f"only to {version.data_as_of}"
        sentences.append(f"the data reach {reach}, not to the end of the month")
    days = health.coverage.filter((pl.col("status") == "missing") & pl.col("day").is_between(month, last))
    for (feed,), lines in sorted(days.group_by("feed")):
        named = lines["day"].sort().to_list()
        more = f" and {len(named) - DAYS_NAMED} more" if len(named) > DAYS_NAMED else ""
        listed = ", ".join(f"{day:%d %b}" for day in named[:DAYS_NAMED])
        sentences.append(f"feed {feed} brought nothing for {listed}{more}")
    for row in health.alerts.sort("feed").to_dicts():
        is_named = any(sentence.startswith(f"feed {row['feed']} ") for sentence in sentences)
        if not is_named and (row["since"] is None or row["since"] <= last):
            sentences.append(f"feed {row['feed']}: {str(row['message']).rstrip('.')}")
    return tuple(sentences)


def _doubts(home: Home, version: Version, month: date) -> tuple[str, ...]:
    """Findings of plausibility about the month, a sentence each; they do not prevent its close."""
    findings = published_findings(home, version)
    return tuple(finding.headline() for finding in findings if finding.touches_days(month, last_day(month)))


def _freeze(home: Home, version: Version, close: Close) -> Close:
    """Writes the figures of a close under their final name; they count once the close is recorded."""
    whole = open_whole(home, version)
    try:
        asked = everything(whole.metrics)
        frozen = figures(whole.metrics, asked, [close.month])
        path = figures_file(home, close)
        temporary = path.with_name(f".{path.name}.part")
        _write(home, close, temporary, whole, asked, frozen)
    finally:
        whole.close()
    temporary.chmod(0o600)
    temporary.replace(path)
    return close.model_copy(update={"figures": frozen.height})


def _write(home: Home, close: Close, path: Path, whole: Whole, asked: Sequence[Asked], frozen: pl.DataFrame) -> None:
    """The encrypted file of a close: `asked`, `figure`, `metric`."""
    for left in (path, path.with_name(f"{path.name}.wal")):
        left.unlink(missing_ok=True)
    texts = [(name, *words) for name, words in sorted(labels(whole.metrics).items())]
    frames = {
        "asked": pl.DataFrame([vars(item) for item in asked], schema=["metric", "grain", "dimension"]),
        "figure": frozen.sort("metric", "grain", "dimension", "member", "period"),
        "metric": pl.DataFrame(texts, schema=["metric", "label", "unit", "module"], orient="row"),
    }
    with duck.session(home) as connection:
        duck.attach(connection, path, alias="close", key=keys_of(home, close.tenant_id))
        for name, frame in frames.items():
            connection.register("rows_of_close", frame.to_arrow())
            connection.execute(f"create table close.{name} as from rows_of_close")
            connection.unregister("rows_of_close")
        duck.note_number(connection, "close", formats.FIGURES)
        connection.execute("checkpoint close")
        connection.execute("detach close")


def read_figures(home: Home, close: Close) -> tuple[pl.DataFrame, tuple[Asked, ...]]:
    """(figures, questions) that a close froze."""
    with duck.session(home) as connection:
        key = keys_of(home, close.tenant_id)
        duck.attach(connection, figures_file(home, close), alias="close", key=key, read_only=True)
        figures_read = connection.execute("from close.figure").pl().cast(FIGURES)  # type: ignore[arg-type]
        asked = tuple(Asked(*row) for row in connection.execute("from close.asked").fetchall())
    return figures_read, asked


def read_labels(home: Home, close: Close) -> pl.DataFrame:
    """(metric, label, unit, module) as they were when the month was closed."""
    with duck.session(home) as connection:
        key = keys_of(home, close.tenant_id)
        duck.attach(connection, figures_file(home, close), alias="close", key=key, read_only=True)
        return connection.execute("from close.metric").pl()


def next_month(month: date) -> date:
    """The first day of the month after."""
    return last_day(month) + timedelta(days=1)
