"""Ways in without a password: passkeys at foreign addresses, and tokens with which a provider keeps accounts."""

import secrets
from collections.abc import Iterator

from clinicmart.proof.authenticator import Authenticator
from clinicmart.proof.canaries import TENANTS, organisation_word
from clinicmart.proof.server import Server
from clinicmart.proof.site import PASSWORD, Site
from clinicmart.proof.trials import Judge, Trial, Way
from clinicmart.proof.ways_reader import ADMIN
from clinicmart.proof.ways_web import drawn
from dashboards.scim import PREFIX as SCIM
from serving.people.passkeys import CHALLENGE_BYTES, Place
from serving.people.principal import Role


def _place(server: Server, tenant: str) -> Place:
    host = f"{tenant}.localhost"
    return Place(tenant_id=tenant, host=host, origin=f"http://{host}:{server.port}", name=tenant)


def _passkeys(site: Site, server: Server) -> Iterator[Trial]:
    """The passkey of one tenant's person at the other tenant, and answers that a page elsewhere got."""
    judge, store, device = Judge(site, "passkey", TENANTS[0], ADMIN), site.access, Authenticator()
    own, foreign = (_place(server, tenant) for tenant in TENANTS)
    email, password = f"passkey{secrets.token_hex(4)}@clinic.example", PASSWORD.format(tenant=own.tenant_id)
    store.add_user(
        own.tenant_id, email, display_name="Passkey", role=Role.ORGANIZATION_ADMIN, password=password, must_change=False
    )
    session, challenge = (
        store.create_session(store.principal(own.tenant_id, email)),
        secrets.token_bytes(CHALLENGE_BYTES),
    )
    options = store.begin_passkey(session, password, own, challenge)
    store.add_passkey(session, own, challenge, device.make(options, own.origin), "proof")

    def attempt(place: Place, origin: str = "", host: str = "") -> str:
        asked = secrets.token_bytes(CHALLENGE_BYTES)
        answer = device.sign(store.passkey_request(place, asked), origin or place.origin, host=host)
        return drawn(server, place.tenant_id, store.sign_in_by_passkey(place, asked, answer))

    for words, place, origin, host in (
        ("at the address of the other tenant", foreign, "", ""),
        ("at the address of the other tenant, with an answer for the own one", foreign, own.origin, own.host),
        ("with an answer that another web page got", own, "https://evil.example", ""),
        ("with an answer for another host", own, "", "evil.example"),
    ):
        yield judge.trial(
            f"sign in with a passkey {words}",
            lambda place=place, origin=origin, host=host: attempt(place, origin, host),
            control="the passkey at the own address is let in",
            holds=lambda: bool(attempt(own)),
            must_refuse=True,
        )


def _accounts(site: Site, server: Server) -> Iterator[Trial]:
    """A provider's token of one tenant: people and groups of the other one, by every address that SCIM has."""
    own, foreign = TENANTS
    judge, store = Judge(site, "accounts", own, ADMIN), site.access
    tokens = {tenant: store.scim_tokens.create(tenant, name="proof", days=1, actor="proof") for tenant in TENANTS}
    added = {}
    for tenant in TENANTS:
        email = f"scim{secrets.token_hex(4)}@{tenant}.example"
        added[tenant] = store.add_account(
            tenant, email, display_name=f"Kept by {tenant}", is_active=True, external_id=None, actor="proof"
        )
    group = store.put_group(
        foreign, None, name=f"Group {foreign}", external_id=None, members=[added[foreign].account_id], actor="proof"
    )

    def ask(path: str, tenant: str = own, host: str = own) -> str:
        headers = (("Authorization", f"Bearer {tokens[tenant]}"),)
        text = server.body(f"{SCIM}{path}", host=f"{host}.localhost", headers=headers)
        # Not planted, but as foreign: whom the other tenant's provider keeps. Said with a planted word, so that the judge reads it.
        leaks = tenant == own and (added[foreign].email in text or f"Group {foreign}" in text)
        return f"{text} {organisation_word(foreign, '')}" if leaks else text

    for path in (f"/Users/{added[foreign].account_id}", f"/Groups/{group.group_id}"):
        yield judge.trial(
            f"read {path.split('/')[1]} of the other tenant by id",
            lambda path=path: ask(path),
            control="the other tenant's token reads it",
            holds=lambda path=path: foreign in ask(path, foreign, foreign),
            must_refuse=True,
        )
    yield judge.trial(
        "use the own token at the other tenant's address",
        lambda: ask("/Users", host=foreign),
        control="the own address answers",
        holds=lambda: added[own].email in ask("/Users?count=200"),
        must_refuse=True,
    )
    yield judge.trial(
        "list everybody with the own token",
        lambda: ask("/Users?count=200") + ask("/Groups"),
        control="the own account is listed",
        holds=lambda: added[own].email in ask("/Users?count=200"),
    )
    yield judge.trial(
        "open a page with a token of SCIM in place of a session",
        lambda: drawn(server, own, tokens[own]),
        control="a session is let in",
        holds=lambda: bool(drawn(server, own, store.create_session(site.principal(own, ADMIN)))),
        must_refuse=True,
    )


WAYS = (
    Way(
        key="passkey",
        title="Passkeys at foreign addresses",
        tries=_passkeys,
        is_of_site=True,
        needs_server=True,
    ),
    Way(
        key="accounts",
        title="Accounts that the other tenant's identity provider keeps",
        tries=_accounts,
        is_of_site=True,
        needs_server=True,
    ),
)
