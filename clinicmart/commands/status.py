"""`clinicmart status`: what needs attention, the last run, what is published, every feed and the ledger."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import click

from clinicmart.options import home_option, json_option, print_json, print_table, recorded
from foundation.home import Home

MARKS = {"missing": " !", "short": " <", "above": " >"}
UNENDED = "did not finish, and none is running. The previously published version is still shown. Start a new run."
LEGEND = "Rows received / expected by day: ! missing, < fewer than expected, > more than expected, ? not known yet, . closed day"


@click.command()
@home_option
@click.option(
    "--reconciliation", is_flag=True, help="Show for every measure how the source total becomes the published total."
)
@json_option
@recorded
def status(home: Home, reconciliation: bool, as_json: bool) -> None:
    """Show alerts, the last run, published versions, feeds day by day, problems, and rows read, landed and in quarantine.

    docs/problems.md explains each problem code. Names of refused files are shown only here, on the server, because a file name
    can hold the name of a patient.
    """
    from foundation.keys import Keys
    from foundation.run_lock import is_held
    from ingest.accounts.status import status as ledger_status
    from ingest.ledger import Ledger

    # Asked before the ledger is: a run that ends between the two has noted how.
    at_work = is_held(home)

    ledger = Ledger(home)
    feeds_status = ledger_status(ledger, Keys.of(home))
    ledger.close()
    if feeds_status["last_run"] is not None:
        feeds_status["last_run"]["is_under_way"] = feeds_status["last_run"]["outcome"] is None and at_work
    tenants = sorted({feed["tenant_id"] for feed in feeds_status["feeds"]})
    feeds_status["published"], health, feeds_status["reconciliation"] = _published(home, tenants)
    feeds_status["plausibility"] = _findings(home, tenants)
    feeds_status |= health
    if as_json:
        print_json(feeds_status)
        return
    if feeds_status["last_run"] is None:
        click.echo("No run has started in this home. Start one with `clinicmart run`.")
        return
    if reconciliation:
        _bridges(feeds_status["reconciliation"])
        return
    _alerts(feeds_status["alerts"])
    _last_run(feeds_status)
    _reconciled(feeds_status["reconciliation"])
    _plausible(feeds_status["plausibility"])
    _feeds(feeds_status["feeds"])
    _coverage(feeds_status["coverage"])
    _unknown_words(feeds_status["unknown_words"])
    _unmatched(feeds_status)
    _notices(feeds_status)
    rows, records = feeds_status["rows"], feeds_status["records"]
    sign = "=" if feeds_status["is_conserved"] else "DOES NOT EQUAL"
    click.echo(f"Rows: {rows['read']:,} read {sign} {rows['landed']:,} landed + {rows['quarantined']:,} quarantined")
    click.echo(f"Records: {records['read']:,} read {sign} {records['used']:,} used + {records['refused']:,} refused")


def _published(
    home: Home, tenants: Sequence[str]
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]], dict[str, dict[str, Any]]]:
    """Per tenant its version and last outcome; what the published versions say of matches and conflicts; and the bridge of each."""
    from ingest.problems import with_codes
    from serving.publish.publish import current_version, outcome
    from serving.publish.reconciliation import bridge, open_of, summary
    from serving.versions.health import published_health

    published: dict[str, Any] = {}
    reconciled: dict[str, dict[str, Any]] = {}
    health: dict[str, list[dict[str, Any]]] = {
        "unmatched_references": [],
        "unmatched_remittances": [],
        "conflicts": [],
        "visits": [],
        "incomplete": [],
    }
    for tenant_id in tenants:
        version, last = current_version(home, tenant_id), outcome(home, tenant_id)
        published[tenant_id] = {
            "version": version.version_id if version else None,
            "published_at": version.published_at if version else None,
            "last_outcome": last.outcome if last else None,
            "reason": last.reason if last else None,
        }
        reconciled[tenant_id] = {"measures": 0, "open": open_of(last), "bridge": []}
        if version is not None:
            version_health = published_health(home, version)
            measures, _ = summary(version_health.reconciliation_checks)
            lines = bridge(version_health.reconciliation, version_health.reconciliation_checks).to_dicts()
            reconciled[tenant_id] |= {"measures": measures, "bridge": lines}
            matches = [row for row in version_health.remittance_matches.to_dicts() if not row["is_matched"]]
            # Rows that wait for another message: known to the warehouse alone, not to the ledger.
            waiting = [row for row in version_health.notices.to_dicts() if row["reason"].endswith("_incomplete")]
            incomplete = with_codes(waiting)
            tables = (
                version_health.unmatched_references.to_dicts(),
                matches,
                version_health.conflicts.to_dicts(),
                version_health.visits.to_dicts(),
                incomplete,
            )
            for rows, table in zip(health.values(), tables, strict=True):
                rows += [{"tenant_id": tenant_id, **row} for row in table]
    return published, health, reconciled


def _findings(home: Home, tenants: Sequence[str]) -> list[dict[str, Any]]:
    """What plausibility found for each tenant, with the headline that pages show."""
    from dataclasses import asdict

    from serving.plausibility import published_findings
    from serving.publish.publish import current_version

    versions = [version for tenant in tenants if (version := current_version(home, tenant)) is not None]
    return [
        {"tenant_id": version.tenant_id, "headline": finding.headline(), **asdict(finding)}
        for version in versions
        for finding in published_findings(home, version)
    ]


def _plausible(findings: Sequence[Mapping[str, Any]]) -> None:
    """What the feeds say that cannot be: a headline each, what it means and what to do."""
    for finding in findings:
        click.echo(f"DOUBT {finding['tenant_id']}: {finding['code']} {finding['headline']}")
        click.echo(f"  {finding['meaning']} {finding['remedy']} It affects {len(finding['metrics'])} metrics.")


def _reconciled(tenants: Mapping[str, Mapping[str, Any]]) -> None:
    """A line a tenant: what agrees from source to published file, and what kept the last run from publishing."""
    for tenant, item in tenants.items():
        if item["measures"] and not item["open"]:
            reach = len(item["bridge"])
            click.echo(f"Reconciled: {tenant}, {item['measures']} measures, {reach} up to the published file, 0 open")
        if item["open"]:
            click.echo(
                f"Not reconciled: {tenant} was not published in the last run. The previous version is still shown. Totals differ:"
            )
            for sentence in item["open"]:
                click.echo(f"  {sentence}")


def _bridges(tenants: Mapping[str, Mapping[str, Any]]) -> None:
    names = ("entity", "measure", "read", "quarantined", "left", "merged", "left_out", "marts", "published")
    headers = ["Entity", "Measure", "Read", "- held", "- replaced", "- same", "- not counted", "= marts", "= published"]
    _reconciled(tenants)
    rows = [{"tenant_id": tenant, **line} for tenant, item in tenants.items() for line in item["bridge"]]
    for row in rows:
        if row["measure"] == "rows":
            row |= {name: None if row[name] is None else int(row[name]) for name in names[2:]}
    _table(["Tenant", *headers], rows, ("tenant_id", *names))


def _alerts(alerts: Sequence[Mapping[str, Any]]) -> None:
    for alert in alerts:
        click.echo(f"ALERT {alert['tenant_id']}: {alert['message']}")
    if not alerts:
        click.echo("No alerts.")


def _last_run(feeds_status: Mapping[str, Any]) -> None:
    last_run = feeds_status["last_run"]
    ended = last_run["outcome"] or ("under way" if last_run["is_under_way"] else UNENDED)
    click.echo(f"Last run {last_run['started_at']:%d %b %Y %H:%M} UTC: {ended}")
    for line in (last_run["problem"] or "").splitlines():
        click.echo(f"  {line}")
    print_table(
        ["Tenant", "Published version", "Published at", "Last outcome", "Reason"],
        [
            [tenant, item["version"], item["published_at"], item["last_outcome"], item["reason"]]
            for tenant, item in feeds_status["published"].items()
        ],
    )
    if feeds_status["refused_files"]:
        click.echo("Refused files of the last read. Their names may hold names of patients: keep them on this server.")
        names = ("tenant_id", "feed", "code", "mark", "name", "position", "problem", "acknowledged")
        headers = ["Tenant", "Feed", "Code", "Shown elsewhere as", "Name", "Position", "Problem", "Acknowledged"]
        _table(headers, feeds_status["refused_files"], names)


def _table(headers: Sequence[str], rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    print_table(headers, [[row[name] for name in names] for row in rows])


def _feeds(feeds: Sequence[Mapping[str, Any]]) -> None:
    headers = {
        "tenant_id": "Tenant",
        "feed": "Feed",
        "outcome": "Outcome",
        "newest_record_at": "Newest record",
        "hours_behind": "Age of newest record at read (h)",
        "records_read": "Records read",
        "records_quarantined": "Records held",
        "rows_landed": "Rows landed",
        "rows_quarantined": "Rows held",
        "units_refused": "Files refused",
    }
    _table(list(headers.values()), feeds, list(headers))


def _coverage(days: Sequence[Mapping[str, Any]]) -> None:
    """The last two weeks, a line a feed."""
    if not days:
        return
    columns = sorted({day["day"] for day in days})
    feeds: dict[tuple[str, str], dict[date, str]] = {}
    for day in days:
        feeds.setdefault((day["tenant_id"], day["feed"]), {})[day["day"]] = _cell(day)
    click.echo(LEGEND)
    print_table(
        ["Tenant", "Feed", *(f"{day:%a %d}" for day in columns)],
        [[*feed, *(cells.get(day, "") for day in columns)] for feed, cells in sorted(feeds.items())],
    )


def _cell(day: Mapping[str, Any]) -> str:
    if day["status"] == "closed_day" and not day["received"]:
        return "."
    expected = "?" if day["expected"] is None else day["expected"]
    return f"{day['received']}/{expected}{MARKS.get(day['status'], '')}"


def _unmatched(feeds_status: Mapping[str, Any]) -> None:
    if feeds_status["unmatched_references"]:
        click.echo("References to records that no feed has brought:")
        names = ("tenant_id", "feed", "entity", "column_name", "unmatched_rows", "rows_with_reference", "unmatched_ids")
        _table(
            ["Tenant", "Feed", "Entity", "Column", "Unmatched rows", "Of rows", "Distinct ids"],
            feeds_status["unmatched_references"],
            names,
        )
    if feeds_status["unmatched_remittances"]:
        click.echo("Remittances that match no claim or no charge:")
        names = ("tenant_id", "feed", "level", "match_method", "records", "billed_amount", "payer_paid_amount")
        _table(
            ["Tenant", "Feed", "Level", "Matched to", "Remittances", "Billed", "Paid"],
            feeds_status["unmatched_remittances"],
            names,
        )


def _unknown_words(words: Sequence[Mapping[str, Any]]) -> None:
    if words:
        click.echo(
            "Words that no profile explains. Add each to the named list of the feed's profile (docs/profiles.md):"
        )
        names = ("tenant_id", "feed", "field", "word", "became", "rows", "profile_key", "first_position")
        headers = [
            "Tenant",
            "Feed",
            "Field",
            "Word",
            "Rows have instead",
            "Rows",
            "List of the profile",
            "First position",
        ]
        _table(headers, words, names)


def _notices(feeds_status: Mapping[str, Any]) -> None:
    notices = [*feeds_status["notices"], *feeds_status["incomplete"]]
    if notices:
        click.echo("Problems in records that were read:")
        shown = ("tenant_id", "feed", "code", "reason", "detail", "rows", "first_position")
        _table(["Tenant", "Feed", "Code", "Reason", "Detail", "Records", "First position"], notices, shown)
    if feeds_status["visits"]:
        click.echo(
            "Visits that feeds number differently. Matched visits count once, ambiguous visits count separately:"
        )
        headers = ["Tenant", "Found by", "Outcome", "Visit numbers"]
        _table(headers, feeds_status["visits"], ("tenant_id", "match_rule", "outcome", "encounters"))
    if feeds_status["conflicts"]:
        click.echo("Values on which feeds disagree. Figures use the value of the feed of record:")
        names = ("tenant_id", "entity", "column_name", "record_feed", "other_feed", "keys_in_conflict")
        _table(
            ["Tenant", "Entity", "Column", "Feed of record", "Other feed", "Disagreements"],
            feeds_status["conflicts"],
            names,
        )
