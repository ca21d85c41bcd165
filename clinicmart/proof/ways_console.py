"""Ways through the console of the platform: nobody of an organization comes in, and who does meets no data."""

from collections.abc import Iterator

from clinicmart.proof.canaries import TENANTS, organisation_word
from clinicmart.proof.server import Server
from clinicmart.proof.site import OPERATOR, Person, Site
from clinicmart.proof.trials import Judge, Trial, Way
from clinicmart.proof.ways_reader import other

DOMAIN = "localhost"
METERING = "/console/metering.csv?from=2026-01&to=2026-01"


def _root_session(site: Site) -> str:
    return site.access.create_session(site.access.principal("platform", OPERATOR.email))


def _people(site: Site, server: Server, tenant: str, person: Person) -> Iterator[Trial]:
    """The console as somebody of an organization, at its address and at that of the platform."""
    judge = Judge(site, "console", tenant, person)
    token, root = site.access.create_session(site.principal(tenant, person)), _root_session(site)
    for path in ("/console", f"/console/{tenant}", f"/console/{other(tenant)}", f"/console/{tenant}/remove", METERING):
        for host in (DOMAIN, f"{tenant}.{DOMAIN}"):
            yield judge.trial(
                f"open {path} at {'the address of the platform' if host == DOMAIN else 'the own address'}",
                lambda path=path, host=host: server.body(path, host=host, token=token),
                control="the platform's administrator opens it",
                holds=lambda path=path: server.get(path, host=DOMAIN, token=root)[0] == 200,
                must_refuse=True,
            )


def _operator(site: Site, server: Server) -> Iterator[Trial]:
    """The console as its administrator: names of organizations and no other planted word; and no page of an organization."""
    judge, root = Judge(site, "console operator", "platform", OPERATOR), _root_session(site)

    def without_names(path: str) -> str:
        text = server.body(path, host=DOMAIN, token=root)
        # The names of organizations are known to the platform.
        for name in dict(site.access.tenants()).values():
            text = text.replace(f">{name}<", "><").replace(f",{name},", ",,")
        return text

    for path in ("/console", *(f"/console/{tenant}" for tenant in TENANTS), METERING):
        yield judge.trial(
            f"open {path}",
            lambda path=path: without_names(path),
            control="the console names the organization",
            holds=lambda: organisation_word(TENANTS[0], "") in server.body("/console", host=DOMAIN, token=root),
        )
    for path in ("/_stcore/health", "/_stcore/host-config"):
        yield judge.trial(
            f"ask {path}, as the pages do",
            lambda path=path: server.body(path, host=DOMAIN, token=root),
            control="the console answers",
            holds=lambda: server.get("/console", host=DOMAIN, token=root)[0] == 200,
            must_refuse=True,
        )


WAYS = (
    Way(key="console", title="The console of the platform", tries=_people, needs_server=True),
    Way(
        key="console operator",
        title="Administrators of the platform",
        tries=_operator,
        is_of_site=True,
        needs_server=True,
    ),
)
