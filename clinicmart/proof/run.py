"""Runs the ways, all of them or some, and gathers what came of each trial."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack

from clinicmart.proof import (
    ways_api,
    ways_built,
    ways_console,
    ways_embedding,
    ways_files,
    ways_reader,
    ways_reports,
    ways_sign_in,
    ways_sql,
    ways_support,
    ways_web,
)
from clinicmart.proof.canaries import TENANTS
from clinicmart.proof.server import COMMAND, Server, serving
from clinicmart.proof.site import PEOPLE, Person, Site
from clinicmart.proof.trials import Trial, Way

# Files last: what the other ways left in the home is searched too.
WAYS: tuple[Way, ...] = (
    *ways_reader.WAYS,
    *ways_reports.WAYS,
    *ways_built.WAYS,
    *ways_sql.WAYS,
    *ways_web.WAYS,
    *ways_sign_in.WAYS,
    *ways_api.WAYS,
    *ways_embedding.WAYS,
    *ways_console.WAYS,
    *ways_support.WAYS,
    *ways_files.WAYS,
)


def run_ways(
    site: Site,
    *,
    only: Collection[str] = (),
    tenants: Sequence[str] = TENANTS,
    people: Sequence[Person] = PEOPLE,
    serve: Sequence[str] = COMMAND,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Trial]:
    """The trials of every way, or of those whose keys are in `only`, for some people (one of each role) of some tenants.

    `serve` is the command that serves the dashboards; `tell` gets the title of each way before that way begins.
    """
    chosen = [way for way in WAYS if not only or way.key in only]
    with ExitStack() as stack:
        server = stack.enter_context(serving(site, serve)) if any(way.needs_server for way in chosen) else None
        for way in chosen:
            tell(way.title)
            yield from _tried(way, site, server, tenants, people)


def _tried(
    way: Way, site: Site, server: Server | None, tenants: Sequence[str], people: Sequence[Person]
) -> Iterator[Trial]:
    common = (site, server) if way.needs_server else (site,)
    if way.is_of_site:
        yield from way.tries(*common)
        return
    for tenant in tenants:
        for person in people:
            yield from way.tries(*common, tenant, person)
