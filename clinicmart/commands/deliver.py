"""`clinicmart deliver` and `clinicmart subscriptions`: pages by mail."""

from dataclasses import asdict
from pathlib import Path

import click

from clinicmart.options import (
    existing_home,
    home_option,
    json_option,
    operator,
    person_of,
    print_json,
    print_result,
    print_table,
    recorded,
    tenant_option,
)
from foundation.errors import ConfigurationError
from foundation.home import Home


@click.command()
@home_option
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The configuration file with the section mail. Default: that of the last run.",
)
@json_option
@existing_home
def deliver(home: Home, config: Path | None, as_json: bool) -> None:
    """Send the mails of subscriptions that are due, evaluate alerts and send their alarms.

    Each recipient gets the figures of the own scope. A mail that was not sent is tried again with a later call. Exits with 1 if a
    mail was not sent.
    """
    from dashboards.delivery.alarms import send_alarms
    from dashboards.delivery.alone import alone
    from dashboards.delivery.send import send_due
    from foundation.kept_files import read_configuration_record
    from foundation.mail_server import load_mail

    file = config or Path(read_configuration_record(home.path).file or "")
    if not file.is_file():
        raise ConfigurationError("no configuration file is known for this home; name it with --config")
    server = load_mail(file)
    # Held around both: what was sent is always printed.
    with alone(home):
        outcomes = [*send_due(home, server), *send_alarms(home, server)]
    lines = [
        f"{item.tenant_id} {item.email}: {item.page}, {item.period}: {item.state}{f': {item.reason}' * bool(item.reason)}"
        for item in outcomes
    ]
    print_result(as_json, {"mails": [asdict(item) for item in outcomes]}, *(lines or ["no mail is due"]))
    if any(item.state != "sent" for item in outcomes):
        raise SystemExit(1)


@click.group()
def subscriptions() -> None:
    """Send pages and saved reports by mail to people of a tenant."""


@subscriptions.command()
@home_option
@tenant_option
@click.option("--domain", "domains", multiple=True, help="A domain of recipients. May be repeated.")
@click.option(
    "--content",
    type=click.Choice(["figures", "encrypted", "links"]),
    default="figures",
    show_default=True,
    help="What a mail holds: figures; figures in an encrypted PDF alone; or links alone.",
)
@json_option
@existing_home
def rule(home: Home, tenant: str, domains: tuple[str, ...], content: str, as_json: bool) -> None:
    """Set what may leave the tenant by mail. Without a domain nothing is sent."""
    from serving.people.store import AccessStore

    kept = AccessStore.open(home).subscriptions.set_rule(tenant, domains, content, actor=operator())
    listed = ", ".join(kept.domains) or "none"
    print_result(as_json, asdict(kept), f"{tenant}: domains {listed}; content {kept.content}")


@subscriptions.command()
@click.argument("email")
@home_option
@tenant_option
@click.option("--page", help="The page, by its name in the address, such as revenue_cycle.")
@click.option("--report", "report_id", default="", help="In place of a page: a saved report, by the id in its address.")
@click.option("--every", type=click.Choice(["week", "month"]), default="month", show_default=True, help="How often.")
@click.option("--delay", type=click.IntRange(0), default=1, show_default=True, help="Days after the end of the period.")
@click.option("--attach", type=click.Choice(["xlsx", "pdf"]), help="Attach the page as a file.")
@click.option("--password-prompt", is_flag=True, help="Ask for a password that opens the PDF.")
@json_option
@existing_home
def add(
    home: Home,
    email: str,
    tenant: str,
    page: str | None,
    report_id: str,
    every: str,
    delay: int,
    attach: str | None,
    password_prompt: bool,
    as_json: bool,
) -> None:
    """Send a page, or a report that was built and saved, to user EMAIL, after each week or month."""
    from serving.people.store import AccessStore
    from serving.report_definition import BUILDER

    if bool(page) == bool(report_id):
        raise ConfigurationError("name a page (--page) or a saved report (--report)")
    what = page or BUILDER
    password = click.prompt("Password of the PDF", hide_input=True, confirmation_prompt=True) if password_prompt else ""
    made = AccessStore.open(home).subscriptions.subscribe(
        person_of(home, tenant, email),
        page=what,
        report_id=report_id,
        every=every,
        delay_days=delay,
        file_format=attach or "",
        password=password,
        actor=operator(),
    )
    print_result(
        as_json,
        asdict(made),
        f"{made.subscription_id}: {made.email} gets {made.report_id or made.page} each {made.every}",
    )


@subscriptions.command("list")
@home_option
@tenant_option
@json_option
@recorded
def list_(home: Home, tenant: str, as_json: bool) -> None:
    """List the subscriptions of a tenant and its last mails."""
    from serving.people.store import AccessStore

    store = AccessStore.open(home).subscriptions
    kept, mails = store.of_tenant(tenant), store.deliveries(tenant)
    if as_json:
        print_json({"subscriptions": [asdict(item) for item in kept], "mails": [asdict(item) for item in mails]})
        return
    print_table(
        ["Id", "User", "Page or report", "Every", "Delay", "File", "Ended"],
        [
            [
                s.subscription_id,
                s.email,
                s.report_id or s.page,
                s.every,
                s.delay_days,
                s.file_format or None,
                s.ended_because or None,
            ]
            for s in kept
        ],
    )
    print_table(
        ["Mail", "Subscription", "From", "To", "State", "Attempts", "Reason"],
        [
            [m.delivery_id, m.subscription_id, str(m.period_start), str(m.period_end), m.state, m.attempts, m.reason]
            for m in mails
        ],
    )


@subscriptions.command()
@click.argument("subscription_id", type=int)
@home_option
@tenant_option
@json_option
@existing_home
def end(home: Home, subscription_id: int, tenant: str, as_json: bool) -> None:
    """End the subscription SUBSCRIPTION_ID."""
    from serving.people.store import AccessStore

    because = "ended by an administrator"
    AccessStore.open(home).subscriptions.end(tenant, subscription_id, because=because, actor=operator())
    print_result(as_json, {"subscription_id": subscription_id, "ended_because": because}, f"{subscription_id}: ended")


@subscriptions.command()
@click.argument("mail", type=int)
@home_option
@tenant_option
@json_option
@existing_home
def again(home: Home, mail: int, tenant: str, as_json: bool) -> None:
    """Try the mail MAIL again with the next sending, although it is unclear whether it arrived."""
    from serving.people.store import AccessStore

    AccessStore.open(home).subscriptions.send_again(tenant, mail, actor=operator())
    print_result(as_json, {"delivery_id": mail, "state": "noted"}, f"{mail}: is tried again")
