"""One attempt at data, with its positive control: the same door, tried by somebody who may.

A refusal proves nothing where nobody gets in: so a trial whose control does not hold counts as failed, like a crossing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import duckdb
import psycopg

from clinicmart.proof.canaries import Allowed
from clinicmart.proof.site import Person, Site
from foundation.errors import ClinicmartError

REFUSED, OWN_ONLY, CROSSING, ERROR = "refused", "own only", "crossing", "error"
# What a door may say when it stays shut.
REFUSALS = (ClinicmartError, duckdb.Error, psycopg.Error)
MOST_WORDS = 5


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The result of one attempt. `way` is the key of the way, `tried` a sentence, `leaked` the leaked text, empty for most;
    `control` describes what the rightful person gets by the same way, and `control_holds` whether they got it."""

    way: str
    tenant: str
    role: str
    tried: str
    result: str
    control: str
    control_holds: bool
    leaked: str = ""

    @property
    def passed(self) -> bool:
        return self.result in (REFUSED, OWN_ONLY) and self.control_holds


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to data. `tries` yields trials for one person of one tenant; with `is_of_site` it is asked once, not per person."""

    key: str
    title: str
    tries: Callable[..., Iterator[Trial]]
    is_of_site: bool = False
    needs_server: bool = False


class Judge:
    """Makes the trials of one way for one person."""

    def __init__(self, site: Site, way: str, tenant: str, person: Person | None) -> None:
        self.site, self.way, self.tenant, self.person = site, way, tenant, person
        self.role = "anybody" if person is None else person.role.value
        self.allowed = Allowed() if person is None else site.allowed(tenant, person)

    def trial(
        self,
        tried: str,
        attempt: Callable[..., str],
        *,
        control: str,
        holds: Callable[..., bool],
        must_refuse: bool = False,
        allowed: Allowed | None = None,
    ) -> Trial:
        """Makes the attempt and asks the control. `attempt` returns the text that it got, or raises a refusal.

        With `must_refuse` any answer is a crossing; else only planted words that the person may not meet.
        """
        leaked = ""
        try:
            text = attempt()
        except REFUSALS as error:
            # What a refusal says is read too: it must not tell what it withholds.
            leaked, result = self._foreign(str(error), allowed), REFUSED
        else:
            leaked, result = self._foreign(text, allowed), OWN_ONLY
            if must_refuse and not leaked:
                leaked = "an answer where there must be none"
        return Trial(
            way=self.way,
            tenant=self.tenant,
            role=self.role,
            tried=tried,
            result=CROSSING if leaked else result,
            control=control,
            control_holds=_holds(holds),
            leaked=leaked,
        )

    def _foreign(self, text: str, allowed: Allowed | None) -> str:
        return ", ".join((allowed or self.allowed).crossings(text)[:MOST_WORDS])


def _holds(holds: Callable[..., bool]) -> bool:
    try:
        return bool(holds())
    except REFUSALS:
        return False
