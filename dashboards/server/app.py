"""The ASGI application: Streamlit with our routes and our gate in front, and the server that runs it."""

import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
import uvicorn
from starlette.middleware import Middleware
from streamlit import config
from uvicorn.config import LOGGING_CONFIG

from dashboards import Place, failures, served_home, theme
from dashboards.agents.door import AgentDoor
from dashboards.api.application import Door
from dashboards.embedding.door import EmbeddingDoor
from dashboards.pages import ALL
from dashboards.scim.door import ScimDoor
from dashboards.server import (
    console_routes,
    health_routes,
    oidc_routes,
    passkey_routes,
    second_factor_routes,
    signin_routes,
    support_routes,
    warm,
)
from dashboards.server.auth_gate import Gate
from foundation.errors import ConfigurationError
from foundation.exposure import check_exposure
from foundation.home import Home
from foundation.keys import serving_keys
from foundation.logs import log_as_json
from serving.counters import PAGE_ERRORS
from serving.open_files import close_all
from serving.people.principal import PLATFORM

ENTRY = Path(__file__).parents[1] / "entry" / "script.py"
SHUTDOWN_SECONDS = 5
log = logging.getLogger(__name__)


def configure_streamlit() -> None:
    """Lays our options over Streamlit's files and environment, so that the look does not hang on where it is installed."""
    config.get_config_options(force_reparse=True, options_from_flags=dict(theme.streamlit_options()))


@asynccontextmanager
async def _lifespan(_: st.App) -> AsyncIterator[None]:
    warm.start()
    yield
    close_all()


def _on_script_error(error: Exception) -> bool:
    """Last resort for what a page did not catch: logged by type, never shown. Messages may hold what was asked for."""
    PAGE_ERRORS.inc()
    log.error("a page failed: %s", failures.place_of(error))
    return True


def create_app(home: Path, *, domain: str = "localhost") -> st.App:
    """The application for one home. A process serves one home, as Streamlit's runtime is process-wide.

    `domain` is what people type: tenants are its subdomains, and other hosts are refused.

    Raises ConfigurationError where the home's key cannot be read.
    """
    app = st.App(
        ENTRY,
        routes=[
            *signin_routes.ROUTES,
            *second_factor_routes.ROUTES,
            *oidc_routes.ROUTES,
            *passkey_routes.ROUTES,
            *health_routes.ROUTES,
            *console_routes.ROUTES,
            *support_routes.ROUTES,
        ],
        middleware=[
            # Before the gate: what it answers has neither a session nor the gate's headers, which forbid every frame.
            Middleware(EmbeddingDoor),
            Middleware(Gate, pages=[page.key for page in ALL]),
            Middleware(Door),
            Middleware(AgentDoor),
            Middleware(ScimDoor),
        ],
        lifespan=_lifespan,
        on_script_error=_on_script_error,
    )
    configure_streamlit()
    # Streamlit logs the ids of live pages as warnings.
    logging.getLogger("streamlit.runtime.websocket_session_manager").setLevel(logging.ERROR)
    served = served_home.configure(Home.at(home), domain=domain)
    contradiction = served.access.check_audit_anchor()
    if contradiction:
        log.error("the audit log is not what was written: %s. Run clinicmart audit verify", contradiction)
        served.access.audit(
            PLATFORM, "system", "audit contradicted", detail={"problem": contradiction}, result="refused"
        )
    return app


def run(home: Path, place: Place) -> None:
    """Runs the application with uvicorn until a signal stops it.

    Raises ConfigurationError, before anything is started, where the port is taken, where the certificate cannot be used, and
    where other machines would reach the pages without TLS.
    """
    if place.log_format == "json":
        log_as_json(logging.WARNING)
    with serving_keys(Home.at(home)):
        _run(home, place)


def _run(home: Path, place: Place) -> None:
    check_exposure("The dashboards", place.host, certificate=place.certificate, proxy=place.trusted_proxy)
    address, port = place.host, place.port
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((address, port))
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {address}:{port}: {error.strerror}; choose another --port or --host"
            ) from None
        settings = uvicorn.Config(
            create_app(home, domain=place.domain),
            ssl_certfile=place.certificate,
            ssl_keyfile=place.key,
            proxy_headers=place.trusted_proxy is not None,
            forwarded_allow_ips=place.trusted_proxy,
            access_log=False,
            log_level="warning",
            log_config=None if place.log_format == "json" else LOGGING_CONFIG,
            server_header=False,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        try:
            settings.load()
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"the certificate or key cannot be used: {error.strerror or error}; give both in PEM"
            ) from None
        uvicorn.Server(settings).run(sockets=[bound])
