"""`clinicmart upgrade`: brings a home of an earlier release to the form of this one."""

from pathlib import Path

import click

from clinicmart.options import home_option, json_option, print_json


@click.command()
@home_option
@click.option(
    "--check", is_flag=True, help="Say what would change, and change nothing. Exit code 1 where something would."
)
@json_option
def upgrade(home: Path, check: bool, as_json: bool) -> int:
    """Bring a home that an earlier release wrote to the form of this release.

    Stop everything that works in the home first. The files that change are copied into its folder upgrade-backup. If the command is
    killed, run it again. See docs/upgrade.md.
    """
    from clinicmart import upgrade as upgrading
    from foundation.home import Home

    opened = Home.of_any_format(home)
    if not opened.is_used:
        raise click.UsageError(f"{home} is not a home of Clinicmart: name it with --home")
    if check:
        sentences = [change.sentence for change in upgrading.changes(opened)]
        if as_json:
            print_json({"home": str(opened.path), "format": opened.format, "changes": sentences})
        else:
            for sentence in sentences:
                click.echo(sentence)
            click.echo(
                f"{len(sentences)} changes; clinicmart upgrade --home {opened.path} makes them."
                if sentences
                else "The home has the form of this release."
            )
        return 1 if sentences else 0
    made: list[str] = []

    def tell(sentence: str) -> None:
        made.append(sentence)
        if not as_json:
            click.echo(sentence)

    upgrading.upgrade(opened, tell)
    if as_json:
        print_json({"home": str(opened.path), "format": opened.format, "changes": made})
    elif made:
        click.echo(f"Done. The files as they were lie in {upgrading.backup_folder(opened)}.")
    else:
        click.echo("The home has the form of this release.")
    return 0
