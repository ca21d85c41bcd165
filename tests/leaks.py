"""Holes made on purpose, one at a time, for tests of the proof: it must find each of them.

with hole("cookie"):
    ...                                        in this process
python -m tests.leaks cookie serve --home H   the command line with the hole, for the server's process
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from clinicmart.proof.canaries import TENANTS, organisation_word, patient_word
from dashboards import data
from dashboards.api import who
from dashboards.server import auth_gate
from foundation.errors import AccessError
from serving import reader
from serving.metrics.mart_data import MartData
from serving.model import Health
from serving.modules import MODULES_BY_NAME
from serving.people import scope, session_store, sessions, subscriptions, support_sessions
from serving.people.embedding_sites import EmbeddingSites
from serving.people.reports import Reports
from serving.people.store import AccessStore
from serving.people.tables import SAVED_REPORT
from serving.platform import Platform
from serving.rows import drill
from serving.scope_files import deidentify, derive


def _no_filter(patch: pytest.MonkeyPatch) -> None:
    """Scope files hold the rows of all units."""
    patch.setattr(derive._Cut, "conditions", lambda _self, table: [] if table.shared else ["tenant_id = $tenant"])


def _identity_shown(patch: pytest.MonkeyPatch) -> None:
    """De-identified scopes keep every column as published."""
    patch.setattr(deidentify, "treatment", lambda _column: "keep")


def _all_modules(patch: pytest.MonkeyPatch) -> None:
    """Every role holds every module."""
    everything = {role: replace(rule, modules=tuple(MODULES_BY_NAME)) for role, rule in scope.ROLES.items()}
    patch.setattr(scope, "ROLES", everything)


def _referrals_of_all(patch: pytest.MonkeyPatch) -> None:
    """A referral partner gets the referrals of the other partners too."""
    patch.setattr(derive._Cut, "_partner", lambda _self, _table: "true")


def _today_of_all_units(patch: pytest.MonkeyPatch) -> None:
    """The board of today shows every unit of the live state, under the name of the first."""
    drawn = reader.board

    def all_units(state, places, *rest):  # type: ignore[no-untyped-def]
        here = {row["service_unit_id"] for rows in state.rows.values() for row in rows}
        return drawn(state, [replace(places[0], unit_id=unit) for unit in sorted(here)], *rest)

    patch.setattr(reader, "board", all_units)


def _rows_for_all(patch: pytest.MonkeyPatch) -> None:
    """Who sees figures only gets rows."""
    asked = drill.drill

    def without_check(metrics, *arguments, **options):  # type: ignore[no-untyped-def]
        object.__setattr__(metrics.scope, "row_tables_allowed", True)
        return asked(metrics, *arguments, **options)

    patch.setattr(drill, "drill", without_check)


def _money_of_the_whole(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Health, "of_a_part", lambda self: self)


def _one_cache_for_all(patch: pytest.MonkeyPatch) -> None:
    """Pages keep answers by question alone."""
    kept: dict[str, object] = {}
    patch.setattr(
        data.Source, "_cached", lambda _self, question, ask: kept.setdefault(str(question), ask())
    )  # fmt: skip


def _talkative_error(patch: pytest.MonkeyPatch) -> None:
    """The refusal of a unit lists the units that there are, for everybody."""

    def refuse(_self, unit):  # type: ignore[no-untyped-def]
        raise AccessError(f"{unit} is none of {[organisation_word(tenant, 'annex') for tenant in TENANTS]}")

    patch.setattr(MartData, "path_of", refuse)


def _name_in_a_log(patch: pytest.MonkeyPatch) -> None:
    """Every audit row leaves a patient's name in a log file of the home."""
    write = AccessStore._audit

    def written(self, *arguments, **options):  # type: ignore[no-untyped-def]
        with (Path(self._anchor).parent / "debug.log").open("a", encoding="utf-8") as log:
            log.write(f"opened: {patient_word(TENANTS[0], 3)}\n")
        write(self, *arguments, **options)

    patch.setattr(AccessStore, "_audit", written)


def _cookie_of_any_tenant(patch: pytest.MonkeyPatch) -> None:
    """The gate does not compare the session's tenant with the host's."""
    patch.setattr(auth_gate, "tenant_of_host", lambda *_: None)


def _token_of_any_tenant(patch: pytest.MonkeyPatch) -> None:
    """The API does not compare the token's tenant with the host's."""
    patch.setattr(who, "tenant_of_host", lambda *_: None)


def _token_of_any_right(patch: pytest.MonkeyPatch) -> None:
    """What a token is allowed counts for nothing."""
    patch.setattr(who.Asking, "must_be_allowed", lambda self, _: who.set_caller(self.caller))


def _link_for_ever(patch: pytest.MonkeyPatch) -> None:
    """A link to a page in another site opens as often as somebody likes."""
    patch.setattr(EmbeddingSites, "use_ticket", lambda *_: True)


def _page_of_nobody(patch: pytest.MonkeyPatch) -> None:
    """Streamlit is not told whose a live page is."""
    patch.setattr(auth_gate, "with_person", lambda scope: scope)


def _sessions_for_ever(patch: pytest.MonkeyPatch) -> None:
    for name in ("IDLE_LIMIT", "ABSOLUTE_LIMIT"):
        patch.setattr(sessions, name, getattr(sessions, name) * 1000)


def _password_is_enough(patch: pytest.MonkeyPatch) -> None:
    """Nobody is asked for a second factor."""
    patch.setattr(session_store, "next_step", lambda *_: None)


# Hole -> (how it is made, ways that must find it, who tries).
def _console_for_all(patch: pytest.MonkeyPatch) -> None:
    """Everybody comes into the console."""
    patch.setattr(auth_gate, "_other_side", lambda _connection, _principal: None)
    patch.setattr(Platform, "_check", lambda _self: None)


def _private_reports_by_mail(patch: pytest.MonkeyPatch) -> None:
    """A saved report goes by mail to everybody who knows its id."""
    patch.setattr(Reports, "_seen", property(lambda self: SAVED_REPORT.c.tenant_id == self._tenant_id))
    everybody = select(SAVED_REPORT.c.report_id)
    patch.setattr(subscriptions, "_seen_report", lambda _person, _report_id: everybody)


def _support_for_ever(patch: pytest.MonkeyPatch) -> None:
    """A support session goes on after its time."""
    patch.setattr(support_sessions, "_state", lambda *_: support_sessions.SupportState.RUNNING)
    patch.setattr(support_sessions.SupportSessions, "end_over", lambda *_: None)


HOLES: Mapping[str, tuple[Callable[[pytest.MonkeyPatch], None], tuple[str, ...], tuple[str, ...]]] = {
    "no filter": (_no_filter, ("figure", "drill", "names"), ("manager",)),
    "identity shown": (_identity_shown, ("drill", "extract", "sql"), ("analyst",)),
    "all modules": (_all_modules, ("figure",), ("biller",)),
    "referrals of all": (_referrals_of_all, ("figure", "drill", "names"), ("partner",)),
    "today of all units": (_today_of_all_units, ("today",), ("desk",)),
    "rows for all": (_rows_for_all, ("drill",), ("executive",)),
    "money of the whole": (_money_of_the_whole, ("health",), ("biller",)),
    "one cache for all": (_one_cache_for_all, ("cache",), ("manager",)),
    "talkative error": (_talkative_error, ("filter",), ("manager",)),
    "name in a log": (_name_in_a_log, ("file",), ("manager",)),
    "cookie of any tenant": (_cookie_of_any_tenant, ("cookie",), ("manager",)),
    "token of any tenant": (_token_of_any_tenant, ("api",), ("manager",)),
    "token of any right": (_token_of_any_right, ("api",), ("manager",)),
    "link for ever": (_link_for_ever, ("embedding",), ("admin",)),
    "page of nobody": (_page_of_nobody, ("live page",), ("admin",)),
    "sessions for ever": (_sessions_for_ever, ("session",), ("admin",)),
    "console for all": (_console_for_all, ("console",), ("manager",)),
    "private reports by mail": (_private_reports_by_mail, ("mail",), ("manager",)),
    "support for ever": (_support_for_ever, ("support",), ("admin",)),
    "password is enough": (_password_is_enough, ("second factor",), ("admin",)),
}
# Those that are made in the server's process.
IN_SERVER = (
    "cookie of any tenant",
    "token of any tenant",
    "token of any right",
    "link for ever",
    "page of nobody",
    "sessions for ever",
    "console for all",
    "support for ever",
    "password is enough",
)


@contextmanager
def hole(name: str) -> Iterator[None]:
    """Makes a hole in this process, and mends it afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        HOLES[name][0](patch)
        yield


if __name__ == "__main__":
    from clinicmart.main import main

    name = sys.argv.pop(1)
    with hole(name):
        main()
