"""A pipeline run as the command line shows it: first accounts, progress, outcome, what is held."""

import re
from typing import TYPE_CHECKING

import click

from foundation.config import Config
from foundation.home import Home

if TYPE_CHECKING:
    from dagster_project.run import RunOutcome

# A refused file is shown as a mark, because its name may name a patient (`ingest.accounts.accounts.file_mark`).
MARKED = re.compile(r": file [0-9a-f]{10}")


def run_and_report(
    home: Home,
    config: Config,
    *,
    target: str = "duckdb",
    full_refresh: bool = False,
    accept_deletions: bool = False,
    as_json: bool = False,
    log_format: str = "text",
) -> int:
    """Runs the pipeline, prints the outcome and the one-time passwords of new tenants; returns the exit code. With `log_format`
    "json", problems and alerts are also lines of the log."""
    from clinicmart.options import print_json
    from clinicmart.progress import shown

    with shown("Reading feeds", log_format):
        from dagster_project.run import run_pipeline

        outcome = run_pipeline(
            home, config, target=target, full_refresh=full_refresh, accept_deletions=accept_deletions
        )
        if log_format == "json":
            _log_problems(outcome)
    if log_format == "text":
        _print_problems(outcome)
    made = new_administrators(home, config)
    if as_json:
        facts = {"run_id": outcome.run_id, "outcome": outcome.outcome, "stopped": outcome.stopped}
        facts |= {"problems": outcome.problems, "alerts": outcome.alerts, "held": outcome.held}
        print_json(facts | {"one_time_passwords": made, "exit_code": outcome.exit_code})
        return outcome.exit_code
    for tenant_id, password in made.items():
        click.echo(f"{tenant_id}: sign in as admin@{tenant_id} with the one-time password {password}")
    if not made:
        click.echo("Passwords have not changed. `clinicmart users reset` makes a link to choose a new password.")
    words = {
        "published": "Published.",
        "unchanged": "Nothing new; the published version stays.",
        "stopped": "Stopped. The previously published version is still shown.",
    }
    if outcome.stopped and outcome.outcome == "published":
        click.echo(
            f"Published, except for {', '.join(outcome.stopped)}. Their previously published version is still shown."
        )
    else:
        click.echo(words[outcome.outcome])
    if outcome.held:
        click.echo(f"{outcome.held}.")
    return outcome.exit_code


def _log_problems(outcome: "RunOutcome") -> None:
    from foundation.logs import about, progress

    with about(run_id=outcome.run_id):
        for problem in outcome.problems:
            progress.error(problem)
        for alert in outcome.alerts:
            progress.warning(alert)
        progress.info("the run ended: %s", outcome.outcome)


def _print_problems(outcome: "RunOutcome") -> None:
    for problem in outcome.problems:
        click.echo(f"clinicmart: {problem}", err=True)
    if any(MARKED.search(problem) for problem in outcome.problems):
        click.echo("clinicmart: `clinicmart status` shows the names of these files.", err=True)
    for alert in outcome.alerts:
        click.echo(f"clinicmart: ALERT {alert}", err=True)


def new_administrators(home: Home, config: Config) -> dict[str, str]:
    """Adds `admin@<tenant>` to tenants without people; returns tenant id to one-time password."""
    from serving.people.store import AccessStore
    from serving.scope_files.unheld import remove_unheld

    made = {}
    store = AccessStore.open(home)
    for tenant in config.tenants:
        store.ensure_tenant(tenant.tenant_id, tenant.name, tenant.deidentification)
        remove_unheld(home, tenant.tenant_id)
        password = store.ensure_admin(tenant.tenant_id)
        if password is not None:
            made[tenant.tenant_id] = password
    return made
