"""`clinicmart backup` and `clinicmart restore`: a home into a folder or a bucket, encrypted, and back."""

import getpass
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clinicmart.options import existing_home, home_option, json_option, operator, print_json, print_result, print_table
from foundation.errors import ConfigurationError
from foundation.home import Home

if TYPE_CHECKING:
    from foundation.backup.place import Backup, Place

VARIABLE = "CLINICMART_RECOVERY_KEY"
_RECOVERY_KEY_FILE = click.option(
    "--recovery-key-file",
    "key_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"File with the recovery key. Default: the variable {VARIABLE}.",
)


@click.command()
@home_option
@click.option("--to", "url", required=True, metavar="URL", help="A folder, or a bucket such as s3://bucket/clinicmart.")
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Then remove all backups except the newest N.")
@click.option("--list", "only_list", is_flag=True, help="List the backups there. Nothing is written.")
@click.option(
    "--check", "only_check", is_flag=True, help="Read the newest backup whole, as a restore does. Nothing is written."
)
@click.option("--at", metavar="BACKUP", help="With --check: this backup instead of the newest.")
@click.option("--new-recovery-key", is_flag=True, help="Replace the recovery key. The earlier one no longer works.")
@click.option(
    "--new-key",
    is_flag=True,
    help="Write every part again under a new key, and replace the recovery key. Makes no backup.",
)
@_RECOVERY_KEY_FILE
@json_option
@existing_home
def backup(
    home: Home,
    url: str,
    keep: int | None,
    only_list: bool,
    only_check: bool,
    at: str | None,
    new_recovery_key: bool,
    new_key: bool,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Back up a home, while runs and readers go on. What is there already is not sent again.

    The first backup prints the recovery key once. Keep it away from this server: a restore needs it, and Clinicmart does not store it.
    docs/backup.md says what a backup holds, and how to rehearse a restore.
    """
    from clinicmart.progress import shown
    from foundation.backup.place import Place
    from foundation.backup.save import save
    from foundation.keys import Keys
    from foundation.run_lock import backup as one_backup
    from serving.people.moving import copy_to_file
    from serving.people.principal import PLATFORM
    from serving.people.store import AccessStore

    home_key = Keys.of(home).derive("backup")
    if only_list or only_check:
        place = Place.existing(url, home_key=home_key)
        _list(place, as_json) if only_list else _check(place, at, as_json)
        return
    if new_key:
        with one_backup(home):
            _new_key(home, Place.existing(url, home_key=home_key), home_key, _recovery_key(key_file), as_json)
        return
    with one_backup(home):
        place, recovery_key = Place.for_home(url, home_key, _recovery_key(key_file))
        if new_recovery_key and recovery_key is None:
            recovery_key = place.new_recovery_key(home_key, _recovery_key(key_file))
        if recovery_key is not None:
            _show(place, recovery_key)
        AccessStore.open(home).audit(PLATFORM, operator(), "backup", detail={"to": place.storage.url, "keep": keep})
        with shown("Backing up"):
            sent = save(home, place, partial(copy_to_file, home))
        removed = () if keep is None else place.prune(keep)
    if as_json:
        made = _facts(sent.backup) | {"to": place.storage.url, "sent_parts": sent.parts, "sent_bytes": sent.size_bytes}
        print_json(made | {"removed": list(removed)})
        return
    click.echo(
        f"{place.storage.url}: backup {sent.backup.name}, {len(sent.backup.files):,} files, {_megabytes(sent.backup.size_bytes)}; "
        f"sent {_megabytes(sent.size_bytes)} in {sent.parts:,} parts"
    )
    for name in removed:
        click.echo(f"{name}: removed")


@click.command()
@click.option("--from", "url", required=True, metavar="URL", help="Where the backups are.")
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="A new folder for the restored home.",
)
@click.option("--tenant", help="Restore only this tenant.")
@click.option("--at", metavar="BACKUP", help="The backup to restore. Default: the newest.")
@_RECOVERY_KEY_FILE
@json_option
def restore(url: str, target: Path, tenant: str | None, at: str | None, key_file: Path | None, as_json: bool) -> None:
    """Restore a home from a backup into a new folder, beside the running home.

    Every part and every file is checked. The restored home works by itself: figures are served at once, and the next run builds the
    marts again. All sessions have ended. Exit code 1: the backup was altered; nothing is left of the new folder.
    """
    from clinicmart.progress import shown
    from clinicmart.tenant_removal import forget_tenant
    from clinicmart.upgrade import upgrade
    from foundation.backup.place import Place
    from foundation.backup.restore import restore as restore_home
    from foundation.formats import HOME
    from foundation.keys import VARIABLE as MASTER_KEY_VARIABLE
    from ingest.accounts.restored import settle_ledger
    from serving.people.restored import settle

    key = _recovery_key(key_file) or _ask()
    place = Place.existing(url, recovery_key=key)

    def finish(home: Home, source: "Backup") -> None:
        if home.format < HOME:
            upgrade(home)
        for removed in source.removed_tenants:
            forget_tenant(home, removed)
        settle(home, tenant=tenant, actor=operator(), detail={"from": place.storage.url, "backup": source.name})
        if home.ledger.exists():
            settle_ledger(home, tenant=tenant)

    with shown("Restoring"):
        done = restore_home(
            place, target, at=at, tenant=tenant, with_key=MASTER_KEY_VARIABLE not in os.environ, finish=finish
        )
    tenants = [tenant] if tenant else list(done.backup.tenants)
    if as_json:
        facts = {
            "backup": done.backup.name,
            "created_at": done.backup.created_at,
            "home": done.home.path,
            "tenants": tenants,
        }
        print_json(facts | {"files": done.files, "bytes": done.size_bytes})
        return
    click.echo(
        f"{done.home.path}: backup {done.backup.name} of {done.backup.created_at:%d %b %Y %H:%M} UTC, "
        f"{', '.join(tenants) or 'no tenants'}; {done.files:,} files, {_megabytes(done.size_bytes)}, all checked"
    )
    click.echo("The next `clinicmart run --config FILE --home FOLDER` builds the marts again from the landed files.")


def _show(place: "Place", recovery_key: str) -> None:
    click.echo(
        f"Recovery key of {place.storage.url}: {recovery_key}\nWrite it down and keep it away from this server. It is not shown again. "
        "Without it a lost home cannot be restored.",
        err=True,
    )


def _new_key(home: Home, place: "Place", home_key: bytes, recovery_key: str | None, as_json: bool) -> None:
    from foundation.backup.new_key import new_key
    from serving.people.principal import PLATFORM
    from serving.people.store import AccessStore

    def shown(chosen: str) -> None:
        if recovery_key is None:
            _show(place, chosen)

    _, written = new_key(place, home_key, recovery_key, shown=shown)
    AccessStore.open(home).audit(PLATFORM, operator(), "backup key replaced", detail={"to": place.storage.url})
    facts = {"to": place.storage.url, "parts": written}
    print_result(
        as_json, facts, f"{place.storage.url}: {written:,} parts are under a new key; the earlier one is forgotten"
    )


def _list(place: "Place", as_json: bool) -> None:
    backups = [place.backup(name) for name in place.names()]
    if as_json:
        print_json([_facts(item) for item in backups])
        return
    print_table(
        ["Backup", "Made at", "Tenants", "Files", "Size"],
        [
            [item.name, item.created_at, ", ".join(item.tenants), len(item.files), _megabytes(item.size_bytes)]
            for item in backups
        ],
    )


def _check(place: "Place", at: str | None, as_json: bool) -> None:
    chosen = place.backup(at)
    files = place.check(chosen)
    if as_json:
        print_json(_facts(chosen) | {"checked": True})
        return
    click.echo(f"{place.storage.url}: backup {chosen.name}, {files:,} files, every part is what was written")


def _facts(listed: "Backup") -> dict[str, object]:
    return {
        "backup": listed.name,
        "created_at": listed.created_at,
        "tenants": list(listed.tenants),
        "files": len(listed.files),
        "bytes": listed.size_bytes,
    }


def _recovery_key(file: Path | None) -> str | None:
    """The recovery key from a file, else from the environment; None where neither holds one."""
    text = file.read_text("utf-8") if file is not None else os.environ.get(VARIABLE, "")
    return text.strip() or None


def _ask() -> str:
    if not sys.stdin.isatty():
        raise ConfigurationError(f"give the recovery key with --recovery-key-file, or in {VARIABLE}")
    return getpass.getpass("Recovery key: ").strip()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
