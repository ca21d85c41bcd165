"""`clinicmart mcp`: figures of one person's scope for a language model on this machine."""

import click

from clinicmart.options import existing_home, home_option, person_of, tenant_option, user_option
from foundation.home import Home


@click.command()
@home_option
@tenant_option
@user_option
@existing_home
def mcp(home: Home, tenant: str, user: str) -> None:
    """Give an agent on this machine the figures that a user may see, over standard input and output (MCP).

    The agent gets figures and definitions, never rows. Every question is a row of the audit.
    """
    import getpass
    from contextlib import AbstractContextManager

    from dashboards.agents.tools import create_server
    from serving.people.caller import Caller, set_caller
    from serving.reader import Reader, open_reader

    person_of(home, tenant, user)

    def opens(as_of: str | None) -> AbstractContextManager[Reader]:
        # Rights are looked up for each question: the agent may run for days.
        set_caller(Caller(channel="agent", os_user=getpass.getuser()))
        return open_reader(home, person_of(home, tenant, user), as_of=as_of)

    create_server(opens).run("stdio")
