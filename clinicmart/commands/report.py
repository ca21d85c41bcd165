"""`clinicmart report`: a page of figures as an Excel workbook or a PDF. `clinicmart saved-reports`: the reports that a person can open."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from clinicmart.commands.metrics import as_of_option, restated_option
from clinicmart.options import (
    existing_home,
    home_option,
    json_option,
    person_of,
    print_json,
    print_result,
    print_table,
    recorded,
    tenant_option,
    user_option,
)
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home

# As `dashboards.period.PRESETS`, which a command's help does not wait to import.
PERIODS = ("last_month", "last_quarter", "last_3_months", "last_12_months", "year_to_date")


@click.command()
@home_option
@tenant_option
@user_option
@click.option("--page", required=True, help="The page, by its name in the address, such as revenue_cycle.")
@click.option("--month", type=click.DateTime(["%Y-%m"]), help="A calendar month, such as 2026-09.")
@click.option("--period", type=click.Choice(PERIODS), help="A period up to the last full month. Default: last_quarter.")
@click.option(
    "--compare", type=click.Choice(["before", "year"]), default="before", show_default=True, help="Compare with what."
)
@click.option("--place", help="Id of a service unit: the report is about it and those below it.")
@restated_option
@as_of_option
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write: .xlsx or .pdf."
)
@json_option
@existing_home
def report(
    home: Home,
    tenant: str,
    user: str,
    page: str,
    month: datetime | None,
    period: str | None,
    compare: str,
    place: str | None,
    restated: bool,
    as_of: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Write a page of figures as an Excel workbook or a PDF.

    The file holds the tiles and the table of the page as the user sees them, with definitions. It is a row of the audit.
    """
    from dashboards import period as periods
    from dashboards.data import Source
    from dashboards.reports.make import FORMATS, make
    from dashboards.view import View
    from serving.reader import open_reader

    if month is not None and period is not None:
        raise ConfigurationError("give --month or --period, not both")
    file_format = out.suffix.removeprefix(".").lower()
    if file_format not in FORMATS:
        raise ConfigurationError(f"--out {out}: the name ends with .xlsx or .pdf")
    principal = person_of(home, tenant, user)
    with open_reader(home, principal, as_of=as_of) as reader:
        source = Source(reader, principal, restated=restated, asked_as_of=as_of)
        chosen = periods.parse(period, source.as_of)
        if month is not None:
            first = month.date()
            chosen = periods.parse(periods.range_key(first, periods.month_end(first)), source.as_of)
        view = View(period=chosen, compare=compare, place=place, restated=restated, as_of=as_of)
        file = make(source, page, view, file_format)
    out.write_bytes(file.content)
    facts = {
        "path": str(out),
        "page": page,
        "period": chosen.key,
        "data_as_of": source.as_of,
        "bytes": len(file.content),
    }
    print_result(as_json, facts, f"{out}: {page}, {chosen.name}, data as of {source.as_of}")


@click.command("saved-reports")
@home_option
@tenant_option
@user_option
@json_option
@recorded
def saved_reports(home: Home, tenant: str, user: str, as_json: bool) -> None:
    """List the saved reports that a user can open: the own ones and those that others share.

    The id stands in the address of a report; `clinicmart subscriptions add --report` takes it.
    """
    from foundation.keys import Keys
    from serving.people.rights import ROLES
    from serving.people.store import AccessStore
    from serving.report_definition import BUILDER

    principal = person_of(home, tenant, user)
    if BUILDER not in ROLES[principal.role].pages:
        raise AccessError(f"the role of {user} does not include the page Report builder")
    reports = AccessStore.open(home).reports(Keys.of(home), tenant, principal.email).all()
    if as_json:
        print_json([asdict(report) | {"definition": report.definition.as_content()} for report in reports])
        return
    print_table(
        ["Id", "Name", "Owner", "Shared", "Pinned to", "Saved"],
        [[r.report_id, r.name, r.email, r.is_shared, r.pinned_to or None, r.saved_at] for r in reports],
    )
