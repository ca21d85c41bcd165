"""`clinicmart identity look-up`: who a patient is, one at a time, from the vault.

It is a command of the operator's side, on purpose: the process that serves pages cannot open the vault. A service that it could ask would
hand the vault to the one who takes the pages over.
"""

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from clinicmart.options import (
    existing_home,
    home_option,
    json_option,
    person_of,
    print_json,
    print_table,
    tenant_option,
    user_option,
)
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home

if TYPE_CHECKING:
    from serving.people.principal import Principal

LONGEST_REASON = 300


@click.group()
def identity() -> None:
    """Look up who a patient is."""


@identity.command("look-up")
@home_option
@tenant_option
@user_option
@click.option("--reason", required=True, help="Why it is needed. It is kept in the audit log: name no patient in it.")
@click.option(
    "--patient", "patient_id", help="Id of the patient, as an organization_admin sees it. Asks for a name without it."
)
@click.option(
    "--break-glass", is_flag=True, help="An emergency, for a role that may not otherwise. Every administrator sees it."
)
@json_option
@existing_home
def look_up(
    home: Home, tenant: str, user: str, reason: str, patient_id: str | None, break_glass: bool, as_json: bool
) -> None:
    """Show name, birth date, number, address, phone and e-mail of one patient.

    Asks for family name, given name and birth date, so that they stand neither in the list of processes nor in the history of the
    shell. Where several patients fit, none is shown: give the birth date. Each use, refused or not, is recorded in the audit log.
    """
    from serving.people.look_ups import ACTION, check_may_look_up, needs_emergency
    from serving.people.store import AccessStore

    if not 5 <= len(reason.strip()) <= LONGEST_REASON:
        raise ConfigurationError(f"--reason: write a sentence of 5 to {LONGEST_REASON} characters")
    store, principal = AccessStore.open(home), person_of(home, tenant, user)
    detail: dict[str, object] = {
        "reason": reason,
        "by": "id" if patient_id else "name",
        "break_glass": break_glass and needs_emergency(principal),
    }
    try:
        check_may_look_up(store, principal, breaks_glass=break_glass)
        ids = [patient_id] if patient_id else _ids_of_name(home, principal, *_asked())
        rows = _identities(home, principal, ids)
    except AccessError as error:
        store.audit(tenant, principal.email, ACTION, detail={**detail, "refused": str(error)}, result="refused")
        raise
    # Written before anything is shown.
    store.audit(tenant, principal.email, ACTION, detail={**detail, "column": "patient_id", "people": ids})
    if as_json:
        print_json({"patient_ids": ids, "identity": rows})
        return
    print_table(["", "Patient"], [[name.replace("_", " ").capitalize(), value] for name, value in rows.items()])


def _asked() -> tuple[str, str, date | None]:
    """Family name, given name and birth date from the keyboard or standard input. Raises ConfigurationError."""
    family = click.prompt("Family name", type=str, err=True)
    first = click.prompt("Given name", type=str, err=True)
    born = click.prompt("Birth date (YYYY-MM-DD, empty if unknown)", type=str, default="", show_default=False, err=True)
    try:
        return family, first, datetime.strptime(born, "%Y-%m-%d").date() if born else None  # noqa: DTZ007  # a day
    except ValueError:
        raise ConfigurationError("the birth date must be of the form YYYY-MM-DD") from None


def _ids_of_name(home: Home, principal: "Principal", family: str, first: str, born: date | None) -> list[str]:
    """The published ids of the one patient with a name. Raises AccessError for none and for several."""
    from foundation.keys import Keys
    from ingest.issuers import number_of
    from ingest.trace.identities import numbers_of_name
    from serving.disclosures.reached import Patients

    tenant = principal.tenant_id
    numbers = numbers_of_name(home, Keys.of(home), tenant, family_name=family, given_name=first, birth_date=born)
    with Patients(home, tenant) as patients:
        ids = sorted(item for item in patients.all if number_of(item) in numbers)
    if not ids:
        raise AccessError("no patient of the published version has this name and birth date")
    if len(ids) > 1:
        raise AccessError(f"{len(ids)} patients fit, and one is shown at a time: give the birth date, or --patient")
    return ids


def _identities(home: Home, principal: "Principal", ids: list[str]) -> dict[str, Any]:
    """What the vault knows of one patient. Raises AccessError where that is nothing."""
    from foundation.keys import Keys
    from ingest.trace.identities import identities

    held = identities(home, Keys.of(home), principal.tenant_id, ids)
    if not held.height:
        raise AccessError("the vault holds no patient with this id")
    return dict(held.row(0, named=True))
