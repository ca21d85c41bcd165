"""`clinicmart status`: the last run, what is published, every feed and the ledger."""

import click

from clinicmart.options import existing_home, home_option, json_option, print_json, print_table
from foundation.home import Home


@click.command()
@home_option
@json_option
@existing_home
def status(home: Home, as_json: bool) -> None:
    """Show the last run, published versions, feeds and the ledger: read, landed, quarantined."""
    from foundation.keys import Keys
    from ingest.ledger import Ledger
    from ingest.status import status as ledger_status
    from serving.publish import current_version, outcome

    ledger = Ledger(home)
    found = ledger_status(ledger, Keys.of(home))
    ledger.close()
    tenants = sorted({feed["tenant_id"] for feed in found["feeds"]})
    published = {}
    for tenant_id in tenants:
        version, last = current_version(home, tenant_id), outcome(home, tenant_id)
        published[tenant_id] = {
            "version": version.version_id if version else None,
            "published_at": version.published_at if version else None,
            "last_outcome": last.outcome if last else None,
            "reason": last.reason if last else None,
        }
    if as_json:
        print_json(found | {"published": published})
        return
    last_run = found["last_run"]
    if last_run is None:
        click.echo("Nothing has run in this home.")
        return
    click.echo(f"Last run {last_run['started_at']:%d %b %Y %H:%M} UTC: {last_run['outcome'] or 'under way'}")
    for line in (last_run["problem"] or "").splitlines():
        click.echo(f"  {line}")
    print_table(
        ["Tenant", "Published version", "Published at (UTC)", "Last outcome", "Reason"],
        [
            [tenant, item["version"], item["published_at"], item["last_outcome"], item["reason"]]
            for tenant, item in published.items()
        ],
    )
    columns = ("records_read", "records_quarantined", "rows_landed", "rows_quarantined", "units_refused")
    print_table(
        [
            "Tenant",
            "Feed",
            "Outcome",
            "Newest record (UTC)",
            "Records read",
            "Records held",
            "Rows landed",
            "Rows held",
            "Files refused",
        ],
        [
            [
                feed["tenant_id"],
                feed["feed"],
                feed["outcome"],
                feed["newest_record_at"],
                *(feed[name] for name in columns),
            ]
            for feed in found["feeds"]
        ],
    )
    rows, records = found["rows"], found["records"]
    sign = "=" if found["is_conserved"] else "DOES NOT EQUAL"
    click.echo(f"Rows: {rows['read']:,} read {sign} {rows['landed']:,} landed + {rows['quarantined']:,} quarantined")
    click.echo(f"Records: {records['read']:,} read {sign} {records['used']:,} used + {records['refused']:,} refused")
