"""What one request of httpx's or httpx2's takes: the hot path, or a conversation that yields all that is to be sent.

The login is among it, and goes through the client that makes the call. Knows what a request and its answers look like,
and when one may be sent again; nothing of who drives the conversation.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from . import _flow
from ._failure import Failure, unexpected
from ._flow import recover, reject, usable
from ._httpx_library import Library, causes, request_of
from ._httpx_login import each_phase, one_way, reply, take_in
from ._login import LoginRequest
from ._one_login import Sender
from ._origin import Origin, belongs_on_https
from ._page import Page
from ._reply import Intake, Reply
from ._steps import Closed, Flow, Read
from ._token import Login

if TYPE_CHECKING:
    import httpx

_PORTS: Final = {"https": 443, "http": 80}


class HttpxConversation(Page):
    """What happens to one request, from the token it is given to the answer its caller sees."""

    _httpx: ClassVar[Library]

    def _take(self, settings: Any, store: Any, transport: Any) -> None:
        super()._take(settings, store, transport)
        url = self._httpx.URL(str(settings.origin))
        self._place = (url.raw_scheme, url.raw_host, url.port)

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
                replayable=self._can_be_sent_again(last),
                send=self._sender(logins),
                resend=self._resend,
            )
            if isinstance(outcome, Failure):
                request.headers.pop("Authorization", None)  # X1: it will be the error's request
                raise self._error(outcome, request)
            response = outcome
            response.history = redirects + [each for each in response.history if each not in redirects]
        _leave_out(logins, response)

    def _can_be_sent_again(self, request: httpx.Request) -> bool:
        """Whether the body is in memory, or multipart whose files httpx can rewind (J2)."""
        stream = request.stream
        if isinstance(stream, self._httpx.ByteStream):
            return True
        if type(stream).__name__ != "MultipartStream":
            return False
        files = [getattr(field, "file", b"") for field in getattr(stream, "fields", ())]
        return all(isinstance(file, (bytes, str)) or (hasattr(file, "seekable") and file.seekable()) for file in files)

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
            if isinstance(error, self._httpx.HTTPStatusError) and getattr(error.response, "status_code", 0) == 401:
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
        login = one_way(self._httpx, request, each_phase(timeout))
        try:
            response: httpx.Response = yield login
            logins.append(response)
            if response.request is not login:
                return unexpected(request.url, "a redirect, which is not followed")
            intake = Intake(response.headers, deadline=deadline, now=self._now)
            take_in(self._httpx, response, intake)
            yield Read(answer=response)
            return reply(response, intake)
        except self._httpx.HTTPError as error:  # reading the answer
            login.forget()
            return self._httpx.answer_of(error, request.url, timeout, last=True)
        except Closed as closed:
            login.forget()
            if login.way.started_twice:
                return unexpected(request.url, "a redirect, which is not followed")
            about = self._httpx.error_about(login, closed.cause)
            if about is None:
                raise
            return self._httpx.answer_of(about, request.url, timeout, last=True)


def _origin(url: httpx.URL) -> Origin:
    return Origin(url.scheme, url.raw_host.decode("ascii"), _PORTS.get(url.scheme, 0) if url.port is None else url.port)


def _untouched(request: httpx.Request) -> Flow[None]:
    yield request


def _leave_out(logins: list[httpx.Response], response: httpx.Response) -> None:
    """Take the logins' answers out of the histories that the caller sees: they hold tokens."""
    if logins:
        for each in (response, *response.history):
            each.history = [earlier for earlier in each.history if earlier not in logins]
