"""The errors of `testpress_auth.httpx`: ours, and httpx's own types at once, so that code in place keeps working."""

from __future__ import annotations

from typing import Final

import httpx

from . import errors


class InvalidCredentials(errors.InvalidCredentials, httpx.RequestError):
    """See `testpress_auth.errors.InvalidCredentials`; here also an `httpx.RequestError`."""


class LoginThrottled(errors.LoginThrottled, httpx.RequestError):
    """See `testpress_auth.errors.LoginThrottled`; here also an `httpx.RequestError`."""


class LoginUnavailable(errors.LoginUnavailable, httpx.TransportError):
    """See `testpress_auth.errors.LoginUnavailable`; here also an `httpx.TransportError`."""


class LoginTimeout(errors.LoginTimeout, LoginUnavailable, httpx.TimeoutException):
    """See `testpress_auth.errors.LoginTimeout`; here also an `httpx.TimeoutException`."""


class UnexpectedLoginResponse(errors.UnexpectedLoginResponse, httpx.RequestError):
    """See `testpress_auth.errors.UnexpectedLoginResponse`; here also an `httpx.RequestError`."""


OWN: Final[dict[type[errors.TestpressAuthError], type[errors.TestpressAuthError]]] = {
    kind.__mro__[1]: kind
    for kind in (InvalidCredentials, LoginThrottled, LoginUnavailable, LoginTimeout, UnexpectedLoginResponse)
}
for _kind in OWN.values():
    _kind.__module__ = "testpress_auth.httpx"  # where users import them from
