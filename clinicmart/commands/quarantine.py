"""`clinicmart quarantine`: what is held back, why, letting it through, and refused files that need no attention."""

import uuid

import click

from clinicmart.options import (
    existing_home,
    home_option,
    json_option,
    operator,
    print_json,
    print_result,
    print_table,
    recorded,
    tenant_option,
)
from foundation.home import Home


@click.group()
def quarantine() -> None:
    """Show and release rows and records in quarantine; acknowledge refused files."""


@quarantine.command("list")
@home_option
@click.option("--tenant", help="Only this tenant.")
@json_option
@recorded
def list_(home: Home, tenant: str | None, as_json: bool) -> None:
    """List what is in quarantine: feed, entity, problem code, reason, rows, money in US dollars, first position.

    docs/problems.md explains each code: what happened and what to do.
    """
    from ingest.landing.quarantine import held_rows
    from ingest.ledger import Ledger
    from ingest.problems import with_codes

    rows = with_codes(held_rows(Ledger(home), tenant))
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("Quarantine is empty.")
        return
    names = (
        "held_id",
        "tenant_id",
        "feed",
        "entity",
        "code",
        "reason",
        "column_name",
        "rows",
        "amount",
        "first_position",
        "detail",
    )
    print_table(
        ["Entry", "Tenant", "Feed", "Entity", "Code", "Reason", "Column", "Rows", "Amount", "First position", "Detail"],
        [[row[name] for name in names] for row in rows],
    )


@quarantine.command()
@click.argument("entry", type=int)
@home_option
@json_option
@recorded
def show(home: Home, entry: int, as_json: bool) -> None:
    """Show the files and positions of one entry, without the content of its rows."""
    from foundation.keys import Keys
    from ingest.landing.quarantine import held_details
    from ingest.ledger import Ledger
    from ingest.problems import problems, with_codes

    (details,) = with_codes([held_details(home, Keys.of(home), Ledger(home), entry)])
    if as_json:
        print_json(details)
        return
    column = f" of {details['column_name']}" if details["column_name"] else ""
    click.echo(
        f"{details['tenant_id']}/{details['feed']}: {details['rows']} {details['entity']} rows, {details['reason']}{column}"
    )
    if (problem := problems().get(details["reason"])) is not None:
        click.echo(f"{problem.code}: {problem.meaning} {problem.remedy}")
    for unit_id, name in details["units"].items():
        click.echo(f"unit {unit_id} is {name}")
    examples = details["examples"]
    print_table(list(examples[0]) if examples else [], [list(row.values()) for row in examples])


@quarantine.command()
@click.argument("entry", type=int)
@home_option
@json_option
@recorded
def release(home: Home, entry: int, as_json: bool) -> None:
    """Check the rows of one entry again, and land the rows that pass. The next run publishes them."""
    from foundation.keys import Keys
    from ingest.landing.quarantine import release as release_entry
    from ingest.ledger import Ledger

    ledger = Ledger(home)
    landed, held = release_entry(home, Keys.of(home), ledger, entry, run_id=f"release-{uuid.uuid4()}")
    print_result(as_json, {"landed": landed, "held": held}, f"{landed} rows landed, {held} rows stay in quarantine.")


@quarantine.command()
@click.argument("mark")
@home_option
@tenant_option
@click.option("--reason", help="Why the file needs no attention. It is kept and shown, so name no patient in it.")
@click.option("--withdraw", is_flag=True, help="Remove the acknowledgement again.")
@json_option
@existing_home
def acknowledge(home: Home, mark: str, tenant: str, reason: str | None, withdraw: bool, as_json: bool) -> None:
    """Acknowledge a refused file. MARK is what messages and `clinicmart status` show in place of its name: 9b04754d74.835.

    Later runs no longer end with exit code 1 because of this file. It stays refused: none of its records landed. If the file changes
    and is refused again, that is a new problem. The audit log keeps who acknowledged it, when and why.
    """
    from foundation.keys import Keys
    from ingest.accounts import acknowledged
    from ingest.ledger import Ledger
    from serving.people.store import AccessStore

    if bool(reason and reason.strip()) == withdraw:
        raise click.UsageError("give either --reason or --withdraw")
    keys, ledger = Keys.of(home), Ledger(home)
    try:
        if withdraw:
            file = acknowledged.withdraw(ledger, keys, tenant, mark)
        else:
            file = acknowledged.acknowledge(ledger, keys, tenant, mark, reason=str(reason).strip(), by=operator())
    finally:
        ledger.close()
    action = "acknowledgement withdrawn" if withdraw else "refused file acknowledged"
    facts = {"feed": file["feed"], "mark": file["mark"], "reason": reason}
    AccessStore.open(home).audit(tenant, operator(), action, detail=facts)
    ending = "is not acknowledged any more" if withdraw else "is acknowledged; the next run says so"
    print_result(as_json, facts | {"acknowledged": not withdraw}, f"{tenant}/{file['feed']}: {file['mark']} {ending}")
