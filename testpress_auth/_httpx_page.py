"""All of a page of httpx or httpx2 but its library: the verbs that need no request, and logins outside of a flow.

Imports neither; a page brings its `Library`. When to log in is the core's business.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing, closing, nullcontext, suppress
from typing import TYPE_CHECKING, Any

from . import _tasks, errors
from ._failure import Failure, timed_out
from ._fleet import forget
from ._flow import renew, usable
from ._httpx_flow import HttpxFlow
from ._httpx_login import TimeLeft, each_phase, limit, one_way, reply, take_in
from ._login import LoginRequest
from ._policy import SYSTEM
from ._reply import Intake, Reply
from ._steps import AskPassword, Read, Send, Sleep, UseStore, Wait, adrive
from ._token import Login, Token
from ._wrong_client import not_a_transport, not_for
from .errors import ConfigurationError
from .events import logger

if TYPE_CHECKING:
    import httpx


class HttpxPage(HttpxFlow):
    """Base of `testpress_auth.httpx.TestpressJWTAuth` and its twin for httpx2."""

    _transport_name = "client"

    def __init__(self, username: str, password: Any, client: Any, **options: Any) -> None:
        library = self._httpx
        if client is not None and not isinstance(client, (library.Client, library.AsyncClient)):
            raise not_a_transport("client", client, f"an {library.name}.Client or an {library.name}.AsyncClient")
        super().__init__(username, password, client, **options)

    if not TYPE_CHECKING:  # without it, a type checker refuses what this refuses

        def __call__(self, given: Any) -> Any:
            """Refuse: other clients call their auth objects, this page's never does."""
            raise not_for(self._httpx.name, given)

    def logout(self) -> None:
        """End the token on the server, for all who share it, and forget it whatever the server answers.

        Best effort (`POST /api/v2.4/auth/logout/`): no answer and no error is reported. Sends nothing without a token.
        """
        login = self._forget()
        if login is not None:
            with suppress(self._httpx.HTTPError), self._sync_client() as client:
                client.send(self._logout_request(login), auth=None, follow_redirects=False, stream=True).close()

    async def atoken(self) -> Token:
        """Return a usable token, as `token` does, without blocking the event loop."""
        return (await self._alogged_in()).token

    async def aheader(self) -> dict[str, str]:
        """Return the header line of an API call, as `header` does, without blocking the event loop."""
        return {"Authorization": (await self._alogged_in()).header}

    async def ainvalidate(self) -> None:
        """Forget the token and any remembered failure, as `invalidate` does, without blocking the event loop."""
        await self._aforget()

    async def alogout(self) -> None:
        """End the token on the server, as `logout` does, without blocking the event loop."""
        login = await self._aforget()
        if login is not None:
            with suppress(self._httpx.HTTPError):
                async with self._async_client() as client:
                    request = self._logout_request(login)
                    await (await client.send(request, auth=None, follow_redirects=False, stream=True)).aclose()

    def _logout_request(self, login: Login) -> httpx.Request:
        return self._httpx.Request(
            "POST",
            self._settings.logout_url,
            headers={"Authorization": login.header},
            extensions={"timeout": each_phase(self._settings.timeout)},
        )

    async def _aforget(self) -> Login | None:
        return await adrive(forget(self._source, self._settings), self._aperform)

    async def _alogged_in(self) -> Login:
        login = self._fresh()
        if login is not None:
            return login
        return self._result(await adrive(usable(self._source, self._settings), self._aperform))

    def _renew(self) -> bool:
        """Renew ahead in the background where the login does not need the caller's client; else on the way (F2)."""
        if isinstance(self._transport, self._httpx.Client):
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
        if isinstance(step, UseStore):
            return await _tasks.in_thread(step.work)
        if isinstance(step, Sleep):
            clock = self._settings.clock
            return await _tasks.sleep(step.seconds) if clock is SYSTEM else clock.sleep(step.seconds)
        assert isinstance(step, Wait)  # noqa: S101 (for the type checker: there is no other step)
        return await _tasks.wait(step.flight, step.seconds)

    def _limit(self, answer: httpx.Response) -> None:
        limit(self._httpx, answer, deadline=self._now() + self._settings.timeout, now=self._now)

    def _send_login(self, request: LoginRequest, deadline: float) -> Reply | Failure:
        login = one_way(self._httpx, request, TimeLeft(deadline, self._now))
        try:
            with (
                self._sync_client() as client,
                closing(client.send(login, auth=None, follow_redirects=False, stream=True)) as response,
            ):
                intake = self._take_in(response, deadline)
                response.read()
                return reply(response, intake)
        except self._httpx.HTTPError as error:
            return self._failed_to_send(error, request, deadline)

    async def _asend_login(self, request: LoginRequest, deadline: float) -> Reply | Failure:
        login = one_way(self._httpx, request, TimeLeft(deadline, self._now))
        try:
            async with self._async_client() as client:
                response = await client.send(login, auth=None, follow_redirects=False, stream=True)
                async with aclosing(response):
                    intake = self._take_in(response, deadline)
                    await response.aread()
                    return reply(response, intake)
        except self._httpx.HTTPError as error:
            return self._failed_to_send(error, request, deadline)

    def _take_in(self, response: httpx.Response, deadline: float) -> Intake:
        intake = Intake(response.headers, deadline=deadline, now=self._now)
        take_in(self._httpx, response, intake)
        return intake

    def _failed_to_send(self, error: httpx.HTTPError, request: LoginRequest, deadline: float) -> Reply | Failure:
        if self._now() >= deadline and not isinstance(error, self._httpx.HTTPStatusError):
            return timed_out(request.url, self._settings.timeout)
        return self._httpx.answer_of(error, request.url, self._settings.timeout, last=False)

    def _sync_client(self) -> AbstractContextManager[httpx.Client]:
        if isinstance(self._transport, self._httpx.AsyncClient):
            raise self._wrong_kind("an AsyncClient: sync use needs an {}.Client")
        return self._httpx.Client() if self._transport is None else nullcontext(self._transport)

    def _async_client(self) -> AbstractAsyncContextManager[httpx.AsyncClient]:
        if isinstance(self._transport, self._httpx.Client):
            raise self._wrong_kind("a sync Client: async use needs an {}.AsyncClient")
        return self._httpx.AsyncClient() if self._transport is None else nullcontext(self._transport)

    def _wrong_kind(self, what: str) -> ConfigurationError:
        return ConfigurationError(f"client= is {what.format(self._httpx.name)}", setting="client")

    def _error(self, failure: Failure, request: Any = None) -> errors.TestpressAuthError:
        """An error always has a request here: the caller's own, or the login's without its body."""
        return super()._error(failure, request or self._httpx.Request("POST", self._settings.login_url))
