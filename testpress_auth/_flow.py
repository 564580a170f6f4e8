"""The protocol, once: generators that perform nothing. They yield steps; a driver performs each and sends the answer.

Knows no client and no event loop. Failures travel as data (`Failure`), so that every waiter can build an error of its
own; an exception thrown in means that the step ended without an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ._failure import Failure
from ._fleet import discard, log_in_once
from ._login import LoginRequest
from ._one_login import Sender, log_in
from ._reply import Reply
from ._settings import Settings
from ._single_flight import GRACE, Flight, Unsettled
from ._source import TokenSource
from ._steps import Closed, Flow, Read, Resend, Send, Wait
from ._token import Login
from .errors import LoginUnavailable
from .events import (
    LoginAwaited,
    RefreshScheduled,
    TokenRejected,
    TokenReused,
    tell,
)

_SENDS: Final = 3  # L6
_PASSWORD_TAKES: Final = 60.0  # seconds
_LOOK_AGAIN: Final = 2.0  # seconds at most, until another process's renewal is looked for
Resender = Callable[[Any, Login], Flow[tuple[Any, bool]]]


def send(request: LoginRequest, deadline: float) -> Flow[Reply | Failure]:
    """Leave the sending to the driver. (httpx's page has another sender: it yields the login to the client.)"""
    answer: Reply | Failure = yield Send(request=request, deadline=deadline)
    return answer


def resend(refused: Any, login: Login) -> Flow[tuple[Any, bool]]:
    """Leave the sending again to the driver."""
    answer: tuple[Any, bool] = yield Resend(refused=refused, login=login)
    return answer


def usable(source: TokenSource, settings: Settings, send: Sender = send) -> Flow[Login | Failure]:
    """Get a token to use now; one that is due is renewed ahead on the way (F2)."""
    if source.fresh(settings.policy, settings.clock.monotonic()) is not None:
        yield from renew(source, settings, send)
    return (yield from obtain(source, settings, send))


def obtain(source: TokenSource, settings: Settings, send: Sender = send) -> Flow[Login | Failure]:
    """Get a fresh token: another caller's, or by a login that all others wait for (S1 to S3)."""
    clock, unanswered = settings.clock, 0
    waiting_since = clock.monotonic()
    while True:
        now = clock.monotonic()
        login = source.fresh(settings.policy, now)
        if login is not None:
            return login
        flight, leads = source.join(now, _first_deadline(settings, now))
        if leads:
            outcome = yield from _lead(flight, source, settings, send)
            assert outcome is not None  # noqa: S101 (for the type checker: only a renewal ahead leaves it to others)
            return outcome
        # Its deadline moves when it has its password: look again after what a login may take.
        yield Wait(flight=flight, seconds=min(flight.deadline - now, settings.timeout) + GRACE)
        if flight.outcome is None:
            continue
        waited, waiting_since = clock.monotonic() - waiting_since, clock.monotonic()
        tell(settings.on_event, LoginAwaited(account=source.account, seconds=waited))
        if isinstance(flight.outcome, Failure):
            return flight.outcome
        unanswered += flight.outcome is Unsettled.UNANSWERED
        if unanswered >= 2:
            why = "other callers' logins ended without an answer"
            return Failure(LoginUnavailable, f"login at {settings.login_url}: {why}")


def renew(source: TokenSource, settings: Settings, send: Sender = send) -> Flow[None]:
    """Log in ahead, while the token is still good, unless somebody does already. Nobody notices a failure (F2)."""
    before, now = source.login, settings.clock.monotonic()
    if before is None or now < settings.policy.due_at(before):
        return  # another's login came before this one's thread did
    flight, leads = source.join(now, _first_deadline(settings, now))
    if not leads:
        return
    tell(settings.on_event, RefreshScheduled(account=source.account, left=before.expires - now))
    outcome: Login | Failure | Unsettled | None = Unsettled.UNANSWERED
    try:
        outcome = yield from _lead(flight, source, settings, send, ahead=True)
    finally:
        if source.login is before:
            now = settings.clock.monotonic()
            if outcome is None:  # another process is at it: look again soon for what it brought
                source.pause_ahead(now, min(_LOOK_AGAIN, before.lifetime / 20))
            else:
                source.back_off(now)


def _first_deadline(settings: Settings, now: float) -> float:
    """A login's deadline begins once the password is there; a callable that fetches it gets a minute of its own."""
    return now + settings.timeout + (_PASSWORD_TAKES if settings.credentials.is_fetched else 0)


def recover(
    source: TokenSource,
    settings: Settings,
    answer: Any,
    carried: Login | None,
    *,
    replayable: bool,
    send: Sender = send,
    resend: Resender = resend,
) -> Flow[Any | Failure]:
    """After a 401 to a request that `carried` this login's token, or none: have it sent again, once (J1 to J5).

    A second time only where the first used a later token that was at hand already. Returns the answer for the caller,
    which is the 401 itself where nothing (more) is sent.
    """
    for _ in range(2):
        dropped = carried is not None and reject(source, settings, carried)
        if carried is not None and dropped:
            yield from discard(source, settings, carried)
        if dropped is None or not replayable:
            return answer
        yield Read(answer=answer)
        login: Login | Failure | None = source.fresh(settings.policy, settings.clock.monotonic())
        at_hand = login is not None
        if login is None:
            login = yield from obtain(source, settings, send)
        elif carried is not None:
            tell(settings.on_event, TokenReused(account=source.account))
        if isinstance(login, Failure):
            return login
        answer, refused = yield from resend(answer, login)
        if not (refused and at_hand):
            break
        carried = login
    return answer


def reject(source: TokenSource, settings: Settings, login: Login) -> bool | None:
    """Take in that the server refused this login's token: see `TokenSource.refuse`."""
    dropped = source.refuse(login, settings.policy, settings.clock.monotonic())
    if dropped:
        tell(settings.on_event, TokenRejected(account=source.account, accepted=login.accepted))
    return dropped


def _lead(
    flight: Flight, source: TokenSource, settings: Settings, send: Sender, *, ahead: bool = False
) -> Flow[Login | Failure | None]:
    """Log in on behalf of all who wait, and settle the flight whatever happens. None: another process is at it."""
    outcome: Login | Failure | Unsettled | None = None
    try:
        login = log_in(flight, source, settings, send, 1 if ahead else _SENDS)
        outcome = yield from log_in_once(flight, source, settings, login, _first_deadline(settings, 0.0), ahead=ahead)
        if isinstance(outcome, Failure) and not ahead:  # S2: another's login may have overtaken a slow one
            outcome = source.fresh(settings.policy, settings.clock.monotonic()) or outcome
        return outcome
    except Closed as closed:
        outcome = closed.fate
        raise
    except Exception:
        outcome = Unsettled.UNANSWERED
        raise
    finally:
        # Who waits for a renewal ahead has run out of token meanwhile: one try ahead does not speak for a login.
        failed_ahead = ahead and not isinstance(outcome, Login)
        source.settle(flight, Unsettled.HANDED_OVER if failed_ahead or outcome is None else outcome)
