"""`clinicmart content`: shared reports, shared queries, targets and alerts of a tenant as YAML files for version control."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clinicmart.options import (
    existing_home,
    home_option,
    json_option,
    person_of,
    print_result,
    tenant_option,
    user_option,
)
from foundation.home import Home

if TYPE_CHECKING:
    from serving.content import ContentDesk


@click.group()
def content() -> None:
    """Keep the shared reports, shared queries, targets and alerts of a tenant in version control."""


@content.command("export")
@home_option
@tenant_option
@user_option
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="The folder to write the files to."
)
@json_option
@existing_home
def export_content(home: Home, tenant: str, user: str, out: Path, as_json: bool) -> None:
    """Write the content of a tenant as YAML files.

    In the folders reports and queries a file is removed if its name has the form that an export gives and no item has that name now. All
    other files stay: remove a file that you named yourself by hand, or the next import finds its item twice. The user is an
    administrator. A query can hold values of patients: keep the folder as you keep an extract.
    """
    with _desk(home, tenant, user) as desk:
        files = desk.export(out)
    print_result(as_json, {"files": [str(path) for path in files]}, *[str(path) for path in files])


@content.command("import")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@home_option
@tenant_option
@user_option
@click.option("--check", is_flag=True, help="Only say what would change.")
@json_option
@existing_home
def import_content(home: Home, folder: Path, tenant: str, user: str, check: bool, as_json: bool) -> None:
    """Make the content of a tenant as the files in FOLDER say.

    What the files do not hold ends: a report or query is no longer shared, and its owner keeps it; a target or an alert ends. A kind
    without files is left alone. If something is wrong, nothing is changed and the command exits with 1.
    """
    with _desk(home, tenant, user) as desk:
        plan = desk.plan(folder) if check else desk.apply(folder)
    changes = [change.words for change in plan.changes]
    done = "would be " if check else ""
    lines = [f"{done}{words}" for words in changes] if not plan.errors else []
    print_result(
        as_json,
        {"changes": changes, "errors": list(plan.errors), "applied": not check and not plan.errors},
        *(lines or ([] if plan.errors else ["nothing changes"])),
    )
    for error in plan.errors:
        click.echo(f"clinicmart: {error}", err=True)
    if plan.errors:
        raise SystemExit(1)


@contextmanager
def _desk(home: Home, tenant: str, user: str) -> "Iterator[ContentDesk]":
    """The content of a tenant as an administrator may change it."""
    from serving.content import ContentDesk
    from serving.people.store import AccessStore
    from serving.reader import open_reader

    principal = person_of(home, tenant, user)
    with open_reader(home, principal) as reader:
        yield ContentDesk(home, AccessStore.open(home), principal, reader)
