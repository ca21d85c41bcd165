"""`clinicmart keys`: keys for processes that may not hold the master key."""

import base64

import click

from clinicmart.options import existing_home, home_option, json_option, operator, print_json
from foundation.home import Home


@click.group()
def keys() -> None:
    """Print the key of a process that may read only a part of the home."""


@keys.command()
@home_option
@json_option
@existing_home
def serving(home: Home, as_json: bool) -> None:
    """Print the key for `clinicmart serve`, to give it as CLINICMART_SERVING_KEY.

    It opens published files, closed months, sessions and the audit log. It does not open landed files, the patient vault, the
    inbox or the warehouse. Printing it is recorded in the audit log.
    """
    from foundation.keys import SERVING_VARIABLE, Keys
    from serving.people.principal import PLATFORM
    from serving.people.store import AccessStore

    held = Keys.of(home)
    # The key first: a process that holds the serving key alone is refused before anything is recorded.
    key = base64.b64encode(held.serving_key).decode()
    held.grant_serving(home, home.published_tenants())
    AccessStore.open(home).audit(PLATFORM, operator(), "serving key printed")
    if as_json:
        print_json({"variable": SERVING_VARIABLE, "key": key})
    else:
        click.echo(key)
