"""`clinicmart replay`: the marts as they were on an earlier day, in a home beside the one that reads the feeds."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clinicmart.options import existing_home, home_option, json_option, operator, print_json
from foundation.home import Home

if TYPE_CHECKING:
    from clinicmart.replaying import Replayed, TenantReplayed

# A feed of which at least this share landed at once brought history: the day it landed says nothing of when its rows were known.
_AT_ONCE = 0.5


@click.command()
@home_option
@click.option("--out", "target", required=True, type=click.Path(path_type=Path), help="A new folder for the home.")
@click.option(
    "--as-of",
    required=True,
    metavar="TIME",
    help="A day (its end in the tenant's time zone), a moment such as 2026-10-31T05:00:00+00:00, or the name of a published version.",
)
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="The configuration file. Default: that of the home's last run. It is used as it is today.",
)
@click.option("--tenant", help="Only this tenant.")
@json_option
@existing_home
def replay(home: Home, target: Path, as_of: str, file: Path | None, tenant: str | None, as_json: bool) -> int:
    """Rebuild the marts as they were on an earlier day, in a new home. No feed is read.

    The new home holds what had landed by then, built with this release and today's configuration. It is compared with the version that
    was published then, if that is kept. It has its own keys, people and passwords, and it takes no feeds. docs/replay.md says what it
    holds.
    Exit code 1: a tenant could not be built, or differs from the version of that day.
    """
    from clinicmart.progress import shown
    from clinicmart.replaying import replay as replay_home
    from dagster_project.workspace import Workspace, load_checked_config

    config = load_checked_config(file) if file is not None else Workspace.of_home(home).config
    with shown("Replaying"):
        done = replay_home(home, config.only(tenant), target, as_of=as_of, actor=operator())
    if as_json:
        print_json(_facts(done))
    else:
        for line in _lines(done):
            click.echo(line)
    return 1 if any(item.problem or (item.same and not item.same.equal) for item in done.tenants) else 0


def _lines(done: "Replayed") -> list[str]:
    lines = [f"{done.home.path}: the marts as of {done.as_of}"]
    for item in done.tenants:
        lines.append(f"{item.tenant_id}: {item.rows:,} rows of {item.batches:,} landed files; {_verdict(item)}")
        at_once = [load for load in item.first_loads if load.share >= _AT_ONCE]
        if at_once:
            feeds = ", ".join(f"{load.feed} {load.share:.0%} on {load.first_landed_at:%d %b %Y}" for load in at_once)
            lines.append(
                f"  Rows that landed in one load: {feeds}. The days that they name (booked, decided) stand in for"
            )
            lines.append("  the day on which they became known.")
    lines += [f"{tenant_id}: left out, {reason}" for tenant_id, reason in done.left_out.items()]
    lines.append(
        f"Built with this release and with {done.config_file} as it is today: the home keeps no earlier configuration."
    )
    for tenant_id, password in done.passwords.items():
        lines.append(f"{tenant_id}: sign in there as admin@{tenant_id} with the one-time password {password}")
    return lines


def _verdict(item: "TenantReplayed") -> str:
    """One clause: whether the marts are those that were published then."""
    if item.problem:
        return f"NOT PUBLISHED: {item.problem}"
    if item.published_at is None or item.same is None:
        return "no version of that day is kept, so nothing was compared"
    version = f"the version published on {item.published_at:%d %b %Y %H:%M} UTC"
    if item.same.equal:
        new = f"; one of them lacks {', '.join(item.same.one_sided)}" if item.same.one_sided else ""
        return f"equal to {version} in all {item.same.marts} marts, to the digit{new}"
    apart = [f"{mart} ({rows:,} rows)" for mart, rows in item.same.rows_differing.items()]
    return f"DIFFERS from {version} in {', '.join(apart)}"


def _facts(done: "Replayed") -> dict[str, object]:
    tenants = [
        {
            "tenant_id": item.tenant_id,
            "moment": item.moment,
            "landed_files": item.batches,
            "rows": item.rows,
            "first_loads": [load.model_dump() | {"share": load.share} for load in item.first_loads],
            "published_at": item.published_at,
            "marts_compared": item.same.marts if item.same else None,
            "rows_differing": item.same.rows_differing if item.same else None,
            "marts_and_columns_of_one_side": item.same.one_sided if item.same else None,
            "problem": item.problem or None,
        }
        for item in done.tenants
    ]
    return {
        "home": done.home.path,
        "as_of": done.as_of,
        "configuration": {"file": done.config_file, "is_of_today": True},
        "tenants": tenants,
        "left_out": done.left_out,
        "one_time_passwords": done.passwords,
    }
