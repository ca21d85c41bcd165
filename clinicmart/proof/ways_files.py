"""Ways round `serving`: files of the home, what a run prints, quarantine, and a link in a feed's folder."""

import re
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner

from clinicmart.main import cli
from clinicmart.proof.canaries import BIRTH_DATE, PHONE, TENANTS, WORD, Allowed, message_visit, unit_id
from clinicmart.proof.site import Site
from clinicmart.proof.trials import Judge, Trial, Way
from clinicmart.proof.ways_reader import ADMIN

# Whole words: three bytes alone occur by chance in encrypted files.
_PLAIN = "ZQP(ALDERFAMILY|BIRCHFAMILY|GIVEN|STREET|TOWN|MAIL|MRN[0-9]|MEMBER)"
_IDENTITY = re.compile(f"{_PLAIN}|{PHONE}|{BIRTH_DATE}".encode(), re.IGNORECASE)
# Who runs commands on the server may see both tenants and numbers of records, and nobody's identity.
_SERVER_WORDS = Allowed(tenant=TENANTS[0], records=True)


def identities_in(folder: Path) -> list[str]:
    """Files below a folder in which a patient's identity stands in plain bytes, or whose name holds one; by path."""
    paths = []
    for file in sorted(folder.rglob("*")):
        if file.is_symlink() or not file.is_file():
            continue
        if _IDENTITY.search(file.read_bytes()) or _IDENTITY.search(file.name.encode()):
            paths.append(str(file.relative_to(folder)))
    return paths


def _plain_files(site: Site) -> Iterator[Trial]:
    """No file of the home holds a patient's identity in plain bytes: logs, the ledger, the orchestrator's databases."""
    judge = Judge(site, "file", "both", None)
    folders = sorted(path for path in site.home.path.iterdir() if path.is_dir() and path.name != "extensions")
    single = [path for path in sorted(site.home.path.iterdir()) if path.is_file()]
    names = [f"{path.name}/" for path in folders] + [path.name for path in single]
    for path, name in zip([*folders, *single], names, strict=True):

        def attempt(path: Path = path) -> str:
            holds = identities_in(path) if path.is_dir() else _identities_of(path)
            return "".join(f"ZQPIN{''.join(filter(str.isalnum, file)).upper()} " for file in holds)

        yield judge.trial(
            f"search {name} of the home for names, numbers and addresses of patients",
            attempt,
            control="the same search finds them in the feeds",
            holds=lambda: len(identities_in(site.feeds)) > 1,
        )


def _identities_of(file: Path) -> list[str]:
    return [file.name] if _IDENTITY.search(file.read_bytes()) else []


def _run_output(site: Site) -> Iterator[Trial]:
    """What the run printed, with its refusals, names no patient."""
    judge = Judge(site, "log", "both", None)
    both = [Allowed(tenant=tenant, records=True) for tenant in TENANTS]
    words = {word.upper() for word in WORD.findall(site.run_output)}
    wrong = [word for word in sorted(words) if all(allowed.crossings(word) for allowed in both)]
    yield judge.trial(
        "read what the pipeline run printed",
        lambda: " ".join(wrong),
        control="the run printed its refusals",
        holds=lambda: "does not begin with an HL7 v2 segment" in site.run_output,
    )


def _quarantine(site: Site) -> Iterator[Trial]:
    """The quarantine of one tenant shows no record of the other, and no name."""
    judge = Judge(site, "quarantine", TENANTS[0], None)
    home, tenant = str(site.home.path), TENANTS[0]

    def listed() -> str:
        return CliRunner().invoke(cli, ["quarantine", "list", "--tenant", tenant, "--home", home]).output

    def shown() -> str:
        entry = next(line.split()[0] for line in listed().splitlines() if f" {tenant} " in line)
        done = CliRunner().invoke(cli, ["quarantine", "show", entry, "--home", home])
        return done.output + str(done.exception or "")

    for words, attempt in (("list the quarantine", listed), ("show an entry of the quarantine", shown)):
        yield judge.trial(
            words,
            attempt,
            control="the row that was held back is there",
            holds=lambda attempt=attempt: "scheduled_start_at" in attempt(),
            allowed=_SERVER_WORDS,
        )


def _errors(site: Site) -> Iterator[Trial]:
    """Answers to wrong questions contain nothing about the other tenant."""
    judge = Judge(site, "error", TENANTS[0], ADMIN)
    own = ["--tenant", TENANTS[0], "--as", ADMIN.email, "--home", str(site.home.path)]

    def said(*words: str) -> str:
        done = CliRunner().invoke(cli, [*words, *own])
        return done.output + str(done.exception or "")

    asks = (
        (
            "drill into a unit of the other tenant",
            ("drill", "appointments", "--where", f"service_unit={unit_id(TENANTS[1], 'annex')}"),
        ),
        ("ask for a metric that is not there", ("metrics", "query", "nosuch")),
        ("open a row that is not there", ("source", "fct_claims", "nosuch")),
    )
    for words, ask in asks:
        yield judge.trial(
            f"read the error of a command: {words}",
            lambda ask=ask: said(*ask),
            control="the same command answers a right question",
            holds=lambda: (
                unit_id(TENANTS[0], "annex") in said("metrics", "query", "appointments", "--by", "service_unit")
            ),
        )


def _feed_link(site: Site) -> Iterator[Trial]:
    """A link in a feed's folder to the file of the other tenant is not followed."""
    first, second = TENANTS
    judge = Judge(site, "feed link", first, None)

    def visits(tenant: str) -> str:
        data = site.reader(tenant, ADMIN)._metrics.data
        sql = "select encounter_id from warehouse.marts.fct_encounters where encounter_id like 'ZQREMESSAGE%'"
        return " ".join(data.frame(sql)["encounter_id"])

    yield judge.trial(
        "read the other tenant's message through a link in the own feed's folder",
        lambda: "ZQPLINK" if message_visit(second) in visits(first) else "",
        control="both tenants have the visit of their message",
        holds=lambda: message_visit(first) in visits(first) and message_visit(second) in visits(second),
    )


WAYS = (
    Way(key="file", title="Plain bytes in the files of the home", tries=_plain_files, is_of_site=True),
    Way(key="log", title="What a pipeline run prints", tries=_run_output, is_of_site=True),
    Way(key="quarantine", title="Quarantine", tries=_quarantine, is_of_site=True),
    Way(key="error", title="Texts of errors", tries=_errors, is_of_site=True),
    Way(key="feed link", title="A link in a feed's folder", tries=_feed_link, is_of_site=True),
)
