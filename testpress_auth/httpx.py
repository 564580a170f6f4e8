"""`TestpressJWTAuth` for httpx: `httpx.get(url, auth=auth)`, `Client(auth=auth)`, `AsyncClient(auth=auth)`.

Knows httpx's auth flow, in which the login, too, goes through the client that makes the call. When to log in is the
core's business.
"""

from __future__ import annotations

from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    aclosing,
    closing,
    nullcontext,
    suppress,
)
from typing import TYPE_CHECKING, Any

try:
    import httpx
except ImportError as missing:
    raise ImportError("httpx is not installed: pip install 'testpress-auth[httpx]'") from missing

from . import _tasks, errors
from ._failure import Failure, timed_out
from ._flow import renew, usable
from ._httpx_errors import (
    OWN,
    InvalidCredentials,
    LoginThrottled,
    LoginTimeout,
    LoginUnavailable,
    TestpressAuthError,
    UnexpectedLoginResponse,
)
from ._httpx_flow import HttpxFlow
from ._httpx_login import OneWay, TimeLeft, answer_of, limit, reply, take_in
from ._login import LoginRequest
from ._page import hide
from ._policy import SYSTEM
from ._reply import Intake, Reply
from ._steps import AskPassword, Read, Send, Sleep, Wait, adrive
from ._token import Login, Token
from .errors import ConfigurationError
from .events import logger

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


class TestpressJWTAuth(HttpxFlow, httpx.Auth):
    """Testpress's JWT authentication for httpx: one object for sync and async clients, on asyncio and trio.

    Args:
        username (str): the Testpress user name.
        password (str | Callable[[], str]): the password, or what fetches it, called once per login (in a worker
            thread from async code).
        client (httpx.Client | httpx.AsyncClient | None): what logins are sent with; sync for sync use, async for
            async. By default they go through the client that makes the call: its transport, proxy, certificates and
            mocks serve the login too, and so do its hooks; a cookie that the login sets stays in it.
        **options: see `testpress_auth._settings.Options`.

    Raises:
        ConfigurationError: an argument is missing or wrong; the message says what to write.
    """

    _transport_name = "client"
    _own_errors = OWN

    def __init__(
        self,
        username: str,
        password: str | Callable[[], str],
        *,
        client: httpx.Client | httpx.AsyncClient | None = None,
        **options: Unpack[Options],
    ) -> None:
        password = hide(password)
        if client is not None and not isinstance(client, (httpx.Client, httpx.AsyncClient)):
            raise ConfigurationError(
                f"client is a {type(client).__name__}: pass an httpx.Client or an httpx.AsyncClient", setting="client"
            )
        super().__init__(username, password, client, **options)

    def __call__(self, given: Any) -> Any:
        """Refuse: requests calls its auth objects, httpx never calls this one."""
        raise ConfigurationError(
            "this TestpressJWTAuth is for httpx, and was given to another client: "
            "for requests use `from testpress_auth.requests import TestpressJWTAuth`"
        )

    def logout(self) -> None:
        """End the token on the server, for all who share it, and forget it whatever the server answers.

        Best effort (`POST /api/v2.4/auth/logout/`): no answer and no error is reported. Sends nothing without a token.
        """
        login = self._source.forget()
        if login is not None:
            with suppress(httpx.HTTPError), self._sync_client() as client:
                client.send(self._logout_request(login), auth=None, follow_redirects=False, stream=True).close()

    async def atoken(self) -> Token:
        """Return a usable token, as `token` does, without blocking the event loop."""
        return (await self._alogged_in()).token

    async def aheader(self) -> dict[str, str]:
        """Return the header line of an API call, as `header` does, without blocking the event loop."""
        return {"Authorization": (await self._alogged_in()).header}

    async def ainvalidate(self) -> None:
        """Forget the token and any remembered failure, as `invalidate` does."""
        self.invalidate()

    async def alogout(self) -> None:
        """End the token on the server, as `logout` does, without blocking the event loop."""
        login = self._source.forget()
        if login is not None:
            with suppress(httpx.HTTPError):
                async with self._async_client() as client:
                    request = self._logout_request(login)
                    await (await client.send(request, auth=None, follow_redirects=False, stream=True)).aclose()

    def _logout_request(self, login: Login) -> httpx.Request:
        return httpx.Request(
            "POST",
            self._settings.logout_url,
            headers={"Authorization": login.header},
            extensions={"timeout": httpx.Timeout(self._settings.timeout).as_dict()},
        )

    async def _alogged_in(self) -> Login:
        login = self._fresh()
        if login is not None:
            return login
        return self._result(await adrive(usable(self._source, self._settings), self._aperform))

    def _renew(self) -> bool:
        """Renew ahead in the background where the login does not need the caller's client; else on the way (F2)."""
        if isinstance(self._transport, httpx.Client):
            return super()._renew()
        if self._transport is None or _tasks.running_trio() is not None:
            return False
        if not _tasks.spawn(self._arenew_here):
            self._source.back_off(self._now())  # a sync call, which an AsyncClient cannot serve: the old token will do
        return True

    async def _arenew_here(self) -> None:
        try:
            await adrive(renew(self._source, self._settings), self._aperform)
        except Exception as error:
            logger.warning("renewing ahead failed: %s", type(error).__name__)

    def _perform(self, step: Any) -> Any:
        if isinstance(step, Read):
            self._limit(step.answer)
            return step.answer.read()
        return super()._perform(step)

    def _limit(self, answer: httpx.Response) -> None:
        limit(answer, deadline=self._now() + self._settings.timeout, now=self._now)

    async def _aperform(self, step: Any) -> Any:
        """Perform one step in this task."""
        if isinstance(step, Read):
            self._limit(step.answer)
            return await step.answer.aread()
        if isinstance(step, Send):
            return await self._asend_login(step.request, step.deadline)
        if isinstance(step, AskPassword):
            credentials = self._settings.credentials
            return await _tasks.in_thread(credentials.password) if credentials.is_fetched else credentials.password()
        if isinstance(step, Sleep):
            clock = self._settings.clock
            return await _tasks.sleep(step.seconds) if clock is SYSTEM else clock.sleep(step.seconds)
        assert isinstance(step, Wait)  # noqa: S101 (for the type checker: there is no other step)
        return await _tasks.wait(step.flight, step.seconds)

    def _send_login(self, request: LoginRequest, deadline: float) -> Reply | Failure:
        login = OneWay(request, TimeLeft(deadline, self._now))
        try:
            with (
                self._sync_client() as client,
                closing(client.send(login, auth=None, follow_redirects=False, stream=True)) as response,
            ):
                intake = Intake(response.headers, deadline=deadline, now=self._now)
                take_in(response, intake)
                response.read()
                return reply(response, intake)
        except httpx.HTTPError as error:
            return self._failed_to_send(error, request, deadline)

    async def _asend_login(self, request: LoginRequest, deadline: float) -> Reply | Failure:
        login = OneWay(request, TimeLeft(deadline, self._now))
        try:
            async with self._async_client() as client:
                response = await client.send(login, auth=None, follow_redirects=False, stream=True)
                async with aclosing(response):
                    intake = Intake(response.headers, deadline=deadline, now=self._now)
                    take_in(response, intake)
                    await response.aread()
                    return reply(response, intake)
        except httpx.HTTPError as error:
            return self._failed_to_send(error, request, deadline)

    def _failed_to_send(self, error: httpx.HTTPError, request: LoginRequest, deadline: float) -> Reply | Failure:
        if self._now() >= deadline and not isinstance(error, httpx.HTTPStatusError):
            return timed_out(request.url, self._settings.timeout)
        return answer_of(error, request.url, self._settings.timeout, last=False)

    def _sync_client(self) -> AbstractContextManager[httpx.Client]:
        if isinstance(self._transport, httpx.AsyncClient):
            raise ConfigurationError("client= is an AsyncClient: sync use needs an httpx.Client", setting="client")
        return httpx.Client() if self._transport is None else nullcontext(self._transport)

    def _async_client(self) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        if isinstance(self._transport, httpx.Client):
            raise ConfigurationError("client= is a sync Client: async use needs an httpx.AsyncClient", setting="client")
        return httpx.AsyncClient() if self._transport is None else nullcontext(self._transport)

    def _error(self, failure: Failure, request: Any = None) -> errors.TestpressAuthError:
        """On httpx an error always has a request: the caller's own, or the login's without its body."""
        return super()._error(failure, request or httpx.Request("POST", self._settings.login_url))
