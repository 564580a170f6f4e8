"""httpx's auth flow: one conversation per request, driven for sync and for async clients.

A flow yields requests to the client that makes the call, the login among them, and the client sends back answers. Knows
what httpx does to a flow: it closes it, without a word, when sending fails or a hook raises.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from functools import partial
from typing import Any, Final

import httpx

from . import _flow
from ._failure import Failure, unexpected
from ._flow import Sender, recover, reject, usable
from ._httpx_login import OneWay, answer_of, causes, error_about, reply, request_of, take_in
from ._login import LoginRequest
from ._origin import Origin, belongs_on_https
from ._page import Page
from ._reply import Intake, Reply
from ._single_flight import Unsettled
from ._steps import Closed, Flow, Read, advance
from ._token import Login

_PORTS: Final = {"https": 443, "http": 80}


class HttpxFlow(Page):
    """What makes a page an `httpx.Auth`: its two flows, and the conversation that both drive."""

    def _take(self, settings: Any, store: Any, transport: Any) -> None:
        super()._take(settings, store, transport)
        url = httpx.URL(str(settings.origin))
        self._place = (url.raw_scheme, url.raw_host, url.port)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Execute the flow for `httpx.Client`; a caller who must wait blocks its thread."""
        conversation = self._begin(request)
        if isinstance(conversation, Login):
            login = conversation
            try:
                response = yield request
            except GeneratorExit as closed:
                self._after_close(login, closed.__context__)
                raise
            if response.status_code != 401:
                login.accepted = login.accepted or response.status_code < 300
                return
            conversation = self._after_401(request, response, login, [])
        error: BaseException | None = None
        try:
            step = next(conversation)
            while True:
                answer, error = None, None
                try:
                    answer = (yield step) if isinstance(step, httpx.Request) else self._perform(step)
                except GeneratorExit as closed:
                    _end(conversation, closed.__context__)  # what the client, or a hook of the user's, is raising
                    raise
                except BaseException as raised:
                    error = raised
                step = advance(conversation, answer, error)
        except StopIteration:
            return
        finally:
            error = None  # its traceback holds this frame

    def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Execute the flow for `httpx.AsyncClient`; a caller who must wait lets its event loop go on."""
        return _Listening(partial(self._async_steps, request))

    async def _async_steps(
        self, request: httpx.Request, client: _Listening
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        conversation = self._begin(request)
        if isinstance(conversation, Login):
            login = conversation
            try:
                response = yield request
            except GeneratorExit:
                self._after_close(login, client.raising)
                raise
            if response.status_code != 401:
                login.accepted = login.accepted or response.status_code < 300
                return
            conversation = self._after_401(request, response, login, [])
        error: BaseException | None = None
        try:
            step = next(conversation)
            while True:
                answer, error = None, None
                try:
                    answer = (yield step) if isinstance(step, httpx.Request) else await self._aperform(step)
                except GeneratorExit:
                    _end(conversation, client.raising)
                    raise
                except BaseException as raised:
                    error = raised
                step = advance(conversation, answer, error)
        except StopIteration:
            return
        finally:
            error = None  # its traceback holds this frame

    def _begin(self, request: httpx.Request) -> Login | Flow[None]:
        """The hot path: a valid token set, and the login it is of. Else the conversation that is needed."""
        url = request.url
        if (url.raw_scheme, url.raw_host, url.port) != self._place and not self._claim(request):
            return _untouched(request)
        login = self._fresh()
        if login is None:
            return self._converse(request)
        request.headers["Authorization"] = login.header
        return login

    def _claim(self, request: httpx.Request) -> bool:
        """Whether a URL that is not plainly ours may see the token after all; moves http to https on the way (O2)."""
        origin = _origin(request.url)
        if self._may_go_to(origin):
            return True
        if not belongs_on_https(origin, self._settings.allowed):
            return False
        request.url = request.url.copy_with(scheme="https", port=None)
        return True

    def _converse(self, request: httpx.Request) -> Flow[None]:
        """From a request that has no usable token, or one that this caller is to renew, to its answer."""
        logins: list[httpx.Response] = []
        send = self._sender(logins)
        login = self._result((yield from usable(self._source, self._settings, send)), request)
        request.headers["Authorization"] = login.header
        response = yield from self._sent(request, login)
        if response.status_code == 401:
            yield from self._after_401(request, response, login, logins)
        else:
            _leave_out(logins, response)

    def _after_401(
        self, request: httpx.Request, response: httpx.Response, login: Login, logins: list[httpx.Response]
    ) -> Flow[None]:
        last = response.request  # after redirects, another than the caller's
        redirects = list(response.history)  # httpx forgets them when more is sent
        if _origin(last.url) in self._settings.allowed:
            carried = login if last.headers.get("Authorization") == login.header else None
            outcome = yield from recover(
                self._source,
                self._settings,
                response,
                carried,
                replayable=_can_be_sent_again(last),
                send=self._sender(logins),
                resend=self._resend,
            )
            if isinstance(outcome, Failure):
                request.headers.pop("Authorization", None)  # X1: it will be the error's request
                raise self._error(outcome, request)
            response = outcome
            response.history = redirects + [each for each in response.history if each not in redirects]
        _leave_out(logins, response)

    def _resend(self, refused: httpx.Response, login: Login) -> Flow[tuple[httpx.Response, bool]]:
        request = refused.request
        request.headers["Authorization"] = login.header
        response = yield from self._sent(request, login)
        return response, response.status_code == 401

    def _sent(self, request: httpx.Request, login: Login) -> Flow[httpx.Response]:
        try:
            response: httpx.Response = yield request
        except Closed as closed:
            self._after_close(login, closed.cause)
            raise
        if response.status_code < 300:
            login.accepted = True
        return response

    def _after_close(self, login: Login, raised: BaseException | None) -> None:
        """A user's hook that raised on a 401 (`raise_for_status`) still told us that the token was refused."""
        for error in causes(raised):
            if isinstance(error, httpx.HTTPStatusError) and getattr(error.response, "status_code", 0) == 401:
                request = request_of(error)
                if request is not None and self._carried(request, login):
                    reject(self._source, self._settings, login)
                    return

    def _carried(self, request: httpx.Request, login: Login) -> bool:
        header = request.headers.get("Authorization")
        return header == login.header and _origin(request.url) in self._settings.allowed

    def _sender(self, logins: list[httpx.Response]) -> Sender:
        """How the login is sent: by `client=` if there is one, else through the client that makes the call."""
        return _flow.send if self._transport is not None else partial(self._through_caller, logins)

    def _through_caller(
        self, logins: list[httpx.Response], request: LoginRequest, deadline: float
    ) -> Flow[Reply | Failure]:
        timeout = self._settings.timeout
        login = OneWay(request, dict.fromkeys(("connect", "read", "write", "pool"), timeout))
        try:
            response: httpx.Response = yield login
            logins.append(response)
            if response.request is not login:
                return unexpected(request.url, "a redirect, which is not followed")
            intake = Intake(response.headers, deadline=deadline, now=self._now)
            take_in(response, intake)
            yield Read(answer=response)
            return reply(response, intake)
        except httpx.HTTPError as error:  # reading the answer
            login.forget()
            return answer_of(error, request.url, timeout, last=True)
        except Closed as closed:
            login.forget()
            if login.way.started_twice:
                return unexpected(request.url, "a redirect, which is not followed")
            about = error_about(login, closed.cause)
            if about is None:
                raise
            return answer_of(about, request.url, timeout, last=True)

    async def _aperform(self, step: Any) -> Any:
        raise NotImplementedError


def _origin(url: httpx.URL) -> Origin:
    return Origin(url.scheme, url.raw_host.decode("ascii"), _PORTS.get(url.scheme, 0) if url.port is None else url.port)


def _untouched(request: httpx.Request) -> Flow[None]:
    yield request


class _Listening(AsyncGenerator[httpx.Request, httpx.Response]):
    """An async flow that hears what the client is raising when it closes the flow: the generator itself would not."""

    __slots__ = ("_steps", "raising")

    def __init__(self, steps: Callable[[_Listening], AsyncGenerator[httpx.Request, httpx.Response]]) -> None:
        self.raising: BaseException | None = None
        self._steps = steps(self)

    def __anext__(self) -> Any:
        return self._steps.__anext__()

    def asend(self, value: Any) -> Any:
        return self._steps.asend(value)

    def athrow(self, *error: Any) -> Any:
        return self._steps.athrow(*error)

    async def aclose(self) -> None:
        self.raising = sys.exc_info()[1]
        try:
            await self._steps.aclose()
        finally:
            self.raising = None


def _end(conversation: Flow[None], raised: BaseException | None) -> None:
    """Tell a conversation that no more can be sent, and why: an exception is a failure, a cancellation is not (S3).

    What it raises then is not heard: the client is raising.
    """
    fate = Unsettled.UNANSWERED if isinstance(raised, Exception) else Unsettled.HANDED_OVER
    with suppress(Exception):
        conversation.throw(Closed(fate, raised))
    conversation.close()


def _leave_out(logins: list[httpx.Response], response: httpx.Response) -> None:
    """Take the logins' answers out of the histories that the caller sees: they hold tokens."""
    if logins:
        for each in (response, *response.history):
            each.history = [earlier for earlier in each.history if earlier not in logins]


def _can_be_sent_again(request: httpx.Request) -> bool:
    """Whether the body is in memory, or multipart whose files httpx can rewind (J2)."""
    stream = request.stream
    if isinstance(stream, httpx.ByteStream):
        return True
    if type(stream).__name__ != "MultipartStream":
        return False
    files = [getattr(field, "file", b"") for field in getattr(stream, "fields", ())]
    return all(isinstance(file, (bytes, str)) or (hasattr(file, "seekable") and file.seekable()) for file in files)
