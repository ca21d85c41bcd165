"""`clinicmart tenants remove`: a tenant leaves for ever."""

from pathlib import Path

import click

from clinicmart.options import existing_home, home_option, json_option, operator, person_of, print_result
from foundation.errors import ConfigurationError
from foundation.home import Home


@click.command("remove")
@click.argument("tenant_id", metavar="TENANT")
@click.option("--reason", required=True, help="Why; it stands in the certificate and in the audit log.")
@click.option(
    "--certificate", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder for it."
)
@click.option(
    "--backups",
    "places",
    multiple=True,
    metavar="URL",
    help="Take the tenant out of these backups too. May be repeated.",
)
@click.option(
    "--export", type=click.Path(path_type=Path, dir_okay=False), help="First write everything to this extract."
)
@click.option(
    "--as", "user", metavar="USER", help="With --export: the administrator of the tenant whose extract it is."
)
@click.option("--confirm", required=True, metavar="TENANT", help="The tenant's id again: nothing brings it back.")
@home_option
@json_option
@existing_home
def remove_tenant(
    home: Home,
    tenant_id: str,
    reason: str,
    folder: Path,
    places: tuple[str, ...],
    export: Path | None,
    user: str | None,
    confirm: str,
    as_json: bool,
) -> int:
    """Remove a tenant for ever: its keys are destroyed, and its files, people, rights, logins and rows are removed.

    Take the tenant out of the configuration first. A signed certificate says what was destroyed, and that no key that is left opens a
    file of the tenant; `clinicmart audit verify-report` checks it. The audit log keeps its rows. Other tenants keep what they have; the
    next run builds their marts again. If the command is killed, run it again. See docs/keys.md.
    Exit code 1: a key that is left opened a file, or there was no file to try.
    """
    from clinicmart import tenant_removal
    from serving.extracts import extract as write_extract

    if confirm != tenant_id:
        raise ConfigurationError(f"--confirm must be the tenant's id, {tenant_id}")
    if export is not None:
        if user is None:
            raise ConfigurationError("--export needs --as with an administrator of the tenant")
        report = write_extract(home, person_of(home, tenant_id, user), export)
        click.echo(f"{report.path}: {report.rows:,} rows; key, not stored: {report.key}", err=True)
    removed = tenant_removal.remove_tenant(
        home,
        tenant_id,
        reason=reason,
        actor=operator(),
        places=places,
        progress=lambda text: click.echo(f"{tenant_id}: {text}", err=True),
    )
    path = tenant_removal.write_certificate(folder, home, removed)
    files = sum(counts["files"] for counts in removed.files.values())
    tried = f"{removed.removal.tried['keys']:,} keys tried on {removed.removal.tried['files']:,} files"
    print_result(
        as_json,
        tenant_removal.facts(removed) | {"certificate": path},
        f"{tenant_id}: keys destroyed, {files:,} files and {sum(removed.rows.values()):,} rows removed",
        f"{tried}: {'none opened any' if removed.is_proven else 'NOT PROVEN'}",
        *removed.notes,
        f"certificate: {path}",
    )
    return 0 if removed.is_proven else 1
