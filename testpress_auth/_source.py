"""An account: its token, the login under way for it, and its memory of failures.

Holds state and decides nothing about when to log in. Each change that depends on what was there before is made under
the module's lock.
"""

from __future__ import annotations

import hashlib
from math import inf
from random import random

from . import _single_flight
from ._credentials import Secret
from ._failure import Failure
from ._origin import Origin
from ._policy import RefreshPolicy
from ._shared import Shared
from ._single_flight import SingleFlight
from ._token import Login
from .errors import LoginThrottled

_REFUSED_FOR = 30.0  # seconds that a refusal is remembered (L7)
_LONGEST_THROTTLE = 15 * 60.0  # seconds, whatever a Retry-After says (L7)
_FIRST_BACKOFF, _LONGEST_BACKOFF = 5.0, 5 * 60.0  # seconds between two tries ahead (F2)


class TokenSource(SingleFlight):
    """What all auth objects of one account share. Made once per auth object, or once per `MemoryStore` and account."""

    __slots__ = (
        "__weakref__",
        "_ahead_backoff",
        "_logins",
        "_memory",
        "_next_ahead",
        "_replaced_at",
        "login",
        "origin",
        "refused",
        "shared",
        "username",
        "warned",
    )

    def __init__(self, origin: Origin, username: str, shared: Shared | None = None) -> None:
        super().__init__()
        self.origin = origin
        self.username = username
        self.shared = shared
        self.refused = ""  # the id of the last login that the server refused or the user forgot
        self.login: Login | None = None
        self.warned = False
        self._logins = 0
        self._memory: tuple[Failure, Secret, float] | None = None
        self._replaced_at = -inf
        self._next_ahead = -inf
        self._ahead_backoff = 0.0

    @property
    def account(self) -> str:
        """A short hash that stands for origin and user name in events and logs."""
        return hashlib.sha256(f"{self.origin}\n{self.username}".encode()).hexdigest()[:12]

    def fresh(self, policy: RefreshPolicy, now: float) -> Login | None:
        """Return the login whose token may be used now, if there is one."""
        login = self.login
        return login if login is not None and now < policy.stale_at(login) else None

    def install(self, login: Login) -> None:
        """Make a fresh token the account's own, under a number of its own (J1)."""
        login.draw = random()  # noqa: S311 (jitter, not a secret)
        with _single_flight.lock:
            self._logins += 1
            login.number = self._logins
            self._memory = None
            self._next_ahead, self._ahead_backoff = -inf, 0.0
            self.login = login

    def refuse(self, login: Login, policy: RefreshPolicy, now: float) -> bool | None:
        """Take in that the server refused this login's token.

        Returns:
            True: it was the current one, and is dropped. False: there has been a later login, or one is due.
            None: it stays, since the server never accepted it and the last such replacement is too recent (J4).
        """
        with _single_flight.lock:
            if self.login is not login:
                return False
            if not login.accepted:
                if now - self._replaced_at < policy.min_interval:
                    return None
                self._replaced_at = now
            self.login = None
            self.refused = login.id
            return True

    def remembered(self, password: Secret, now: float) -> Failure | None:
        """Return the failure that forbids a login with this password now (L7)."""
        memory = self._memory
        if memory is None or now >= memory[2] or memory[1] != password:
            return None
        return memory[0]

    def remember(self, failure: Failure, password: Secret, now: float) -> None:
        """Keep a refusal or a throttling in mind (L7)."""
        wait = _REFUSED_FOR
        if failure.error is LoginThrottled and failure.fields["retry_after"] is not None:
            wait = min(failure.fields["retry_after"], _LONGEST_THROTTLE)
        self._memory = (failure, password, now + wait)

    def ahead_at(self, policy: RefreshPolicy, login: Login) -> float:
        """Return the monotonic second from which this login's token may be renewed ahead (F2)."""
        return max(policy.due_at(login), self._next_ahead)

    def claim_ahead(self, login: Login, now: float, hold: float) -> bool:
        """Whether the caller is the one to renew this login's token ahead. Nobody else tries for `hold` seconds."""
        with _single_flight.lock:
            if self.login is not login or now < self._next_ahead:
                return False
            self._next_ahead = now + hold
            return True

    def back_off(self, now: float) -> None:
        """A renewal ahead failed, or was abandoned: wait before the next, twice as long each time, with jitter."""
        self._ahead_backoff = min(max(2 * self._ahead_backoff, _FIRST_BACKOFF), _LONGEST_BACKOFF)
        self.pause_ahead(now, self._ahead_backoff)

    def pause_ahead(self, now: float, seconds: float) -> None:
        """Try no renewal ahead for about so many seconds: half of them at least."""
        self._next_ahead = now + seconds * (0.5 + random() / 2)  # noqa: S311 (jitter, not a secret)

    def forget(self) -> Login | None:
        """Drop the token and the memory of failures; return the login that was dropped."""
        with _single_flight.lock:
            login, self.login, self._memory = self.login, None, None
            return login
