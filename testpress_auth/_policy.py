"""Fresh, due, expired: decided from a token and a clock, and nothing else. Pure.

Also says what a clock is. Must not know how a login is made or who waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from math import floor, inf
from typing import Final

from ._token import Login, Token, seconds
from ._value import Value
from .errors import ConfigurationError

_LARGEST_LEEWAY: Final = 0.1  # of a token's lifetime (F1)


class Clock(Value):
    """The three things time is asked for: Unix seconds, seconds that only ever go forward, and a pause."""

    __slots__ = ("monotonic", "sleep", "wall")

    wall: Callable[[], float]
    monotonic: Callable[[], float]
    sleep: Callable[[float], object]


# CLOCK_BOOTTIME cannot be set and goes on while the machine sleeps; a token's life does too.
_boottime = getattr(time, "CLOCK_BOOTTIME", None)
SYSTEM = Clock(
    wall=time.time,
    monotonic=time.monotonic if _boottime is None else partial(time.clock_gettime, _boottime),
    sleep=time.sleep,
)


class RefreshPolicy(Value):
    """When to log in again.

    Args:
        leeway (float): seconds before its expiry from which a token is not used any more; at most a tenth of the
            token's lifetime counts, so that short-lived tokens still work. 0 means 0.
        ahead (float): the fraction of its lifetime after which a token is renewed while it is still good; 1 means
            never ahead.
        jitter (float): up to this fraction of the lifetime is added to `ahead`, drawn once per token, so that a
            fleet does not refresh in step.
        min_interval (float): seconds between two logins for tokens that the server refuses though it never accepted
            them once.

    Raises:
        ConfigurationError: a value is not a finite number, or out of its range.
    """

    __slots__ = ("ahead", "ignores_exp", "jitter", "leeway", "min_interval")

    leeway: float
    ahead: float
    jitter: float
    min_interval: float
    ignores_exp: bool

    def __init__(
        self, leeway: float = 10.0, ahead: float = 0.8, jitter: float = 0.05, min_interval: float = 5.0
    ) -> None:
        super().__init__(
            leeway=_within("leeway", leeway, 0, inf, "0 or more seconds"),
            ahead=_within("ahead", ahead, 0, 1, "a fraction of the lifetime, 0 to 1"),
            jitter=_within("jitter", jitter, 0, 1, "a fraction of the lifetime, 0 to 1"),
            min_interval=_within("min_interval", min_interval, 0, inf, "0 or more seconds"),
            ignores_exp=False,
        )

    @classmethod
    def on_rejection(cls) -> RefreshPolicy:
        """Ignore `exp`: use a token until the server refuses it.

        For servers that do not enforce `exp` and count logins, as some Testpress servers seem to.
        """
        policy = cls()
        object.__setattr__(policy, "ignores_exp", True)
        return policy

    def stale_at(self, login: Login) -> float:
        """Return the monotonic second from which nobody may use this login's token (F1)."""
        return inf if self.ignores_exp else login.expires - min(self.leeway, login.lifetime * _LARGEST_LEEWAY)

    def due_at(self, login: Login) -> float:
        """Return the monotonic second from which its token is to be renewed ahead (F2); inf for never."""
        if self.ignores_exp or self.ahead >= 1 or login.lifetime == inf:
            return inf
        return login.sent_at + login.lifetime * min(self.ahead + self.jitter * login.draw, 1.0)


def time_left(token: Token, *, date: float | None, sent: float, took: float = 0.0) -> float | None:
    """Return the seconds a fresh token has left from the moment its login was sent (T3).

    None where no expiry is usable: there is none that counts (T2), or it is past when the token arrives, or so near
    that nobody could use it (T4, F1).

    Args:
        token: the token.
        date: the `Date` of the login's answer in Unix seconds (RFC 9110 section 6.6.1), if it had one.
        sent: this machine's own clock at that moment, in Unix seconds.
        took: the seconds from then until the token was there.
    """
    if token.expires_at is None:
        return None
    server = date if token.issued_at is None else token.issued_at
    if server is None or floor(sent) == floor(server):
        left = token.expires_at - sent  # our clock agrees with that whole second, and knows its fraction
    else:
        left = token.expires_at - floor(server)
        left = max(left - 1, left / 2)
    return left if took < left * (1 - _LARGEST_LEEWAY) else None


def _within(setting: str, value: float, least: float, most: float, meaning: str) -> float:
    number = seconds(value)
    if number is None or not least <= number <= most:
        raise ConfigurationError(f"{setting}={value!r:.40}: pass {meaning}", setting=setting)
    return number
