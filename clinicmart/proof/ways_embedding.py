"""Ways through pages in sites of others: tickets of a site that may show one page of one unit."""

import http.client
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

from clinicmart.proof.canaries import PLACES, TENANTS, Allowed, organisation_word, unit_id
from clinicmart.proof.server import Server
from clinicmart.proof.site import Person, Site
from clinicmart.proof.trials import Judge, Trial, Way
from dashboards.embedding import OPEN_PATH, TICKETS_PATH
from foundation.errors import AccessError
from serving.modules import PAGES
from serving.people.api_tokens import ALLOWED
from serving.people.embedding_tickets import Ticket

ORIGIN = "https://portal.example.org"
# The site shows this page of this unit and of the one below it.
PAGE, PLACE, WITHIN = "overview", "east", ("east", "lab")


def _ticket(server: Server, tenant: str, secret: str, **wish: Any) -> str:
    """The path that opens a ticket. Raises AccessError for a refusal."""
    headers = (("Authorization", f"Bearer {secret}"), ("Content-Type", "application/json"))
    wanted = json.dumps({"page": PAGE, "period": "year_to_date"} | wish)
    status, text = server.ask(TICKETS_PATH, host=f"{tenant}.localhost", headers=headers, body=wanted)
    if status != http.client.CREATED:
        raise AccessError(f"status {status}: {text}")
    parts = urlsplit(json.loads(text)["url"])
    return f"{parts.path}?{parts.query}"


def _opened(server: Server, tenant: str, path: str, origin: str = ORIGIN) -> str:
    """The page of a ticket. Raises AccessError for a refusal."""
    return server.body(
        path, host=f"{tenant}.localhost", headers=(("Referer", f"{origin}/"), ("Sec-Fetch-Dest", "iframe"))
    )


def _sites(site: Site, server: Server) -> Iterator[Trial]:
    """What a site of one tenant shows, and everything that it must not show."""
    tenant, foreign = TENANTS
    judge = Judge(site, "embedding", tenant, None)
    sites, allowed = site.access.embedding_sites, Allowed(tenant=tenant, places=WITHIN)
    make = partial(sites.create, name="proof", origin=ORIGIN, pages=[PAGE], days=1, actor="proof")
    secret = make(tenant, unit_ids=[unit_id(tenant, PLACE)])
    registered = sites.of_secret(secret)
    if registered is None:
        raise AccessError("the site was not registered")

    def shown(**wish: Any) -> str:
        return _opened(server, tenant, _ticket(server, tenant, secret, **wish))

    def forged(**changes: Any) -> str:
        """The page of a ticket with our own signature that says more than the site may show."""
        claims = {"tenant_id": tenant, "site_id": registered.token_id, "origin": ORIGIN, "page": PAGE} | changes
        token = site.access.signed_ticket(Ticket(**claims), timedelta(minutes=1))
        return _opened(server, tenant, f"{OPEN_PATH}?token={quote(token)}")

    trial: Callable[..., Trial] = partial(
        judge.trial,
        control="the site shows its page",
        holds=lambda: organisation_word(tenant, PLACE) in shown(),
        allowed=allowed,
    )
    yield trial(f"show the page {PAGE} of the unit {PLACE}", shown)
    for place in (place for place in PLACES if place not in WITHIN):
        unit = unit_id(tenant, place)
        yield trial(f"ask for the unit {place}", partial(shown, unit=unit), must_refuse=True)
        yield trial(f"forge a ticket for the unit {place}", partial(forged, place=unit), must_refuse=True)
    for page in (page for page in (*PAGES, "worklists", "administration") if page != PAGE):
        yield trial(f"ask for the page {page}", partial(shown, page=page), must_refuse=True)
    yield trial("forge a ticket for another tenant", partial(forged, tenant_id=foreign), must_refuse=True)
    yield trial("forge a ticket for another origin", partial(forged, origin="https://evil.example"), must_refuse=True)
    yield trial(
        "ask for a ticket at the other tenant's address", partial(_ticket, server, foreign, secret), must_refuse=True
    )
    path = _ticket(server, tenant, secret)
    yield trial(
        "open a ticket at the other tenant's address", partial(_opened, server, foreign, path), must_refuse=True
    )
    path = _ticket(server, tenant, secret)
    _opened(server, tenant, path)
    yield trial("open a ticket a second time", partial(_opened, server, tenant, path), must_refuse=True)
    path = _ticket(server, tenant, secret)
    elsewhere = partial(_opened, server, tenant, path, "https://evil.example")
    yield trial("open a ticket from a site that is not registered", elsewhere, must_refuse=True)
    ended = make(tenant)
    path = _ticket(server, tenant, ended)
    for each in sites.of_tenant(tenant):
        if each.is_open and each.token_id != registered.token_id:
            sites.revoke(tenant, each.token_id, actor="proof")
    yield trial("open a ticket of a site that was revoked", partial(_opened, server, tenant, path), must_refuse=True)


def _people(site: Site, server: Server, tenant: str, person: Person) -> Iterator[Trial]:
    """What a person signs in with gets no ticket."""
    judge, principal = Judge(site, "embedding person", tenant, person), site.principal(tenant, person)
    secret = site.access.embedding_sites.create(
        tenant, name="proof", origin=ORIGIN, pages=[PAGE], days=1, actor="proof"
    )
    held = {
        "session": site.access.create_session(principal),
        "token": site.access.api_tokens.create(principal, name="proof", allowed=ALLOWED, days=1, actor="proof"),
    }
    for name, value in held.items():
        yield judge.trial(
            f"ask for a ticket with the own {name}",
            partial(_ticket, server, tenant, value),
            control="the secret of a site gets one",
            holds=lambda: bool(_ticket(server, tenant, secret)),
            must_refuse=True,
        )


WAYS = (
    Way(key="embedding", title="Pages in sites of others", tries=_sites, is_of_site=True, needs_server=True),
    Way(key="embedding person", title="Tickets for sites of others", tries=_people, needs_server=True),
)
