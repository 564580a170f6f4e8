"""The errors of `testpress_auth.requests`: ours, and requests' own types at once, so that code in place works on."""

from __future__ import annotations

from typing import Final

import requests

from . import errors


class InvalidCredentials(errors.InvalidCredentials, requests.RequestException):
    """See `testpress_auth.errors.InvalidCredentials`; here also a `requests.RequestException`."""


class LoginThrottled(errors.LoginThrottled, requests.RequestException):
    """See `testpress_auth.errors.LoginThrottled`; here also a `requests.RequestException`."""


class LoginUnavailable(errors.LoginUnavailable, requests.ConnectionError):
    """See `testpress_auth.errors.LoginUnavailable`; here also a `requests.ConnectionError`."""


class LoginTimeout(errors.LoginTimeout, LoginUnavailable, requests.Timeout):
    """See `testpress_auth.errors.LoginTimeout`; here also a `requests.Timeout`."""


class UnexpectedLoginResponse(errors.UnexpectedLoginResponse, requests.RequestException):
    """See `testpress_auth.errors.UnexpectedLoginResponse`; here also a `requests.RequestException`."""


OWN: Final[dict[type[errors.TestpressAuthError], type[errors.TestpressAuthError]]] = {
    kind.__mro__[1]: kind
    for kind in (InvalidCredentials, LoginThrottled, LoginUnavailable, LoginTimeout, UnexpectedLoginResponse)
}
for _kind in OWN.values():
    _kind.__module__ = "testpress_auth.requests"  # where users import them from
