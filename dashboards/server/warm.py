"""Pays for the first page before anybody asks for it: imports and compiled questions, in a thread at start."""

import gc
import logging
import threading

from dashboards import breakdowns, data, figures, served_home
from dashboards import view as states
from dashboards.pages.overview import page as overview
from foundation.errors import ClinicmartError
from serving.modules import PAGES
from serving.people.principal import Principal, Role
from serving.people.shown import gathering

log = logging.getLogger(__name__)


def questions(source: data.Source) -> None:
    """Asks what the pages ask at first; the compiled questions serve every tenant and scope of the same definitions."""
    view = states.parse({}, source.as_of)
    for page in PAGES.values():
        if page is overview.PAGE:
            overview.questions(source, view)
        elif page.table:
            figures.load(source, view, page.tiles)
            breakdowns.below(source, view, page.table)


def _warm() -> None:
    _ask_first_questions()
    # Streamlit collects garbage after every run of a page, and looks at every object there is: what was imported and compiled took more
    # time than the page itself. It stays as long as the process, so collections leave it out from now on.
    gc.collect()
    gc.freeze()


def _ask_first_questions() -> None:
    for tenant_id in served_home.tenants():
        # Nobody signs in as this: it sees what the tenant's administrators see and is gone when the thread ends.
        nobody = Principal(tenant_id=tenant_id, email="", display_name="", role=Role.ORGANIZATION_ADMIN)
        try:
            with gathering():
                questions(data.source_of(nobody))
        except ClinicmartError as error:
            log.info("not warmed for a tenant: %s", type(error).__name__)
            continue
        return


def start() -> None:
    """Starts warming; returns at once. A process that stops does not wait for it."""
    threading.Thread(target=_warm, name="warm", daemon=True).start()
