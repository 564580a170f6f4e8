"""One login, from the password to the token that is installed: a few sends, within one deadline (L4, L6, L7).

Knows no client and not who waits for it. A generator of steps, as the flow that calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from random import random

from ._credentials import Secret
from ._failure import Failure
from ._login import LoginRequest, login_request, read_reply
from ._policy import time_left
from ._reply import Reply, http_date
from ._settings import Settings
from ._single_flight import Flight
from ._source import TokenSource
from ._steps import AskPassword, Flow, Sleep
from ._token import Login, Token
from .errors import InvalidCredentials, LoginThrottled
from .events import LoginFailed, LoginStarted, LoginSucceeded, logger, tell

Sender = Callable[[LoginRequest, float], Flow["Reply | Failure"]]


def log_in(flight: Flight, source: TokenSource, settings: Settings, send: Sender, sends: int) -> Flow[Login | Failure]:
    """One login, unless a refusal is remembered (L7), in a bounded number of sends (L6)."""
    clock = settings.clock
    password: Secret = yield AskPassword()
    started = clock.monotonic()
    remembered = source.remembered(password, started)
    if remembered is not None:
        return remembered
    tell(settings.on_event, LoginStarted(account=source.account))
    url, deadline = settings.login_url, started + settings.timeout
    flight.deadline = deadline
    request = login_request(url, source.username, password, settings.login_headers or {})
    number = 0
    try:
        while True:
            number += 1
            sent_at, sent = clock.monotonic(), clock.wall()
            reply = yield from send(request, deadline)
            result = _read(reply, url, password, settings)
            if isinstance(result, Token):
                date = http_date(reply.headers.get("date")) if isinstance(reply, Reply) else None
                return _installed(result, date, source, settings, started, sent_at, sent)
            failure = result
            pause = _pause(failure, reply, number)
            if number >= sends or pause is None or clock.monotonic() + pause >= deadline:
                break
            yield Sleep(seconds=pause)
            if clock.monotonic() >= deadline:  # it slept in
                break
    except BaseException as raised:
        _tell_failed(source, settings, started, type(raised).__name__, None)
        raise
    if failure.error in (InvalidCredentials, LoginThrottled):
        source.remember(failure, password, clock.monotonic())
    _tell_failed(source, settings, started, failure.error.__name__, failure.fields.get("status"))
    return failure


def _tell_failed(source: TokenSource, settings: Settings, started: float, error: str, status: int | None) -> None:
    seconds = settings.clock.monotonic() - started
    tell(settings.on_event, LoginFailed(account=source.account, seconds=seconds, error=error, status=status))


def _read(reply: Reply | Failure, url: str, password: Secret, settings: Settings) -> Token | Failure:
    if isinstance(reply, Failure):
        return reply
    return read_reply(reply, url, password, now=settings.clock.wall(), timeout=settings.timeout)


def _pause(failure: Failure, reply: Reply | Failure, number: int) -> float | None:
    """Return the jittered seconds to wait before send number + 1, None if there must be none."""
    if failure.pause is None or (isinstance(reply, Reply) and reply.last):
        return None
    pause: float = failure.pause + 0.25 * 2**number * (0.5 + random() / 2)  # noqa: S311 (jitter, not a secret)
    return pause


def _installed(
    token: Token,
    date: float | None,
    source: TokenSource,
    settings: Settings,
    started: float,
    sent_at: float,
    sent: float,
) -> Login:
    lifetime = time_left(token, date=date, sent=sent, took=settings.clock.monotonic() - sent_at)
    if lifetime is None and token.expires_at is not None and not source.warned:
        source.warned = True  # T4
        logger.warning(
            "the server gives account %s tokens that have expired already, or all but: their exp is ignored",
            source.account,
        )
    login = Login(token, sent_at=sent_at, lifetime=inf if lifetime is None else lifetime)
    source.install(login)
    seconds = settings.clock.monotonic() - started
    tell(settings.on_event, LoginSucceeded(account=source.account, seconds=seconds, lifetime=lifetime))
    return login
