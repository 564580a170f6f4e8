"""Errors as plain data: what a flight records, from which every waiter's page builds an exception of its own.

Nothing that was sent gets in: of a client's exception only type names and the system's own words are kept (X1).
"""

from __future__ import annotations

from typing import Any

from ._value import Value
from .errors import LoginTimeout, LoginUnavailable, TestpressAuthError, UnexpectedLoginResponse


class Failure(Value):
    """An error as plain data, from which every waiter's page builds an instance of its own.

    `pause` is None unless the same login may be sent again: then the seconds to wait before that, at least.
    """

    __slots__ = ("cause", "error", "fields", "message", "pause")

    error: type[TestpressAuthError]
    message: str
    fields: dict[str, Any]
    cause: str | None
    pause: float | None

    def __init__(
        self,
        error: type[TestpressAuthError],
        message: str,
        *,
        cause: str | None = None,
        pause: float | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(error=error, message=message, fields=fields, cause=cause, pause=pause)


def timed_out(url: str, timeout: float) -> Failure:
    return Failure(LoginTimeout, f"login at {url} did not end within {timeout:g} seconds", timeout=timeout)


def unexpected(url: str, reason: str, status: int | None = None) -> Failure:
    return Failure(UnexpectedLoginResponse, f"login at {url} answered {reason}", status=status, reason=reason)


def unreachable(url: str, error: BaseException, *, pause: float | None = 0.0) -> Failure:
    """Turn a client's exception into data: type names and the system's own words, nothing that was sent."""
    why = type(error).__name__
    system = _system_error(error)
    if system:
        why += f": {system}"
    return Failure(LoginUnavailable, f"login at {url} failed: {why}", cause=why, pause=pause)


def _system_error(error: BaseException | None, depth: int = 0) -> str:
    """Find what the operating system said (an errno's text), however deep a client wrapped it."""
    if error is None or depth > 8:
        return ""
    if isinstance(error, OSError) and isinstance(error.errno, int) and error.strerror:
        return str(error.strerror)
    inner = [error.__cause__, error.__context__, getattr(error, "reason", None), *error.args[:1]]
    inner += getattr(error, "exceptions", ())  # trio tries each address of a host, and groups what failed
    found = (_system_error(item, depth + 1) for item in inner if isinstance(item, BaseException))
    return next((text for text in found if text), "")
