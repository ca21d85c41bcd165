"""Ways in without a password: a passkey at the address of another tenant, and answers that a false page got."""

import secrets
from collections.abc import Iterator

from clinicmart.proof.authenticator import Authenticator
from clinicmart.proof.canaries import TENANTS
from clinicmart.proof.server import Server
from clinicmart.proof.site import PASSWORD, Site
from clinicmart.proof.trials import Judge, Trial, Way
from clinicmart.proof.ways_reader import ADMIN
from clinicmart.proof.ways_web import drawn
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


WAYS = (
    Way(
        key="passkey",
        title="Passkeys at foreign addresses",
        tries=_passkeys,
        is_of_site=True,
        needs_server=True,
    ),
)
