"""`TestpressJWTAuth` for requests: `requests.get(url, auth=auth)`, and `Session.auth`.

Knows requests, and how a refused request is sent again there. When to log in is the core's business.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

try:
    import requests
    from requests.auth import AuthBase
    from requests.cookies import extract_cookies_to_jar
    from requests.exceptions import UnrewindableBodyError
    from requests.utils import rewind_body
except ImportError as missing:
    raise ImportError("requests is not installed: pip install 'testpress-auth[requests]'") from missing

from . import errors
from ._credentials import Secret
from ._failure import Failure
from ._flow import recover
from ._login import LoginRequest
from ._origin import belongs_on_https, origin_of
from ._page import Page, hide
from ._reply import Reply
from ._requests_errors import (
    OWN,
    InvalidCredentials,
    LoginThrottled,
    LoginTimeout,
    LoginUnavailable,
    TestpressAuthError,
    UnexpectedLoginResponse,
)
from ._requests_login import drain, opened, post, send_login
from ._steps import Read, Resend, drive
from ._token import Login
from ._wrong_client import not_a_transport, not_for
from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from ._settings import Options

__all__ = [
    "ConfigurationError",
    "InvalidCredentials",
    "LoginThrottled",
    "LoginTimeout",
    "LoginUnavailable",
    "TestpressAuthError",
    "TestpressJWTAuth",
    "UnexpectedLoginResponse",
]


class TestpressJWTAuth(Page, AuthBase):
    """Testpress's JWT authentication for requests; threads, sessions and single calls may share one object.

    Args:
        username (str): the Testpress user name.
        password (str | Callable[[], str]): the password, or what fetches it, called once per login.
        session (requests.Session | None): what logins are sent with. By default each opens a session of its own, with
            requests' environment settings (proxies, CA bundle); a given one lends its adapters and settings, but not
            its auth, headers, cookies or hooks.
        **options: see `testpress_auth._settings.Options`.

    Raises:
        ConfigurationError: an argument is missing or wrong; the message says what to write.
    """

    _transport_name = "session"
    _own_errors = OWN

    def __init__(
        self,
        username: str,
        password: str | Callable[[], str],
        *,
        session: requests.Session | None = None,
        **options: Unpack[Options],
    ) -> None:
        password = hide(password)
        if session is not None and not isinstance(session, requests.Session):
            raise not_a_transport("session", session, "a requests.Session")
        super().__init__(username, password, session, **options)

    def _take(self, settings: Any, store: Any, transport: Any) -> None:
        super()._take(settings, store, transport)
        self._prefix = f"{settings.origin}/"
        self._hook = _Hook(self)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the token on a prepared request to the token's own origin; leave any other as it is (O1)."""
        try:
            ours = r.url.startswith(self._prefix)  # type: ignore[union-attr]  # None is caught too
        except AttributeError:
            raise _not_for(r) from None
        if ours or self._claim(r):
            login = self._fresh() or self._logged_in(r)
            r.headers["Authorization"] = login.header
            hooks = [self._hook]
            if r.hooks["response"]:
                hooks += [hook for hook in r.hooks["response"] if type(hook) is not _Hook]
            r.hooks = {"response": hooks}  # anew, for copies of a prepared request share theirs
        return r

    def logout(self) -> None:
        """End the token on the server, for all who share it, and forget it whatever the server answers.

        Best effort (`POST /api/v2.4/auth/logout/`): no answer and no error is reported. Sends nothing without a token.
        """
        login = self._forget()
        if login is None:
            return
        request = LoginRequest(url=self._settings.logout_url, headers={"Authorization": login.header}, body=Secret(""))
        with suppress(requests.RequestException), opened(self._transport) as session:
            post(session, request, self._settings.timeout).close()

    def _claim(self, r: requests.PreparedRequest) -> bool:
        """Whether a URL that is not plainly ours may see the token after all; moves http to https on the way (O2)."""
        url = r.url or ""
        origin = origin_of(url)
        if self._may_go_to(origin):
            return True
        if origin is None or not belongs_on_https(origin, self._settings.allowed):
            return False
        r.url = re.sub("(?i)^http://([^/?#]*?)(:[0-9]*)?(?=[/?#]|$)", r"https://\1", url)
        return True

    def _answered(self, response: requests.Response, kwargs: dict[str, Any]) -> requests.Response:
        """Look at each answer to a request of ours, also after each redirect, before the user's own hooks do."""
        request, login = response.request, self._source.login
        carried = login if login and request.headers.get("Authorization") is login.header else None
        if response.status_code != 401:
            if carried is not None and response.status_code < 300:
                carried.accepted = True
            return response
        url = request.url or ""
        if not url.startswith(self._prefix) and origin_of(url) not in self._settings.allowed:
            return response  # J3: requests' hooks travel along redirects, to any host
        return self._replay(response, carried, kwargs)

    def _replay(self, response: requests.Response, carried: Login | None, kwargs: dict[str, Any]) -> requests.Response:
        def perform(step: Any) -> Any:
            if isinstance(step, Read):
                return drain(step.answer, self._now() + self._settings.timeout, self._now)
            if isinstance(step, Resend):
                return _resend(step.refused, step.login, kwargs)
            return self._perform(step)

        again = _can_be_sent_again(response)
        outcome = drive(recover(self._source, self._settings, response, carried, replayable=again), perform)
        if isinstance(outcome, Failure):
            raise self._error(outcome, response.request)
        return cast("requests.Response", outcome)

    def _send_login(self, request: LoginRequest, deadline: float) -> Reply | Failure:
        return send_login(self._transport, request, deadline, self._settings)

    def _error(self, failure: Failure, request: Any = None) -> errors.TestpressAuthError:
        """The error's request is the caller's own; a copy if ours is in it: a refused token, our hook (X1)."""
        if request is not None and self._hook in request.hooks["response"]:
            request = request.copy()
            request.headers.pop("Authorization", None)
            request.hooks = {"response": [hook for hook in request.hooks["response"] if hook is not self._hook]}
        return super()._error(failure, request)


class _Hook:
    """An auth object's response hook. A pickle or a deep copy of a request leaves the auth object behind (X1)."""

    __slots__ = ("_auth",)

    def __init__(self, auth: TestpressJWTAuth) -> None:
        self._auth = auth

    def __call__(self, response: requests.Response, **kwargs: Any) -> requests.Response:
        if response.status_code != 401:
            login = self._auth._source.login
            if login is None or login.accepted:
                return response
        return self._auth._answered(response, kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _no_hook, ()


def _no_hook() -> Callable[..., None]:
    return _do_nothing


def _do_nothing(response: requests.Response, **_: Any) -> None:
    """Stand where the hook stood, in a request that came out of a pickle."""


def _resend(refused: requests.Response, login: Login, kwargs: dict[str, Any]) -> tuple[requests.Response, bool]:
    """Send a refused request once more, as `HTTPDigestAuth` does: through the connection it came by."""
    request: Any = refused.request.copy()
    if hasattr(request.body, "read"):
        try:
            rewind_body(request)
        except UnrewindableBodyError:
            return refused, False
    extract_cookies_to_jar(request._cookies, refused.request, refused.raw)  # type: ignore[no-untyped-call]
    request.prepare_cookies(request._cookies)
    request.headers["Authorization"] = login.header
    refused.request.headers["Authorization"] = login.header  # a redirect that follows is built from this one
    answer: requests.Response = refused.connection.send(request, **kwargs)
    answer.history = [*refused.history, refused]
    answer.request = request
    if answer.status_code < 300:
        login.accepted = True
    return answer, answer.status_code == 401


def _can_be_sent_again(response: requests.Response) -> bool:
    """Whether the body is in memory, or a file that requests knows how to rewind; and whether there is a way (J2)."""
    body = response.request.body
    position = getattr(response.request, "_body_position", None)
    in_memory = body is None or isinstance(body, (bytes, str, bytearray))
    rewindable = hasattr(body, "read") and isinstance(position, int)
    return (in_memory or rewindable) and hasattr(getattr(response, "connection", None), "send")


def _not_for(given: object) -> ConfigurationError:
    if isinstance(given, requests.PreparedRequest):
        return ConfigurationError("this PreparedRequest has no URL yet: prepare it first")
    return not_for("requests", given)
