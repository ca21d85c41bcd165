"""`clinicmart tenants add` and `metering`: a new organization, and what a billing system needs of each."""

from datetime import UTC, datetime
from pathlib import Path

import click

from clinicmart.options import existing_home, home_option, json_option, operator, print_json, print_result, recorded
from foundation.home import Home

_MONTH = click.DateTime(["%Y-%m"])


@click.command("add")
@click.argument("tenant_id", metavar="TENANT")
@click.option("--name", required=True, help="The name of the organization.")
@click.option(
    "--admin", "admin_email", required=True, help="User name of its first administrator, such as ada@clinic.example."
)
@click.option("--admin-name", default="", help="Name of the administrator that others see.")
@home_option
@json_option
@existing_home
def add_tenant(home: Home, tenant_id: str, name: str, admin_email: str, admin_name: str, as_json: bool) -> None:
    """Make the organization TENANT and invite its first administrator.

    Its people can sign in at once. Name its feeds in the configuration under the same id. A platform administrator does the same on the
    page /console.
    """
    from serving.people.store import AccessStore
    from serving.platform import create_organization

    wanted = {"admin_email": admin_email, "admin_name": admin_name}
    made = create_organization(home, AccessStore.open(home), tenant_id, name, **wanted, actor=operator())
    print_result(
        as_json,
        {"tenant": tenant_id, "administrator": made.email, "path": made.path},
        f"{made.email} chooses a password with this path at the organization's address, once, within 24 hours: {made.path}",
    )


@click.command("metering")
@home_option
@click.option("--from", "first", type=_MONTH, required=True, help="First month, such as 2026-10.")
@click.option("--to", "last", type=_MONTH, help="Last month. Default: the first one.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the CSV to this file.")
@click.option("--post", "url", help="Send the rows as JSON to this address of a billing system, signed.")
@click.option(
    "--secret-env", metavar="NAME", help="With --post: the environment variable that holds the secret of the signature."
)
@json_option
@recorded
def metering(
    home: Home,
    first: datetime,
    last: datetime | None,
    out: Path | None,
    url: str | None,
    secret_env: str | None,
    as_json: bool,
) -> None:
    """Print, as CSV, how many people used each organization in a month and which modules its plan granted.

    Months are calendar months in UTC. People are those who were signed in or asked with an own token.
    """
    import os
    from dataclasses import asdict

    from foundation.errors import ConfigurationError
    from serving.metering import metered, metering_csv
    from serving.metering_webhook import send
    from serving.people.principal import PLATFORM
    from serving.people.store import AccessStore

    if bool(url) != bool(secret_env) or (secret_env and not os.environ.get(secret_env)):
        raise ConfigurationError("--post needs --secret-env with the name of an environment variable that is set")
    store = AccessStore.open(home)

    days = [day.replace(tzinfo=UTC).date() for day in (first, last or first)]
    rows = metered(store, days[0], days[1])
    if url and secret_env:
        detail: dict[str, object] = {"rows": len(rows), "from": f"{days[0]:%Y-%m}", "to": f"{days[1]:%Y-%m}"}
        try:
            message = send(rows, url, os.environ[secret_env])
        except ConfigurationError as error:
            store.audit(PLATFORM, operator(), "metering sent", detail=detail | {"reason": str(error)}, result="refused")
            raise
        store.audit(PLATFORM, operator(), "metering sent", detail=detail | {"message": message})
        print_result(as_json, {"message": message, "rows": len(rows)}, f"{message}: {len(rows)} rows")
        return
    if out is not None:
        out.write_text(metering_csv(rows), encoding="utf-8", newline="")
    if as_json:
        print_json([asdict(row) for row in rows])
    elif out is None:
        click.echo(metering_csv(rows), nl=False)
    else:
        click.echo(f"{out}: {len(rows)} rows")
