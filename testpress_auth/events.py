"""What happens, told in small frozen events: to `on_event` and to the logger `testpress_auth`.

Must never see a password or a token. The account is a short hash of origin and user name; durations are seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ._value import Value

__all__ = [
    "Event",
    "LoginAwaited",
    "LoginFailed",
    "LoginStarted",
    "LoginSucceeded",
    "RefreshScheduled",
    "StoreUnavailable",
    "TokenRejected",
    "TokenReused",
]

logger = logging.getLogger("testpress_auth")
logger.addHandler(logging.NullHandler())


class Event(Value):
    """Base of all events. `account` (str): twelve hexadecimal digits that stand for origin and user name."""

    __slots__ = ("account",)
    level = logging.DEBUG

    account: str


class LoginStarted(Event):
    """A login is about to be sent."""

    __slots__ = ("account",)


class LoginSucceeded(Event):
    """A login brought a token.

    Attributes:
        seconds (float): what the login took.
        lifetime (float | None): seconds the token will last, None if that is not known.
    """

    __slots__ = ("account", "lifetime", "seconds")
    level = logging.INFO

    seconds: float
    lifetime: float | None


class LoginFailed(Event):
    """A login brought none.

    Attributes:
        seconds (float): what it took.
        error (str): the name of the error class.
        status (int | None): the HTTP status, where there was an answer.
    """

    __slots__ = ("account", "error", "seconds", "status")
    level = logging.WARNING

    seconds: float
    error: str
    status: int | None


class LoginAwaited(Event):
    """A caller waited for another caller's login. `seconds` (float): how long."""

    __slots__ = ("account", "seconds")

    seconds: float


class RefreshScheduled(Event):
    """A token is being renewed while it is still good. `left` (float): seconds it still has."""

    __slots__ = ("account", "left")

    left: float


class TokenRejected(Event):
    """The server answered 401 to a token, which is dropped. `accepted` (bool): whether it had ever worked."""

    __slots__ = ("accepted", "account")
    level = logging.INFO

    accepted: bool


class TokenReused(Event):
    """A token that another's login brought is used: a caller's, after a 401, or another process's, from the store."""

    __slots__ = ("account",)


class StoreUnavailable(Event):
    """The shared store failed: this process logs in on its own and leaves the store alone for a while.

    Attributes:
        error (str): the name of the exception's class.
        seconds (float): until the store is asked again.
    """

    __slots__ = ("account", "error", "seconds")
    level = logging.WARNING

    error: str
    seconds: float


def tell(on_event: Callable[[Event], object] | None, event: Event) -> None:
    """Log an event and hand it to the user's hook, whose exceptions are logged and go no further."""
    if logger.isEnabledFor(event.level):
        logger.log(event.level, "%r", event)
    if on_event is not None:
        try:
            on_event(event)
        except Exception:
            logger.exception("on_event raised while it was given %r", event)
