"""Ways through `serving`: figures, rows, names, files of scopes, extracts, versions, sources and the state of the feeds.

Each is tried by every role of a tenant, against other units of the tenant and against the other tenant, which has equal ids.
"""

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import polars as pl

from clinicmart.proof.canaries import AMOUNTS, AS_OF, LIVE_AT, PLACES, TENANTS, organisation_word, unit_id, waiting_at
from clinicmart.proof.site import OPERATOR, PEOPLE, Person, Site
from clinicmart.proof.trials import Judge, Trial, Way
from dashboards.data import Source
from foundation import duck
from foundation.home import Home
from foundation.live_state import live_path
from serving.extracts import extract, extract_bytes
from serving.model import MetricQuery
from serving.people.annotations import Annotation
from serving.people.principal import Principal
from serving.people.rights import ROLES, TRACED_LEVELS
from serving.reader import Reader, open_reader
from serving.scope_files.derive import scope_file
from serving.versions.store import current_version

ADMIN = PEOPLE[0]
# Longer tables (the calendar) hold nothing of a tenant.
MOST_DUMPED_ROWS = 50_000


def other(tenant: str) -> str:
    """The other tenant."""
    return TENANTS[1 - TENANTS.index(tenant)]


def text_of(frame: pl.DataFrame) -> str:
    """A frame as text, every value of it."""
    return frame.write_csv()


def figure(reader: Reader, metric: str, **where: str) -> object:
    """One figure."""
    return reader.query(MetricQuery(metrics=[metric], where=where))[metric][0]


def right_figure(site: Site, tenant: str, person: Person, metric: str) -> int | Decimal:
    """The figure that the planted rows add up to for a person."""
    value: int | Decimal = getattr(site.truth(tenant, person), metric)
    return value


def _figures(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """Every figure is the one of the person's own rows, and names no other unit, provider or payer."""
    judge, reader = Judge(site, "figure", tenant, person), site.reader(tenant, person)
    for metric in person.metrics:
        right = right_figure(site, tenant, person, metric)

        def attempt(metric: str = metric, right: object = right) -> str:
            value = figure(reader, metric)
            by_unit = reader.query(MetricQuery(metrics=[metric], by=["service_unit"]))
            # A figure counted from other people's rows is a leak, with or without names.
            foreign = "" if value == right else f" {organisation_word('nobody', 'ROWS')}"
            return text_of(by_unit) + foreign

        yield judge.trial(
            f"ask for {metric}, as a whole and by service unit",
            attempt,
            control=f"{metric} is what the rows of this person add up to",
            holds=lambda metric=metric, right=right: figure(reader, metric) == right,
        )
    for metric in person.refused:
        yield judge.trial(
            f"ask for {metric}, of a module that the role does not hold",
            lambda metric=metric: str(figure(reader, metric)),
            control=f"the administrator gets {metric}",
            holds=lambda metric=metric: (
                figure(site.reader(tenant, ADMIN), metric) == right_figure(site, tenant, ADMIN, metric)
            ),
            must_refuse=True,
        )


def _own_units(tenant: str, person: Person) -> list[str]:
    return [unit_id(tenant, place) for place in person.places]


def _foreign_units(tenant: str, person: Person) -> list[str]:
    """Units that the person may not see: of the tenant, and the one that only the other tenant has."""
    own = [unit_id(tenant, place) for place in PLACES if place not in person.places]
    return [*own, unit_id(other(tenant), "annex")]


def _filters(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """A filter for a unit outside the scope is refused, for figures and for rows."""
    judge, reader = Judge(site, "filter", tenant, person), site.reader(tenant, person)
    held = person.metrics
    for metric in held[:1]:
        for unit in _foreign_units(tenant, person):
            asks: list[tuple[str, Callable[..., str]]] = [
                ("ask for", lambda metric=metric, unit=unit: str(figure(reader, metric, service_unit=unit)))
            ]
            if reader.scope.row_tables_allowed:
                asks.append(
                    ("list the rows of", lambda metric=metric, unit=unit: text_of(_rows(reader, metric, unit)))
                )  # fmt: skip
            for words, ask in asks:
                yield judge.trial(
                    f"{words} {metric} at the unit {unit}",
                    ask,
                    control="the same question at an own unit is answered",
                    holds=lambda metric=metric: (
                        figure(reader, metric, service_unit=_own_units(tenant, person)[0]) is not None
                    ),
                    must_refuse=True,
                )


def _rows(reader: Reader, metric: str, unit: str | None = None, limit: int = 1000) -> pl.DataFrame:
    return reader.drill(metric, {} if unit is None else {"service_unit": unit}, limit=limit).frame


def _drills(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """Rows behind a figure are the person's own, with the columns of their identity level; who sees figures only gets none."""
    judge, reader = Judge(site, "drill", tenant, person), site.reader(tenant, person)
    for metric in person.metrics:
        if not right_figure(site, tenant, person, metric):
            continue
        if not reader.scope.row_tables_allowed:
            yield judge.trial(
                f"list the rows of {metric}",
                lambda metric=metric: text_of(_rows(reader, metric)),
                control="the administrator gets rows",
                holds=lambda metric=metric: _rows(site.reader(tenant, ADMIN), metric).height > 0,
                must_refuse=True,
            )
            continue
        tokens = _tokens(site, tenant) if reader.scope.identity_level != "identified" else set()

        def attempt(metric: str = metric, tokens: set[str] = tokens) -> str:
            frame = _rows(reader, metric)
            units = set(frame["service_unit_id"]) - {*_own_units(tenant, person), "unknown"}
            amounts = _foreign_amounts(frame, tenant)
            named = [organisation_word("nobody", "UNIT")] * bool(units) + [
                organisation_word("nobody", "MONEY")
            ] * amounts
            named += ["ZQPTOKEN"] * bool(tokens & set(text_of(frame).replace("\n", ",").split(",")))
            return text_of(frame) + " ".join(named)

        yield judge.trial(
            f"list all rows of {metric}",
            attempt,
            control="rows are listed, and as many as the figure says",
            holds=lambda metric=metric: _as_many_as_the_figure(site, tenant, person, reader, metric),
        )


def _as_many_as_the_figure(site: Site, tenant: str, person: Person, reader: Reader, metric: str) -> bool:
    drilled = reader.drill(metric, limit=1000)
    right = right_figure(site, tenant, person, metric)
    return drilled.frame.height > 0 and right in (drilled.total_rows, drilled.total_value)


def _foreign_amounts(frame: pl.DataFrame, tenant: str) -> bool:
    """Whether a row holds the amount of a charge of the other tenant."""
    foreign = set(AMOUNTS[other(tenant)].values())
    return any(
        value in foreign for name in frame.columns if name.endswith("_amount") for value in frame[name].drop_nulls()
    )


def _tokens(site: Site, tenant: str) -> set[str]:
    """The tokens of the tenant's patients, as the administrator sees them."""
    return set(
        site.reader(tenant, ADMIN)._metrics.data.frame("select patient_id from warehouse.marts.dim_patients")[
            "patient_id"
        ]
    ) - {"unknown"}


def _names(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """Lists of names hold the person's own units, and providers and payers of the own tenant."""
    judge, reader = Judge(site, "names", tenant, person), site.reader(tenant, person)
    if not person.metrics:
        return
    yield judge.trial(
        "list the names of service units, and the tree",
        lambda: text_of(reader.dimension_values("service_unit")) + text_of(reader.tree()),
        control="the person's own units are in the list",
        holds=lambda: {*_own_units(tenant, person)} & set(reader.dimension_values("service_unit")["id"]) != set(),
    )
    for name in ("provider", "payer"):
        if not any(name in metric.dimensions for metric in reader.metrics()):
            continue
        yield judge.trial(
            f"list the names of each {name}",
            lambda name=name: text_of(reader.dimension_values(name)),
            control="names of the own tenant are in the list",
            holds=lambda name=name: organisation_word(tenant, "") in text_of(reader.dimension_values(name)),
        )


def _scope_files(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """The file of a scope opens with its own key and with no other, and holds no foreign row."""
    judge, reader = Judge(site, "scope file", tenant, person), site.reader(tenant, person)
    path, key = scope_file(site.home, reader.version, reader.scope, reader.registry)
    own_text = _dump(site, path, key)
    for name, someone in _strangers(tenant, person):
        theirs = site.reader(name, someone)
        _, strange = scope_file(site.home, theirs.version, theirs.scope, theirs.registry)
        yield judge.trial(
            f"open the own file with the key of {someone.role.value} of {name}",
            lambda strange=strange: _dump(site, path, strange),
            control="the file opens with its own key",
            holds=lambda: bool(own_text),
            must_refuse=True,
        )
    yield judge.trial(
        "read every table of the own file",
        lambda: own_text,
        control="the file holds the tenant",
        holds=lambda: organisation_word(tenant, "GROUP") in own_text,
    )


def _strangers(tenant: str, person: Person) -> list[tuple[str, Person]]:
    """Whose keys are tried: the same role of the other tenant, both administrators, and the next role of the own tenant."""
    following = PEOPLE[(PEOPLE.index(person) + 1) % len(PEOPLE)]
    strangers = [(other(tenant), person), (other(tenant), ADMIN), (tenant, ADMIN), (tenant, following)]
    return [item for item in dict.fromkeys(strangers) if item != (tenant, person)]


def _dump(site: Site, path: Path, key: duck.FileKeys) -> str:
    """Every value of an encrypted DuckDB file."""
    with duck.session(site.home) as connection:
        duck.attach(connection, path, alias="opened", key=key, read_only=True)
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'opened'"
        ).fetchall()
        frames = [connection.execute(f'select * from opened."{schema}"."{name}"').pl() for schema, name in tables]
    return "".join(text_of(frame.select(pl.exclude(pl.List))) for frame in frames if frame.height < MOST_DUMPED_ROWS)


def _extracts(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """An extract holds what the person may see; roles without extracts get none."""
    judge, principal = Judge(site, "extract", tenant, person), site.principal(tenant, person)
    may = site.reader(tenant, person).scope.may_extract

    def attempt() -> str:
        with tempfile.TemporaryDirectory() as folder:
            report = extract(site.home, principal, Path(folder) / "extract.duckdb")
            return _dump(site, Path(folder) / "extract.duckdb", report.key) + _unzipped(site.home, principal)

    text = attempt() if may else ""
    yield judge.trial(
        "take an extract and run SQL over all of it" if may else "take an extract",
        (lambda: text) if may else attempt,
        control="the extract holds the tenant" if may else "the administrator may take an extract",
        holds=lambda: organisation_word(tenant, "GROUP") in text or site.reader(tenant, ADMIN).scope.may_extract,
        must_refuse=not may,
    )


def _unzipped(home: Home, principal: Principal) -> str:
    """Every value of the extract as a ZIP of Parquet files, and the texts beside them."""
    content, _ = extract_bytes(home, principal, file_format="parquet")
    texts = []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            held = archive.read(name)
            texts.append(
                text_of(pl.read_parquet(io.BytesIO(held)).select(pl.exclude(pl.List)))
                if name.endswith(".parquet")
                else held.decode()
            )
    return "".join(text for text in texts if text.count("\n") < MOST_DUMPED_ROWS)


def _versions(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """Versions and closes of the other tenant cannot be opened, by name or by a path."""
    judge, foreign = Judge(site, "version", tenant, person), other(tenant)
    version = current_version(site.home, foreign)
    assert version is not None
    for as_of in (version.version, f"../{foreign}/{version.version}", f"../../published/{foreign}/{version.version}"):
        yield judge.trial(
            f"open a version of the other tenant as {as_of.replace(version.version, 'VERSION')}",
            lambda as_of=as_of: site.reader(tenant, person, as_of=as_of).version.version,
            control="the same person of the other tenant opens it",
            holds=lambda: site.reader(foreign, person, as_of=version.version).version.version == version.version,
            must_refuse=True,
        )
    if tenant == TENANTS[0]:
        yield judge.trial(
            "open a month that only the other tenant closed",
            lambda: site.reader(tenant, person, as_of="close:2026-09").version.version,
            control="the same person of the other tenant opens it",
            holds=lambda: site.reader(foreign, person, as_of="close:2026-09").version.version == version.version,
            must_refuse=True,
        )


def _sources(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """From a row outside the scope nothing leads to its source records; without identity no row leads there."""
    judge, reader = Judge(site, "source", tenant, person), site.reader(tenant, person)
    level = reader.scope.identity_level
    rows = _rows(site.reader(tenant, ADMIN), "appointments")
    foreign = (
        rows
        if level not in TRACED_LEVELS
        else rows.filter(~pl.col("service_unit_id").is_in(_own_units(tenant, person)))
    )
    if not foreign.height:
        return
    row = str(foreign["appointment_id"][0])
    yield judge.trial(
        "follow an appointment that the person may not see to its source",
        lambda: str(reader.sources("fct_appointments", row).records),
        control="the administrator is led to its source",
        holds=lambda: len(site.reader(tenant, ADMIN).sources("fct_appointments", row).records) > 0,
        must_refuse=True,
    )


def _lineage(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """Lineage is shown for the figures that the person may ask for."""
    judge, reader = Judge(site, "lineage", tenant, person), site.reader(tenant, person)
    for metric in person.refused:
        yield judge.trial(
            f"ask where {metric} comes from",
            lambda metric=metric: str(reader.lineage(metric)),
            control="the administrator sees them",
            holds=lambda metric=metric: site.reader(tenant, ADMIN).lineage(metric) is not None,
            must_refuse=True,
        )
    for metric in person.metrics[:1]:
        yield judge.trial(
            f"ask where {metric} comes from, and read all of it",
            lambda metric=metric: str(reader.lineage(metric)),
            control="it is shown" if person.lineage else "the administrator sees it",
            holds=lambda metric=metric: (
                site.reader(tenant, person if person.lineage else ADMIN).lineage(metric) is not None
            ),
            must_refuse=not person.lineage,
        )


def _health(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """The state of the feeds names nothing of another tenant. A person who sees a part of the tenant sees no money of the whole."""
    judge, reader = Judge(site, "health", tenant, person), site.reader(tenant, person)
    whole = str(site.truth(tenant, ADMIN).billed_amount)

    def attempt() -> str:
        health = reader.health()
        text = "".join(str(frame.to_dicts()) for frame in vars(health).values() if isinstance(frame, pl.DataFrame))
        return text + f" {organisation_word('nobody', 'MONEY')}" * (reader.scope.is_restricted and whole in text)

    yield judge.trial(
        "read the state of the feeds",
        attempt,
        control="the administrator sees it",
        holds=lambda: site.reader(tenant, ADMIN).health().feeds.height > 0,
        must_refuse=not reader.scope.sees_health,
    )


def _cache(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """A page's kept answers: the same question, asked first by others, is answered to each from their own rows."""
    judge, reader = Judge(site, "cache", tenant, person), site.reader(tenant, person)
    for metric in person.metrics[:1]:
        for name, someone in ((other(tenant), person), (tenant, ADMIN), (other(tenant), ADMIN)):
            Source(site.reader(name, someone), site.principal(name, someone)).query([metric])
        mine = Source(reader, site.principal(tenant, person))
        right = right_figure(site, tenant, person, metric)

        def attempt(mine: Source = mine, metric: str = metric, right: object = right) -> str:
            value = mine.query([metric])[metric][0]
            return "" if value == right else organisation_word("nobody", "CACHE")

        yield judge.trial(
            f"ask a page for {metric} after others asked the same",
            attempt,
            control="the answer is there, from the person's own rows",
            holds=lambda metric=metric, right=right: figure(reader, metric) == right,
        )


def _today(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """The board of today has the person's units and codes for patients; the live state of the other tenant does not open."""
    judge, reader = Judge(site, "today", tenant, person), site.reader(tenant, person)
    right = sum(waiting_at(tenant, place) for place in person.places)

    def attempt() -> str:
        shown = reader.today(LIVE_AT)
        foreign = shown is not None and len(shown.waiting) != right
        return str(shown) + f" {organisation_word('nobody', 'ROWS')}" * foreign

    def admin_waits() -> bool:
        shown = site.reader(tenant, ADMIN).today(LIVE_AT)
        return shown is not None and len(shown.waiting) == sum(waiting_at(tenant, place) for place in PLACES)

    yield judge.trial(
        "read the board of today",
        attempt,
        control="the administrator sees the patients of all units",
        holds=admin_waits,
        must_refuse=not person.today,
    )
    own, foreign = (live_path(site.home, name) for name in (tenant, other(tenant)))

    def swapped() -> str:
        kept = own.read_bytes()
        own.write_bytes(foreign.read_bytes())
        try:
            return str(reader.today(LIVE_AT))
        finally:
            own.write_bytes(kept)

    yield judge.trial(
        "read the live state of the other tenant under the own name",
        swapped,
        control="the own live state opens again",
        holds=admin_waits,
        must_refuse=True,
    )


def _annotations(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """A person reads the annotations of own units and of those above, and changes none of the other tenant, whose ids are tried."""
    judge, reader = Judge(site, "annotation", tenant, person), site.reader(tenant, person)
    planted = {name: _planted_annotations(site, name) for name in TENANTS}
    may_read = ROLES[person.role].sees_annotations

    def attempt() -> str:
        written = [item.sentence for item in reader.annotations.standing()]
        return "\n".join([*written, *(item.sentence for item in reader.annotations.automatic())])

    yield judge.trial(
        "read all annotations",
        attempt,
        control="the administrator reads those of all units",
        holds=lambda: (
            set(planted[tenant]) <= {item.annotation_id for item in site.reader(tenant, ADMIN).annotations.standing()}
        ),
        must_refuse=not may_read,
    )
    for annotation_id in planted[other(tenant)][:1]:

        def remove(annotation_id: str = annotation_id) -> str:
            reader.annotations.remove(annotation_id)
            return "removed"

        yield judge.trial(
            "remove an annotation of the other tenant",
            remove,
            control="it still stands there",
            holds=lambda annotation_id=annotation_id: (
                annotation_id
                in {item.annotation_id for item in site.reader(other(tenant), ADMIN).annotations.standing()}
            ),
            must_refuse=True,
        )
    for unit in _foreign_units(tenant, person):
        yield judge.trial(
            f"write an annotation for the unit {unit}",
            lambda unit=unit: reader.annotations.add(_annotation(tenant, unit)).sentence,
            control="the administrator may write annotations",
            holds=lambda: site.reader(tenant, ADMIN).annotations.may_write,
            must_refuse=True,
        )


def _annotation(tenant: str, unit: str) -> Annotation:
    place = next((place for place in PLACES if unit_id(tenant, place) == unit), "nowhere")
    return Annotation(sentence=organisation_word(tenant, place), first_day=AS_OF, last_day=AS_OF, service_unit_id=unit)


def _planted_annotations(site: Site, tenant: str) -> list[str]:
    """Ids of one annotation for each unit of a tenant; the sentence holds the unit's planted word. Planted once."""
    annotations = site.reader(tenant, ADMIN).annotations
    standing = annotations.standing()
    if not standing:
        standing = tuple(annotations.add(_annotation(tenant, unit_id(tenant, place))) for place in PLACES)
    return [item.annotation_id for item in standing]


def _mixed_up(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """Rights of one tenant with the name of the other."""
    judge, foreign = Judge(site, "rights", tenant, person), other(tenant)
    own = site.principal(tenant, person)

    def attempt() -> str:
        from serving.people.scope import Scope

        return Scope.of(own, site.access.policy(foreign)).hash

    yield judge.trial(
        "use the policy of the other tenant",
        attempt,
        control="the policy of the own tenant makes a scope",
        holds=lambda: bool(site.reader(tenant, person).scope.hash),
        must_refuse=True,
    )


def _operator(site: Site) -> Iterator[Trial]:
    """A platform administrator has no way to data of a tenant."""
    judge = Judge(site, "platform", "platform", OPERATOR)
    borrowed = Principal(tenant_id=TENANTS[0], email=OPERATOR.email, display_name="root", role=OPERATOR.role)
    for words, principal in (
        ("open data as the platform's administrator", site.access.principal("platform", OPERATOR.email)),
        ("open data of a tenant under the platform's role", borrowed),
    ):
        yield judge.trial(
            words,
            lambda principal=principal: open_reader(site.home, principal).tenant.name,
            control="the tenant's administrator opens them",
            holds=lambda: site.reader(TENANTS[0], ADMIN).tenant.tenant_id == TENANTS[0],
            must_refuse=True,
        )


def _sign_in(site: Site, tenant: str, person: Person) -> Iterator[Trial]:
    """The user name is the same in both tenants; the password of one opens only that one."""
    from clinicmart.proof.site import PASSWORD

    judge = Judge(site, "password", tenant, person)
    store, strange = site.access, PASSWORD.format(tenant=other(tenant))
    yield judge.trial(
        "sign in with the password of the same user name in the other tenant",
        lambda: store.authenticate(tenant, person.email, strange).email,
        control="the own password signs in",
        holds=lambda: store.authenticate(tenant, person.email, PASSWORD.format(tenant=tenant)).tenant_id == tenant,
        must_refuse=True,
    )


WAYS = (
    Way(key="figure", title="Figures by name", tries=_figures),
    Way(key="filter", title="Filters for other units", tries=_filters),
    Way(key="drill", title="Rows behind a figure", tries=_drills),
    Way(key="names", title="Names of units, providers and payers", tries=_names),
    Way(key="scope file", title="Files of scopes with the keys of others", tries=_scope_files),
    Way(key="extract", title="SQL over an extract", tries=_extracts),
    Way(key="version", title="Versions and closed months of the other tenant", tries=_versions),
    Way(key="source", title="Source records of a row", tries=_sources),
    Way(key="lineage", title="What a figure rests on", tries=_lineage),
    Way(key="health", title="State of the feeds", tries=_health),
    Way(key="cache", title="Kept answers of the pages", tries=_cache),
    Way(key="today", title="The board of today", tries=_today),
    Way(key="annotation", title="Annotations of other units and of the other tenant", tries=_annotations),
    Way(key="rights", title="Rights of one tenant under the name of the other", tries=_mixed_up),
    Way(key="password", title="Passwords of the other tenant", tries=_sign_in),
    Way(key="platform", title="The platform's administrator", tries=_operator, is_of_site=True),
)
