"""`clinicmart audit patient`, `person` and `breach`: whose records were reached, by whom and when, from the audit log."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clinicmart.options import existing_home, home_option, json_option, operator, print_json, print_table, tenant_option
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home

if TYPE_CHECKING:
    from serving.disclosures.breach import Breach
    from serving.disclosures.reached import Reached

_DAY = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
from_option = click.option("--from", "since", type=_DAY, required=True, help="From this day or time on (UTC).")
to_option = click.option(
    "--to", "until", type=_DAY, required=True, help="To the end of this day, or to this time (UTC)."
)
csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
_ACT_FIELDS = ("at", "actor", "action", "tables", "patients", "channel", "address", "session", "os_user", "is_estimate")


def _span(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """The time as UTC, the end not included: a day stands for all of it."""
    end = until + timedelta(days=1) if until.time() == datetime.min.time() else until
    if end <= since:
        raise ConfigurationError("--to lies before --from")
    return since.replace(tzinfo=UTC), end.replace(tzinfo=UTC)


def _note(home: Home, tenant: str, command: str, **detail: object) -> None:
    from serving.people.store import AccessStore

    AccessStore.open(home).audit(tenant, operator(), "list", detail={"command": command, **detail})


def _act(act: "Reached") -> dict[str, Any]:
    row = act.row
    values = {
        name: getattr(row, name) for name in ("at", "actor", "action", "channel", "address", "session", "os_user")
    }
    return values | {
        "tables": ", ".join(act.tables),
        "patients": len(act.patients),
        "is_estimate": act.is_estimate,
    }


def _print(fields: Sequence[str], rows: Iterable[dict[str, Any]], *, as_csv: bool, as_json: bool) -> None:
    shown = [{name: row[name] for name in fields} for row in rows]
    if as_json:
        print_json(shown)
    elif as_csv:
        text = io.StringIO()
        writer = csv.DictWriter(text, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(shown)
        click.echo(text.getvalue(), nl=False)
    else:
        print_table([name.replace("_", " ").capitalize() for name in fields], [list(row.values()) for row in shown])


@click.command()
@click.argument("patient_id", required=False)
@click.option("--number", help="The medical record number, in place of the patient's id.")
@home_option
@tenant_option
@from_option
@to_option
@csv_option
@json_option
@existing_home
def patient(
    home: Home,
    patient_id: str | None,
    number: str | None,
    tenant: str,
    since: datetime,
    until: datetime,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List who saw rows of a patient, and when. PATIENT_ID is the id that an organization_admin sees.

    Counts drills, worklists, opened source messages and extracts. Where an extract's content is no longer known, it counts as having held
    every patient, and the column Is estimate says yes.
    """
    from serving.disclosures.reached import reached, who_saw

    start, end = _span(since, until)
    if (patient_id is None) == (number is None):
        raise click.UsageError("give PATIENT_ID or --number, and not both")
    ids = [str(patient_id)] if number is None else _ids_of(home, tenant, number)
    _note(home, tenant, "audit patient", people=ids, column="patient_id")
    acts = reached(home, tenant, since=start, until=end)
    by_identity = {id(act): act for identifier in ids for act in who_saw(acts, identifier)}
    _print(_ACT_FIELDS, map(_act, by_identity.values()), as_csv=as_csv, as_json=as_json)


def _ids_of(home: Home, tenant: str, number: str) -> list[str]:
    """The published ids of the patients with a number. Raises AccessError where there is none."""
    from foundation.keys import Keys
    from ingest.issuers import number_of
    from ingest.trace.identities import ids_of_number
    from serving.disclosures.reached import Patients

    tokens = set(ids_of_number(home, Keys.of(home), tenant, number))
    with Patients(home, tenant) as patients:
        ids = sorted(item for item in patients.all if number_of(item) in tokens)
    if not ids:
        raise AccessError(
            "no patient of the published version has this number; a merged patient has that of the other record"
        )
    return ids


@click.command()
@click.argument("whose")
@home_option
@tenant_option
@from_option
@to_option
@csv_option
@json_option
@existing_home
def person(home: Home, whose: str, tenant: str, since: datetime, until: datetime, as_csv: bool, as_json: bool) -> None:
    """List what a user was shown: pages, figures, rows and extracts, and how many patients the rows were about."""
    from serving.disclosures.reached import reached
    from serving.people.store import AccessStore

    start, end = _span(since, until)
    _note(home, tenant, "audit person", user=whose)
    patients = {act.row.sequence: act for act in reached(home, tenant, since=start, until=end, actor=whose)}
    rows = AccessStore.open(home).audit_between(tenant, since=start, until=end, actor=whose)
    fields = ("at", "action", "detail", "patients", "result", "channel", "address", "session", "os_user")
    shown = []
    for row in rows:
        detail = {name: value for name, value in row.detail.items() if name not in ("people", "column")}
        act = patients.get(row.sequence)
        values = {name: getattr(row, name) for name in fields if name not in ("detail", "patients")}
        shown.append(values | {"detail": str(detail), "patients": len(act.patients) if act else None})
    _print(fields, shown, as_csv=as_csv, as_json=as_json)


@click.command()
@home_option
@tenant_option
@click.option("--user", "whose", help="Only what this user reached.")
@click.option("--session", help="Only what this sign-in reached: its id, as `audit list` shows it.")
@from_option
@to_option
@click.option(
    "--discovered",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Day of discovery; the deadlines count from it. Default: today.",
)
@click.option(
    "--letters", type=click.Path(path_type=Path, dir_okay=False), help="Write names and addresses to this CSV file."
)
@click.option("--as", "administrator", help="With --letters: the organization_admin who asks.")
@click.option("--reason", help="With --letters: why. It is kept in the audit log, so name no patient in it.")
@csv_option
@json_option
@existing_home
def breach(
    home: Home,
    tenant: str,
    whose: str | None,
    session: str | None,
    since: datetime,
    until: datetime,
    discovered: datetime | None,
    letters: Path | None,
    administrator: str | None,
    reason: str | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List whose records a user, a sign-in or anybody of a tenant reached, and whom to notify by which date (docs/breach.md).

    Without --user and --session: everybody of the tenant. --csv prints the patients.
    """
    from serving.disclosures.breach import breach as extent_of

    start, end = _span(since, until)
    _note(home, tenant, "audit breach", user=whose, of_session=session)
    found_on = discovered.date() if discovered else datetime.now(UTC).date()
    extent = extent_of(home, tenant, since=start, until=end, discovered_on=found_on, actor=whose, session=session)
    if letters is not None:
        _write_letters(home, tenant, extent, letters, administrator, reason)
    if as_json:
        print_json(_summary(extent) | {"patients": [vars(item) for item in extent.patients]})
    elif as_csv:
        fields = ("patient_id", "zip3", "times", "first_at", "last_at", "actions", "tables", "is_estimate")
        _print(fields, map(vars, extent.patients), as_csv=True, as_json=False)
    else:
        print_table(
            ["", ""], [[name.replace("_", " ").capitalize(), value] for name, value in _summary(extent).items()]
        )


def _summary(extent: "Breach") -> dict[str, Any]:
    areas = ", ".join(f"{area}: {number:,}" for area, number in extent.by_area)
    media = "no: 500 people or fewer"
    return {
        "people": len(extent.patients),
        "people_only_estimated": sum(item.is_estimate for item in extent.patients),
        "acts_that_showed_rows": extent.acts,
        "users": ", ".join(extent.actors),
        "addresses": ", ".join(extent.addresses),
        "acts_that_showed_figures_only": extent.figures_only,
        "acts_refused": extent.refused,
        "names_in_the_audit_of_no_patient_today": extent.unresolved,
        "people_by_zip_area": areas,
        "discovered_on": extent.discovered_on,
        "letters_by": extent.letters_by,
        "secretary_by": extent.secretary_by,
        "media": f"by {extent.letters_by} where more than 500 live in one state" if extent.may_need_media else media,
    }


def _write_letters(
    home: Home, tenant: str, extent: "Breach", file: Path, administrator: str | None, reason: str | None
) -> None:
    """Names and addresses for the letters, from the vault, for an administrator of the organisation with a reason."""
    from foundation.keys import Keys
    from ingest.trace.identities import identities
    from serving.people.rights import ROLES
    from serving.people.store import AccessStore
    from serving.rows.export import rows_file

    if administrator is None or reason is None or len(reason.strip()) < 5:
        raise click.UsageError("--letters needs --as, an organization_admin, and --reason, a sentence")
    store = AccessStore.open(home)
    ids = [item.patient_id for item in extent.patients]
    detail: dict[str, object] = {"people": len(ids), "reason": reason, "file": file.name}
    if not ROLES[store.principal(tenant, administrator).role].administers:
        store.audit(tenant, administrator, "letters", detail=detail, result="refused")
        raise AccessError("only an organization_admin may read names and addresses")
    if file.exists():
        raise ConfigurationError(f"{file}: exists already; choose another name")
    store.audit(tenant, administrator, "letters", detail=detail)
    held = identities(home, Keys.of(home), tenant, ids)
    file.touch(mode=0o600)
    # Names come from feeds: as in a file of rows, none becomes a formula in a spreadsheet.
    file.write_bytes(rows_file(held, "csv").content)
    click.echo(f"{file}: {held.height:,} people; {len(ids) - held.height:,} are not in the vault", err=True)
