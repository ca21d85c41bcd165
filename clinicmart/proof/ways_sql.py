"""The way through SQL: the person's own rows and no others, and no statement that leads out of them."""

from collections.abc import Iterator

from clinicmart.proof.canaries import organisation_word
from clinicmart.proof.site import PEOPLE, Person, Site
from clinicmart.proof.trials import Judge, Trial, Way
from clinicmart.proof.ways_reader import other, text_of
from foundation.duck import quoted
from serving.versions.store import current_version, files_of
from serving.workbench import Bench, Stop

ADMIN = PEOPLE[0]


def _bench(site: Site, tenant: str, person: Person) -> Bench:
    return Bench(site.home, site.access, site.principal(tenant, person), site.reader(tenant, person))


def _answer(bench: Bench, sql: str) -> str:
    return text_of(bench.run(sql, Stop()).frame)


def _all_rows(bench: Bench) -> str:
    """Every value of every table about the tenant; the calendar holds nothing of it."""
    return "".join(
        _answer(bench, f'from marts."{table.name}"') for table in bench.tables() if table.name != "dim_dates"
    )


def _ways_out(site: Site, tenant: str) -> list[tuple[str, str]]:
    """(what is tried, statement): files of the home and of the machine, the other tenant's, settings, and changes."""
    version = current_version(site.home, other(tenant))
    assert version is not None
    foreign = quoted(str(files_of(site.home, other(tenant), version.version).base))
    access, key = quoted(str(site.home.access)), quoted(str(site.home.master_key))
    return [
        ("attach the file of the other tenant", f"attach {foreign} as other (read_only)"),
        ("read the file of the other tenant as text", f"select content from read_blob({foreign})"),
        ("read the key of the home", f"select content from read_text({key})"),
        ("read the database of people", f"from {access}"),
        ("read it inside a condition", f"select 1 where exists (from read_blob({access}))"),
        ("read the schema of another database", "select * from warehouse.marts.fct_visits"),
        ("read settings, which name folders", "select * from duckdb_settings()"),
        ("write a file", "copy (select 1) to 'rows.csv'"),
        ("run a second statement", f"select 1; attach {foreign} as other"),
    ]


def _sql(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    judge = Judge(site, "sql", tenant, person)
    may = site.reader(tenant, person).scope.may_extract
    yield judge.trial(
        "ask every table with SQL" if may else "open the page SQL",
        lambda: _all_rows(_bench(site, tenant, person)),
        control="the answer names the own tenant" if may else "the administrator gets answers",
        holds=lambda: organisation_word(tenant, "GROUP") in _all_rows(_bench(site, tenant, person if may else ADMIN)),
        must_refuse=not may,
    )
    if not may:
        return
    bench = _bench(site, tenant, person)
    for tried, statement in _ways_out(site, tenant):
        yield judge.trial(
            tried,
            lambda statement=statement: _answer(bench, statement),
            control="a SELECT on an own table is answered",
            holds=lambda: (
                "true" in _answer(bench, "select count(*) > 0 as has_units from marts.dim_service_units").lower()
            ),
            must_refuse=True,
        )
    shared = f"select '{organisation_word(other(tenant), 'GROUP')}' as name"
    _bench(site, other(tenant), ADMIN).queries.save("shared", shared, is_shared=True)
    yield judge.trial(
        "list the saved and past queries",
        lambda: str(bench.queries.saved()) + str(bench.queries.history()),
        control="people of the other tenant see what is shared there",
        holds=lambda: shared in str(_bench(site, other(tenant), person).queries.saved()),
    )


WAYS: tuple[Way, ...] = (Way(key="sql", title="SQL on own rows, and out of them", tries=_sql),)
