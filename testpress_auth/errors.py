"""What can go wrong, told by whose fault it is.

Knows no client: each client page adds subclasses that are also that client's own exceptions, so `except
requests.RequestException` and `except httpx.HTTPError` go on working. No error ever holds a password or a token.

    TestpressAuthError
    ├── ConfigurationError        you: a bad URL, a missing setting
    ├── InvalidCredentials        the server refused the user name and password
    ├── LoginThrottled            the server wants fewer logins
    ├── LoginUnavailable          the network or a 5xx: worth another try later
    │   └── LoginTimeout          the login's deadline passed
    └── UnexpectedLoginResponse   the server answered something that is no token
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ConfigurationError",
    "InvalidCredentials",
    "LoginThrottled",
    "LoginTimeout",
    "LoginUnavailable",
    "TestpressAuthError",
    "UnexpectedLoginResponse",
]


class TestpressAuthError(Exception):
    """Base of all errors of this package.

    Where a request was on its way, `request` is the caller's own without its token, or the login without its body.
    """

    __test__ = False  # pytest would collect the class in every test module that imports it

    def __init__(self, message: str = "", *, request: Any = None) -> None:
        super().__init__(message)
        if request is not None:
            self.request = request


class ConfigurationError(TestpressAuthError, ValueError):
    """A setting is missing or wrong; the message says what to write instead.

    Attributes:
        setting (str | None): the name of the argument or environment variable.
    """

    def __init__(self, message: str = "", *, setting: str | None = None, request: Any = None) -> None:
        super().__init__(message, request=request)
        self.setting = setting


class InvalidCredentials(TestpressAuthError):
    """The server refused the user name and password. Remembered for 30 seconds, so that no retry locks an account.

    Attributes:
        status (int | None): the HTTP status of the login's answer.
        detail (str): the server's own words, as text.
    """

    def __init__(self, message: str = "", *, status: int | None = None, detail: str = "", request: Any = None) -> None:
        super().__init__(message, request=request)
        self.status = status
        self.detail = detail


class LoginThrottled(TestpressAuthError):
    """The server answered 429: too many logins.

    Attributes:
        retry_after (float | None): seconds to wait, as far as the server said.
    """

    def __init__(self, message: str = "", *, retry_after: float | None = None, request: Any = None) -> None:
        super().__init__(message, request=request)
        self.retry_after = retry_after


class LoginUnavailable(TestpressAuthError):
    """The login could not be made now: the network failed, or the server did (5xx). Worth another try later.

    Attributes:
        status (int | None): the HTTP status, where there was an answer.
    """

    def __init__(self, message: str = "", *, status: int | None = None, request: Any = None) -> None:
        super().__init__(message, request=request)
        self.status = status


class LoginTimeout(LoginUnavailable):
    """The login did not end within its deadline.

    Attributes:
        timeout (float | None): the deadline in seconds.
    """

    def __init__(
        self,
        message: str = "",
        *,
        timeout: float | None = None,
        status: int | None = None,
        request: Any = None,
    ) -> None:
        super().__init__(message, status=status, request=request)
        self.timeout = timeout


class UnexpectedLoginResponse(TestpressAuthError):
    """The login's answer is no token: not JSON, not a JWT, too large, a redirect.

    Attributes:
        status (int | None): the HTTP status of the answer.
        reason (str): what was wrong with it, in a few words.
    """

    def __init__(self, message: str = "", *, status: int | None = None, reason: str = "", request: Any = None) -> None:
        super().__init__(message, request=request)
        self.status = status
        self.reason = reason
