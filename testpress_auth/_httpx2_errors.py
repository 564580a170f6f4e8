"""The errors of `testpress_auth.httpx2`: ours, and httpx2's own types at once, so that code in place keeps working."""

from __future__ import annotations

from typing import Final

import httpx2

from . import errors


class TestpressAuthError(errors.TestpressAuthError, httpx2.RequestError):
    """Base of this page's errors. (`ConfigurationError` is not among them: it is no trouble of the client's.)"""


class InvalidCredentials(errors.InvalidCredentials, TestpressAuthError):
    """See `testpress_auth.errors.InvalidCredentials`; here also an `httpx2.RequestError`."""


class LoginThrottled(errors.LoginThrottled, TestpressAuthError):
    """See `testpress_auth.errors.LoginThrottled`; here also an `httpx2.RequestError`."""


class LoginUnavailable(errors.LoginUnavailable, TestpressAuthError, httpx2.TransportError):
    """See `testpress_auth.errors.LoginUnavailable`; here also an `httpx2.TransportError`."""


class LoginTimeout(errors.LoginTimeout, LoginUnavailable, httpx2.TimeoutException):
    """See `testpress_auth.errors.LoginTimeout`; here also an `httpx2.TimeoutException`."""


class UnexpectedLoginResponse(errors.UnexpectedLoginResponse, TestpressAuthError):
    """See `testpress_auth.errors.UnexpectedLoginResponse`; here also an `httpx2.RequestError`."""


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
    _kind.__module__ = "testpress_auth.httpx2"  # where users import them from
