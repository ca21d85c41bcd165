"""`clinicmart tenants remove` and `remove-asked`: a tenant leaves for ever."""

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


@click.command("remove-asked")
@home_option
@json_option
@existing_home
def remove_asked(home: Home, as_json: bool) -> int:
    """Carry out the removals of organizations that platform administrators asked for in the console, each as `remove` does.

    The signed certificate is kept for the console. What cannot be removed yet, because the configuration still names it, waits for the
    next time, and the console says why. The server of the pages cannot do this: it holds no key of what the feeds brought.
    Exit code 1: an organization could not be removed, or a key that is left opened a file.
    """
    import tempfile

    from clinicmart import tenant_removal
    from foundation.errors import ClinicmartError
    from serving.people.store import AccessStore

    requests = AccessStore.open(home).removal_requests
    results: list[dict[str, object]] = []
    lines: list[str] = []
    for request in reversed([item for item in requests.all() if item.waits]):
        result: dict[str, object] = {"tenant": request.organization}
        try:
            removed = tenant_removal.remove_tenant(
                home,
                request.organization,
                reason=f"{request.reason} (asked for by {request.asked_by} in the console)",
                actor=operator(),
                progress=lambda text, name=request.organization: click.echo(f"{name}: {text}", err=True),  # type: ignore[misc]
            )
        except ClinicmartError as error:
            requests.note_problem(request, str(error))
            result |= {"is_removed": False, "problem": str(error)}
            lines.append(f"{request.organization}: not removed: {error}")
        else:
            with tempfile.TemporaryDirectory(prefix="clinicmart-removal-") as folder:
                path = tenant_removal.write_certificate(Path(folder), home, removed)
                requests.note_certificate(request, path.read_text("utf-8"))
            opened = removed.removal.tried["opened"]
            result |= {"is_removed": True, "is_proven": removed.is_proven, "opened": opened}
            lines.append(
                f"{request.organization}: removed" + (f", but a key that is left opened {opened}" if opened else "")
            )
        results.append(result)
    print_result(as_json, {"removals": results}, *(lines or ["No removal was asked for."]))
    return 1 if any(not item["is_removed"] or item["opened"] for item in results) else 0
