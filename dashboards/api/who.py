"""Who asks: the token of a request, looked up each time, and how often it may ask."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from dashboards import served_home
from dashboards.api.problems import ApiError
from dashboards.hosts import UnknownTenant, tenant_of_host
from foundation.errors import AccessError
from serving.people.api_tokens import ApiToken
from serving.people.caller import Caller, set_caller
from serving.people.principal import PLATFORM, Principal
from serving.people.secret_tokens import SecretTokens, T, token_id

# A moving minute each: of a token, and of an address whose tokens are refused.
QUESTIONS = RateLimitItemPerMinute(240)
GUESSES = RateLimitItemPerMinute(30)
ACTION = "api"
ADVICE = "Send an open token: Authorization: Bearer TOKEN. `clinicmart tokens create` makes one."
CHALLENGE = {"www-authenticate": 'Bearer realm="clinicmart"'}
_limiter = MovingWindowRateLimiter(MemoryStorage())
_bearer = HTTPBearer(auto_error=False, description="A token that `clinicmart tokens create` printed.")


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A person, the token that asks in their name, and the caller that audit rows name."""

    principal: Principal
    token: ApiToken
    caller: Caller

    def must_be_allowed(self, right: str) -> None:
        """Begins every answer: from here on audit rows name the token. (What a dependency sets is not seen by the operation.)

        Raises ApiError, with an audit row, where the token is not allowed it, also where the person is.
        """
        set_caller(self.caller)
        if right not in self.token.allowed:
            detail = {"needs": right, "token": self.token.token_id}
            _refuse(ACTION, self.principal.tenant_id, self.principal.email, detail)
            raise ApiError(HTTPStatus.FORBIDDEN, "not-allowed", f"this token is not allowed {right}; make one that is")


def _refuse(action: str, tenant_id: str, actor: str, detail: Mapping[str, object]) -> None:
    served_home.access().audit(tenant_id, actor, action, detail=detail, result="refused")


def _seconds_to_wait(limit: RateLimitItem, *who: str) -> int:
    """Seconds until one more request is allowed; 0 where it is allowed and was counted."""
    if _limiter.hit(limit, *who):
        return 0
    return max(ceil(_limiter.get_window_stats(limit, *who).reset_time - time.time()), 1)


def check_guesses(address: str) -> None:
    """Raises ApiError (429) for an address whose tokens were refused too often."""
    if not _limiter.test(GUESSES, "address", address):
        _throttle(_seconds_to_wait(GUESSES, "address", address) or 1)


def count_guess(address: str) -> None:
    """Counts a token of an address that was refused."""
    _limiter.hit(GUESSES, "address", address)


def _throttle(seconds: int) -> None:
    if seconds:
        detail, headers = f"too many requests; ask again in {seconds} seconds", {"retry-after": str(seconds)}
        raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "too-many-requests", detail, headers)


def bearer_of(request: Request) -> str:
    """The token that a request sent as `Authorization: Bearer TOKEN`; empty for none."""
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    return token if scheme.lower() == "bearer" else ""


def asking(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Asking:
    """The person and token of a request to the API. Raises as `asking_with`."""
    return asking_with(request, credentials.credentials if credentials else "")


def asking_with(request: Request, sent: str, channel: str = "api") -> Asking:
    """The person and token of a request that sent a token; empty for none. Audit rows name the channel.

    Raises ApiError: 401 for no, an unknown or an ended token, 403 at the address of another tenant, 404 for a host that is not ours,
    429 for too many requests.
    """
    tokens = served_home.access().api_tokens
    token, caller = opened(
        request, sent, tokens, channel=channel, action=ACTION, actor=lambda token: token.email, advice=ADVICE
    )
    try:
        principal = served_home.access().principal(token.tenant_id, token.email)
    except AccessError:
        raise ApiError(
            HTTPStatus.UNAUTHORIZED, "not-signed-in", "The person of this token may not sign in.", CHALLENGE
        ) from None
    return Asking(principal=principal, token=token, caller=caller)


def opened(
    request: Request,
    sent: str,
    tokens: SecretTokens[T],
    *,
    channel: str,
    action: str,
    actor: Callable[[T], str],
    advice: str,
) -> tuple[T, Caller]:
    """The open token of one kind that a request sent, and the caller that audit rows name.

    A request that is refused is an audit row with the action and, where the token is open, its actor. `advice` tells what to send.
    Raises ApiError: 401 for no, an unknown or an ended token, 403 at the address of another tenant, 404 for a host that is not ours,
    429 for too many requests.
    """
    address = request.client.host if request.client else ""
    set_caller(Caller(channel=channel, address=address))
    try:
        tenant = tenant_of_host(request.headers.get("host", ""), served_home.tenants(), served_home.served().domain)
    except UnknownTenant as error:
        raise ApiError(HTTPStatus.NOT_FOUND, "not-found", str(error)) from None
    check_guesses(address)
    token = tokens.of_secret(sent) if sent else None
    if token is None:
        count_guess(address)
        if sent:
            _refuse(action, PLATFORM, "unknown", {"token": token_id(sent), "reason": "unknown or ended"})
        raise ApiError(HTTPStatus.UNAUTHORIZED, "not-signed-in", advice, CHALLENGE)
    caller = Caller(channel=channel, address=address, session=token.token_id)
    set_caller(caller)
    if tenant is not None and tenant != token.tenant_id:
        _refuse(action, token.tenant_id, actor(token), {"host": "of another tenant"})
        raise ApiError(HTTPStatus.FORBIDDEN, "not-allowed", "This token is for another organization.")
    _throttle(_seconds_to_wait(QUESTIONS, "token", token.token_id))
    return token, caller


Who = Annotated[Asking, Depends(asking)]
