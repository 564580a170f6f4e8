"""The errors of `testpress_auth.requests`: ours, and requests' own types at once, so that code in place works on."""

from __future__ import annotations

from typing import Final

import requests

from . import errors


class TestpressAuthError(errors.TestpressAuthError, requests.RequestException):
    """Base of this page's errors. (`ConfigurationError` is not among them: it is no trouble of the client's.)"""


class InvalidCredentials(errors.InvalidCredentials, TestpressAuthError):
    """See `testpress_auth.errors.InvalidCredentials`; here also a `requests.RequestException`."""


class LoginThrottled(errors.LoginThrottled, TestpressAuthError):
    """See `testpress_auth.errors.LoginThrottled`; here also a `requests.RequestException`."""


class LoginUnavailable(errors.LoginUnavailable, TestpressAuthError, requests.ConnectionError):
    """See `testpress_auth.errors.LoginUnavailable`; here also a `requests.ConnectionError`."""


class LoginTimeout(errors.LoginTimeout, LoginUnavailable, requests.Timeout):
    """See `testpress_auth.errors.LoginTimeout`; here also a `requests.Timeout`."""


class UnexpectedLoginResponse(errors.UnexpectedLoginResponse, TestpressAuthError):
    """See `testpress_auth.errors.UnexpectedLoginResponse`; here also a `requests.RequestException`."""


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
    _kind.__module__ = "testpress_auth.requests"  # where users import them from
