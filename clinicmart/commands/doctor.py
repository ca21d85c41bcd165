"""`clinicmart doctor`: what is wrong in a home, what it means and what to do."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import click

from clinicmart.options import existing_home, home_option, json_option, operator, print_json
from foundation.errors import ClinicmartError
from foundation.home import Home

if TYPE_CHECKING:
    from foundation.findings import Finding


@click.command()
@home_option
@click.option("--repair", is_flag=True, help="Repair what is safe to repair: delete leftovers, mark damaged versions.")
@json_option
@existing_home
def doctor(home: Home, repair: bool, as_json: bool) -> int:
    """Check a home: keys, disk, databases, landed files and published versions byte by byte, closed months, the audit log, leftovers.

    docs/problems.md explains each code. Exit codes: 0 nothing is wrong, or all was repaired; 1 something is left to do.
    """
    from serving.people.principal import PLATFORM
    from serving.people.store import AccessStore

    # A home whose people cannot be opened is one of the findings.
    with suppress(Exception):
        AccessStore.open(home).audit(PLATFORM, operator(), "list", detail={"command": "doctor", "repair": repair})
    findings = list(_findings(home))
    repaired = [item for item in findings if repair and item.mend is not None and _mended(item)]
    open_findings = [item for item in findings if item not in repaired]
    if as_json:
        print_json([_facts(item) | {"is_repaired": item in repaired} for item in findings])
    else:
        for item in findings:
            _print(item, is_repaired=item in repaired)
        if not findings:
            click.echo(f"{home.path}: nothing is wrong. Tenants: {', '.join(home.tenants) or 'none'}")
    if open_findings:
        can = sum(item.mend is not None for item in open_findings)
        hint = f"; --repair repairs {can}" if can and not repair else ""
        click.echo(f"clinicmart: {len(open_findings)} of {len(findings)} findings are open{hint}", err=True)
    return 1 if open_findings else 0


def _findings(home: Home) -> Iterator["Finding"]:
    """Every finding. A check that meets an unreadable file is a finding; those after it go on."""
    from foundation import home_checks as machine_checks
    from foundation.control_database import has_people, people_file
    from foundation.findings import finding
    from foundation.keys import Keys
    from ingest import home_checks as ledger_checks
    from ingest.ledger import Ledger
    from serving import home_checks as serving_checks

    for check in (machine_checks.disk, machine_checks.rights, machine_checks.databases, machine_checks.left_over):
        yield from _tried(partial(check, home), home.path)
    try:
        keys = Keys.of(home)
    except (ClinicmartError, OSError) as error:
        yield finding("key_wrong", home.master_key, detail=str(error))
        return
    if home.ledger.exists():
        ledgers: list[Ledger] = []
        yield from _tried(lambda: ledgers.append(Ledger(home)) or (), home.ledger)  # type: ignore[func-returns-value]
        for ledger in ledgers:
            yield from _tried(partial(ledger_checks.runs, home, ledger), home.ledger)
            for check_of_ledger in (
                ledger_checks.landed_files,
                ledger_checks.quarantine_files,
                ledger_checks.warehouse,
            ):
                yield from _tried(partial(check_of_ledger, home, keys, ledger), home.ledger)
            ledger.close()
    for tenant_id in home.tenants:
        for each in (serving_checks.versions, serving_checks.closed_months):
            yield from _tried(partial(each, home, tenant_id), home.path)
    if has_people(home):
        yield from _tried(partial(serving_checks.audit, home), people_file(home))


def _tried(check: Callable[[], Iterable["Finding"]], subject: object) -> list["Finding"]:
    from foundation.faults import sentence_of
    from foundation.findings import finding

    findings: list[Finding] = []
    try:
        for item in check():
            findings.append(item)
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        findings.append(finding("cannot_check", subject, detail=sentence))
    return findings


def _mended(item: "Finding") -> bool:
    assert item.mend is not None
    try:
        item.mend()
    except (ClinicmartError, OSError) as error:
        click.echo(f"clinicmart: {item.subject}: {error}", err=True)
        return False
    return True


def _facts(item: "Finding") -> dict[str, object]:
    problem = item.problem
    return {
        "code": problem.code,
        "problem": problem.slug,
        "tenant_id": item.tenant_id or None,
        "subject": item.subject,
        "detail": item.detail,
        "meaning": problem.meaning,
        "remedy": problem.remedy,
        "can_repair": item.mend is not None,
    }


def _print(item: "Finding", *, is_repaired: bool) -> None:
    problem = item.problem
    click.echo(f"{problem.code} {problem.slug}: {item.subject}" + (f": {item.detail}" if item.detail else ""))
    click.echo(f"  {problem.meaning}")
    click.echo(f"  Repaired: {problem.repair}." if is_repaired else f"  What to do: {problem.remedy}")
