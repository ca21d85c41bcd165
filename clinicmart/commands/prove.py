"""`clinicmart audit prove` and `verify-report`: a signed proof that nobody sees what belongs to another."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from clinicmart.options import existing_home, home_option, json_option, operator, print_json
from foundation.home import Home


@click.command()
@home_option
@click.option("--out", "folder", type=click.Path(path_type=Path, file_okay=False), help="Folder for the report.")
@click.option("--quick", is_flag=True, help="Try the roles of one tenant only.")
@click.option("--public-key", "shows_key", is_flag=True, help="Print the public key of this installation and stop.")
@json_option
@existing_home
def prove(home: Home, folder: Path | None, quick: bool, shows_key: bool, as_json: bool) -> int:
    """Prove that nobody sees what belongs to another. Exit code 1: something came across, or a control did not hold.

    The proof makes a separate home in a temporary folder, with two tenants that share every id, and tries every way to data as
    every role. PostgreSQL logins are not tried. Data of --home are not opened; its key signs the report. Writes proof.json
    (signed) and proof.txt.
    """
    from clinicmart.proof.report import public_key, report_of, signing_key, write_report

    key = signing_key(home)
    if shows_key:
        if as_json:
            print_json({"public_key": public_key(key)})
        else:
            click.echo(public_key(key))
        return 0
    if folder is None:
        raise click.UsageError("name a folder for the report with --out")
    from clinicmart.progress import shown
    from clinicmart.proof.canaries import TENANTS
    from clinicmart.proof.run import run_ways
    from clinicmart.proof.site import make_site

    with _apart(), tempfile.TemporaryDirectory(prefix="clinicmart-proof-") as place:
        with shown("Reading the planted feeds of two tenants"):
            site = make_site(Path(place))
        tenants = TENANTS[:1] if quick else TENANTS
        trials = list(run_ways(site, tenants=tenants, tell=lambda title: click.echo(title, err=True)))
    report = report_of(trials, is_quick=quick)
    file = write_report(folder, report, key)
    _note(home, report)
    wrong = [trial for trial in trials if not trial.passed]
    for trial in wrong:
        came = trial.leaked or "the control does not hold"
        click.echo(f"[{trial.way}] {trial.role} of {trial.tenant}: {trial.tried}: {came}", err=True)
    if as_json:
        print_json({"trials": len(trials), "crossings": len(wrong), "report": str(file)})
    else:
        click.echo(f"{len(trials):,} trials, {len(wrong) or 'no'} crossings. {file}")
    return 1 if wrong else 0


def _note(home: Home, report: dict[str, object]) -> None:
    """One audit row of the platform: that a proof was made, and how it ended."""
    from serving.people.principal import PLATFORM
    from serving.people.store import AccessStore

    trials = report["trials"]
    assert isinstance(trials, list)
    detail = {"trials": len(trials), "is_quick": report["is_quick"]}
    result = "done" if report["passed"] else "refused"
    AccessStore.open(home).audit(PLATFORM, operator(), "access proved", detail=detail, result=result)


@contextmanager
def _apart() -> Iterator[None]:
    """Without this product's variables: the proof's home has its own keys and anchor."""
    held = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("CLINICMART_")}
    try:
        yield
    finally:
        os.environ.update(held)


@click.command("verify-report")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--public-key", "expected", help="The public key of the installation, as its operator gave it to you.")
@json_option
def verify_report(file: Path, expected: str | None, as_json: bool) -> int:
    """Verify a report of `clinicmart audit prove`: unchanged, signed by whom, and what it says. Needs no home and no network.

    Exit code 1: the report says that something came across. Exit code 2: the report was changed or has another key.
    """
    from clinicmart.proof.report import verified

    report = verified(file, expected)
    if as_json:
        print_json(report)
    else:
        of_key = (
            "of the key given" if expected else f"of the key {report['public_key']}; compare it with the operator's"
        )
        click.echo(f"unchanged, signature {of_key}\n{_outcome(report)}")
    return 0 if report.get("passed", report.get("is_proven")) else 1


def _outcome(report: Mapping[str, Any]) -> str:
    """What a report says, in a line: one of a proof of access, or of the removal of a tenant."""
    if "tried" in report:
        tried = report["tried"]
        what = "none opened any" if report["is_proven"] else "NOT PROVEN"
        return (
            f"{report['ended_at']}: tenant {report['tenant_id']} removed; {tried['keys']:,} keys were tried on {tried['files']:,} of its "
            f"files, {what}"
        )
    outcome = "no crossing" if report["passed"] else "CROSSINGS"
    return f"{report['made_at']}: {len(report['trials']):,} trials, {outcome}"
