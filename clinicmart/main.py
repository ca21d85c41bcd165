"""Entry point of `clinicmart`: imports the module of a command only when it is used, and turns errors into one line and an exit
code."""

import importlib
import os
import sys

import click

from clinicmart.harmless import make_harmless
from foundation.errors import ClinicmartError

# Command -> (module, attribute).
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("clinicmart.commands.demo", "demo"),
    "control-database": ("clinicmart.commands.control_database", "control_database"),
    "upgrade": ("clinicmart.commands.upgrade", "upgrade"),
    "run": ("clinicmart.commands.run", "run"),
    "listen": ("clinicmart.commands.listen", "listen"),
    "sources": ("clinicmart.commands.sources", "sources"),
    "status": ("clinicmart.commands.status", "status"),
    "quarantine": ("clinicmart.commands.quarantine", "quarantine"),
    "metrics": ("clinicmart.commands.metrics", "metrics"),
    "drill": ("clinicmart.commands.metrics", "drill"),
    "targets": ("clinicmart.commands.targets", "targets"),
    "annotations": ("clinicmart.commands.annotations", "annotations"),
    "forecasts": ("clinicmart.commands.forecasts", "forecasts"),
    "close": ("clinicmart.commands.close", "close"),
    "lineage": ("clinicmart.commands.lineage", "lineage"),
    "source": ("clinicmart.commands.source", "source"),
    "identity": ("clinicmart.commands.identity", "identity"),
    "extract": ("clinicmart.commands.extract", "extract"),
    "report": ("clinicmart.commands.report", "report"),
    "saved-reports": ("clinicmart.commands.report", "saved_reports"),
    "content": ("clinicmart.commands.content", "content"),
    "subscriptions": ("clinicmart.commands.deliver", "subscriptions"),
    "deliver": ("clinicmart.commands.deliver", "deliver"),
    "alerts": ("clinicmart.commands.alerts", "alerts"),
    "keys": ("clinicmart.commands.keys", "keys"),
    "serve": ("clinicmart.commands.serve", "serve"),
    "dagster": ("clinicmart.commands.serve", "dagster"),
    "tenants": ("clinicmart.commands.people", "tenants"),
    "users": ("clinicmart.commands.people", "users"),
    "tokens": ("clinicmart.commands.tokens", "tokens"),
    "mcp": ("clinicmart.commands.mcp", "mcp"),
    "modules": ("clinicmart.commands.people", "modules"),
    "audit": ("clinicmart.commands.people", "audit"),
    "bi-login": ("clinicmart.commands.bi", "bi_login"),
    "backup": ("clinicmart.commands.backup", "backup"),
    "restore": ("clinicmart.commands.backup", "restore"),
    "replay": ("clinicmart.commands.replay", "replay"),
    "doctor": ("clinicmart.commands.doctor", "doctor"),
    "dbt": ("clinicmart.commands.dbt", "dbt"),
    "compare-engines": ("clinicmart.commands.engines", "compare_engines"),
    "sample": ("clinicmart.commands.sample", "sample"),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when used."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from foundation.near_names import near

            ctx.fail(f"No such command {args[0]!r}{near(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="clinicmart")
def cli() -> None:
    """Clinicmart: an analytics and reporting warehouse for groups of clinics."""


def _name_caller() -> None:
    """Audit rows of commands name the operating-system account. `--as` names the person whose rights are used, not the person who
    typed."""
    import getpass

    from serving.people.caller import Caller, set_caller

    try:
        account = getpass.getuser()
    except (KeyError, OSError):
        account = str(os.getuid())
    set_caller(Caller(channel="command line", os_user=account))


def main() -> None:
    """Runs the command line. Exit codes: 0 done, 1 stopped by a gate or a feed, 2 bad configuration or options."""
    # What a command writes is for its owner alone, and names in feeds do nothing to a terminal.
    os.umask(0o077)
    make_harmless()
    _name_caller()
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except ClinicmartError as error:
        click.echo(f"clinicmart: {error}", err=True)
        code = error.exit_code
    except BrokenPipeError:
        # The reader of our output went away (head, less): nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        from foundation.faults import sentence_of

        sentence = sentence_of(error)
        if sentence is None:
            raise
        click.echo(f"clinicmart: {sentence}", err=True)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
