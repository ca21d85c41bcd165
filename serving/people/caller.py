"""Who calls, and by which way: what every audit row says beside the person's name.

Set once where a request, a page run or a command begins; it follows the work through threads that copy the context.
"""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Caller:
    """`channel`: page, api, agent, mail, scim, embedding, command line, run. `address`: of the browser. `session`: the public id of a
    sign-in (`session_id`) or of a token. `os_user`: the operating-system account that typed the command."""

    channel: str = ""
    address: str = ""
    session: str = ""
    os_user: str = ""


_NOBODY = Caller()
_CALLER: ContextVar[Caller] = ContextVar("caller")


def set_caller(caller: Caller) -> None:
    """From now on, in this context, audit rows name this caller."""
    _CALLER.set(caller)


def caller() -> Caller:
    """The caller of this context; all empty where nobody set one."""
    return _CALLER.get(_NOBODY)
