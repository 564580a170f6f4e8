"""One login for all processes that share a store: take the token that is there, or the lease and log in.

Knows the store's five methods and not how a login is made. A store that fails is left alone for a while: meanwhile
this process logs in on its own, and no request fails.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from math import inf
from random import random
from typing import Any, Final

from ._failure import Failure
from ._settings import Settings
from ._shared import Shared, from_value, to_value
from ._single_flight import Flight
from ._source import TokenSource
from ._steps import Closed, Flow, Sleep, UseStore
from ._token import Login
from .events import StoreUnavailable, TokenReused, tell

_MARGIN: Final = 2.0  # seconds a lease outlasts a login's deadline
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between two looks while another process logs in
_DOWN: Final = object()
Outcome = Login | Failure | None  # None: another process is at it, and the caller need not wait


def log_in_once(
    flight: Flight,
    source: TokenSource,
    settings: Settings,
    log_in: Flow[Login | Failure],
    longest: float,
    *,
    ahead: bool,
) -> Flow[Outcome]:
    """Get the token that another process made, or run `log_in` under the store's lease.

    Args:
        flight: what callers of this process wait for; its deadline moves on with each look.
        source: the account.
        settings: of the caller who leads.
        log_in: one login, not begun.
        longest: the seconds it may take at most.
        ahead: whether this is a renewal ahead, which waits for nobody (L6).
    """
    shared, clock = source.shared, settings.clock
    if shared is None:
        return (yield from log_in)
    lease, pause = longest + _MARGIN, _FIRST_PAUSE
    holder = os.urandom(8).hex()  # this login's own: who takes over from a cancelled one must not lose the lease to it
    give_up = clock.monotonic() + 2 * lease  # its holder had that time, and another after it
    while True:
        flight.deadline = clock.monotonic() + settings.timeout
        login = yield from _newer(shared, source, settings)
        if login is not None:
            return login
        try:
            holds = yield from _ask(shared, source, settings, partial(shared.store.lease, shared.key, holder, lease))
            if holds and holds is not _DOWN:
                return (yield from _holding(shared, holder, flight, source, settings, log_in, ahead))
        except BaseException:
            shared.let_go(holder)
            raise
        if holds is _DOWN:
            return (yield from log_in)
        if ahead:
            return None
        if clock.monotonic() >= give_up:
            outcome = yield from log_in
            yield from _save(shared, source, settings, outcome)
            return outcome
        yield Sleep(seconds=pause * (0.5 + random()))  # noqa: S311 (jitter, not a secret)
        pause = min(1.5 * pause, _LONGEST_PAUSE)


def discard(source: TokenSource, settings: Settings, login: Login) -> Flow[None]:
    """Remove a token that is refused, or not wanted any more, from the store, if it is still that login's."""
    shared = source.shared
    if shared is not None and login.id:
        yield from _ask(shared, source, settings, partial(shared.store.delete, shared.key, login.id))


def forget(source: TokenSource, settings: Settings) -> Flow[Login | None]:
    """Drop the account's token here and in the store, and the memory of failures; return the login dropped."""
    login = source.forget()
    shared = source.shared
    if login is None and shared is not None:
        login = yield from _load(shared, source, settings)
    if login is not None:
        source.refused = login.id
        yield from discard(source, settings, login)
    return login


def _holding(
    shared: Shared,
    holder: str,
    flight: Flight,
    source: TokenSource,
    settings: Settings,
    log_in: Flow[Login | Failure],
    ahead: bool,
) -> Flow[Outcome]:
    """Log in under the lease, unless another process did just before it was taken."""
    outcome: Outcome = yield from _newer(shared, source, settings)
    if outcome is None:
        outcome = yield from log_in
        flight.deadline = settings.clock.monotonic() + settings.timeout
        yield from _save(shared, source, settings, outcome)
    if isinstance(outcome, Failure) and not ahead:  # S2: another process's login may have overtaken a slow one
        outcome = (yield from _newer(shared, source, settings)) or outcome
    # A renewal ahead that failed keeps its lease until it ends: so the whole fleet backs off, not each for itself.
    if not (ahead and isinstance(outcome, Failure)):
        yield from _ask(shared, source, settings, partial(shared.store.release, shared.key, holder))
    return outcome


def _newer(shared: Shared, source: TokenSource, settings: Settings) -> Flow[Login | None]:
    """Make the store's token this source's own, if it may be used and is newer than what is at hand."""
    login = yield from _load(shared, source, settings)
    at_hand = source.login
    if login is None or settings.clock.monotonic() >= settings.policy.stale_at(login):
        return None
    if at_hand is not None and (login.id == at_hand.id or login.expires <= at_hand.expires):
        return None
    source.install(login)
    tell(settings.on_event, TokenReused(account=source.account))
    return login


def _load(shared: Shared, source: TokenSource, settings: Settings) -> Flow[Login | None]:
    now = settings.clock.monotonic()
    entry = yield from _ask(shared, source, settings, partial(_read, shared, now, settings))
    return entry if isinstance(entry, Login) and entry.id != source.refused else None


def _read(shared: Shared, now: float, settings: Settings) -> Login | None:
    entry = shared.store.load(shared.key)
    if entry is None:
        return None
    value, left = entry
    return from_value(value, left, now=now, wall=settings.clock.wall())


def _save(shared: Shared, source: TokenSource, settings: Settings, outcome: Outcome) -> Flow[None]:
    if not isinstance(outcome, Login):
        return
    now = settings.clock.monotonic()
    left = None if outcome.expires == inf else outcome.expires - now
    if left is None or left > 0:
        value = to_value(outcome, now=now, wall=settings.clock.wall())
        yield from _ask(shared, source, settings, partial(shared.store.save, shared.key, value, left))


def _ask(shared: Shared, source: TokenSource, settings: Settings, work: Callable[[], Any]) -> Flow[Any]:
    """Have the store do something. If it fails, that is an event; then, and while it is left alone: `_DOWN`."""
    if shared.rests(settings.clock.monotonic()):
        return _DOWN
    try:
        answer = yield UseStore(work=work)
    except Closed:
        raise
    except Exception as error:
        pause = shared.failed(settings.clock.monotonic())
        tell(settings.on_event, StoreUnavailable(account=source.account, error=type(error).__name__, seconds=pause))
        return _DOWN
    shared.answered()
    return answer
