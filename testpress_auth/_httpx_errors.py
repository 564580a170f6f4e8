"""The errors of `testpress_auth.httpx`: ours, and httpx's own types at once, so that code in place keeps working."""

from __future__ import annotations

from typing import Final

import httpx

from . import errors


class TestpressAuthError(errors.TestpressAuthError, httpx.RequestError):
    """Base of this page's errors. (`ConfigurationError` is not among them: it is no trouble of the client's.)"""


class InvalidCredentials(errors.InvalidCredentials, TestpressAuthError):
    """See `testpress_auth.errors.InvalidCredentials`; here also an `httpx.RequestError`."""


class LoginThrottled(errors.LoginThrottled, TestpressAuthError):
    """See `testpress_auth.errors.LoginThrottled`; here also an `httpx.RequestError`."""


class LoginUnavailable(errors.LoginUnavailable, TestpressAuthError, httpx.TransportError):
    """See `testpress_auth.errors.LoginUnavailable`; here also an `httpx.TransportError`."""


class LoginTimeout(errors.LoginTimeout, LoginUnavailable, httpx.TimeoutException):
    """See `testpress_auth.errors.LoginTimeout`; here also an `httpx.TimeoutException`."""


class UnexpectedLoginResponse(errors.UnexpectedLoginResponse, TestpressAuthError):
    """See `testpress_auth.errors.UnexpectedLoginResponse`; here also an `httpx.RequestError`."""


OWN: Final[dict[type[errors.TestpressAuthError], type[errors.TestpressAuthError]]] = {
    kind.__bases__[0]: kind
    for kind in (
        TestpressAuthError,
        InvalidCredentials,
        LoginThrottled,
        LoginUnavailable,
        LoginTimeout,
        UnexpectedLoginResponse,
    )
}
for _kind in OWN.values():
    _kind.__module__ = "testpress_auth.httpx"  # where users import them from
