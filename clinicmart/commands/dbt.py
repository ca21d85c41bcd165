"""`clinicmart dbt`: dbt on a home's warehouse, with the settings and the key that it needs."""

import click

from clinicmart.options import home_option, recorded
from foundation.home import Home


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND [OPTIONS]...")
@home_option
@recorded
def dbt(home: Home, arguments: tuple[str, ...]) -> int:
    """Run dbt on the warehouse of a home: clinicmart dbt docs generate, dbt build, dbt test, dbt compile, dbt ls, and so on.

    Clinicmart sets the project, the connection, the key (it is not printed) and the folder for dbt's files (dbt/command in the home).
    All options but --home go to dbt. `clinicmart dbt shell` opens a shell in the dbt project, where you type dbt alone. The exit code is
    dbt's: 0 done, 1 a model or a test failed, 2 wrong options.

    dbt builds and tests the tenants that the last load touched; dbt build --full-refresh takes all. Nothing is published: the next
    clinicmart run builds every tenant again and publishes. On a home with --target postgres only commands that change nothing are
    possible. dbt does not start while a pipeline run is under way; a run that begins meanwhile waits for dbt.
    """
    if not arguments:
        raise click.UsageError("which dbt command? For example: clinicmart dbt docs generate")
    if arguments[0].startswith("-") and arguments[0] not in ("--version", "--help"):
        raise click.UsageError(
            f"{arguments[0]} is written before dbt's command. Write the command first, for example: clinicmart dbt build {arguments[0]}"
        )
    from dagster_project.dbt_command import run_dbt

    return run_dbt(home, arguments)
