"""How the login travels on httpx: through the client that makes the call, or with one that the user gave (L2 to L4).

Knows httpx, and what its redirects, hooks and mocks do to a request on its way; nothing of when a login is due.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx

from ._failure import Failure, timed_out, unexpected, unreachable
from ._httpx_errors import UnexpectedLoginResponse
from ._login import LoginRequest
from ._reply import Intake, Reply


class OneWay(httpx.Request):
    """The login. It goes out once, to one URL; its password is gone when it failed.

    Its body stands in it as content, so that a hook or mock that reads the request leaves the stream alone.
    """

    def __init__(self, request: LoginRequest, timeout: dict[str, float]) -> None:
        body = request.body
        super().__init__(
            "POST",
            request.url,
            headers=request.headers,
            content=body.reveal().encode(),
            extensions={"timeout": timeout},
        )
        self.stream = self.way = _Once(self.content, request.url)

    def forget(self) -> None:
        """Take the body out: this request becomes the `request` of a client's exception."""
        self._content = self.way.content = b""
        self.headers.pop("content-length", None)


class _Once(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that can be started once. A client that follows a 307 or 308 would start it a second time."""

    def __init__(self, content: bytes, url: str) -> None:
        self.content = content
        self.url = url
        self.started_twice = False
        self._started = False

    def _start(self) -> bytes:
        # A mock may answer without starting this stream, since the login has its content. The copy that a redirect
        # made of it has none: there `Request.read` starts it, in the name of another URL.
        reader = sys._getframe(2)
        is_read = reader.f_code in (httpx.Request.read.__code__, httpx.Request.aread.__code__)
        if self._started or (is_read and reader.f_locals["self"].url != httpx.URL(self.url)):
            self.started_twice = True
            reason = "a redirect, or made the client's transport try again: a login is sent once"
            raise UnexpectedLoginResponse(
                f"login at {self.url} answered {reason}", reason=reason, request=httpx.Request("POST", self.url)
            )
        self._started = True
        return self.content

    def __iter__(self) -> Iterator[bytes]:
        return iter((self._start(),))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _one(self._start())


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


class _Taken(httpx.SyncByteStream, httpx.AsyncByteStream):
    """An answer's stream that ends when its intake has had enough."""

    def __init__(self, inner: Any, intake: Intake, *, fails_when_closed: bool) -> None:
        self._inner = inner
        self._intake = intake
        self._fails_when_closed = fails_when_closed

    def __iter__(self) -> Iterator[bytes]:
        if self._intake.trouble is None:
            for chunk in self._inner:
                if not self._intake.takes(chunk):
                    return
                yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._intake.trouble is not None:
            return
        ended = 0
        try:
            async for chunk in self._inner:
                if not ended and self._intake.takes(chunk):
                    yield chunk
                    continue
                ended += 1
                if ended == 1:
                    await self._inner.aclose()
                # On HTTP/1.1 the next read fails then, which ends every generator below: trio wants none left
                # unfinished. Elsewhere it could wait for ever.
                if not self._fails_when_closed or ended > 100:
                    return
        except httpx.TransportError:
            if not ended:
                raise

    def close(self) -> None:
        self._inner.close()

    async def aclose(self) -> None:
        await self._inner.aclose()


class TimeLeft(dict[str, float]):
    """httpx's timeouts of one request, where each phase gets what is left of the deadline when it begins (L4)."""

    def __init__(self, deadline: float, now: Callable[[], float]) -> None:
        self._deadline = deadline
        self._now = now
        super().__init__(dict.fromkeys(("connect", "read", "write", "pool"), self._left()))

    def _left(self) -> float:
        return max(self._deadline - self._now(), 0.001)

    def get(self, key: str, default: Any = None) -> Any:
        return self._left() if key in self else default


def take_in(response: httpx.Response, intake: Intake, *, decoded: bool = False) -> None:
    """Put the intake between an answer and whoever reads it: the page, or httpx itself."""
    if not decoded:
        response.headers.pop("content-encoding", None)  # the intake has seen it
    http1 = response.http_version == "HTTP/1.1"
    response.stream = _Taken(response.stream, intake, fails_when_closed=http1)


def limit(response: httpx.Response, *, deadline: float, now: Callable[[], float]) -> None:
    """Have a refused answer, whose connection is wanted, cut short where it is too long or too slow."""
    if not isinstance(response.stream, _Taken):
        take_in(response, Intake({}, deadline=deadline, now=now), decoded=True)


def reply(response: httpx.Response, intake: Intake, *, last: bool = False) -> Reply:
    """Make a reply of an answer that has been read."""
    if not intake.has_taken:
        intake.takes(response.content)  # a hook had read it already, or a mock made it so
    return Reply(
        status=response.status_code,
        headers=response.headers,
        body=response.content,
        trouble=intake.trouble,
        late=intake.late,
        last=last,
    )


def answer_of(error: Exception, url: str, timeout: float, *, last: bool) -> Reply | Failure:
    """Read a client's exception at the login: an answer that a user's hook did not let pass, or a failure."""
    if isinstance(error, httpx.HTTPStatusError):
        return _answer_refused_by_hook(error.response, last=last)
    if isinstance(error, (UnexpectedLoginResponse, httpx.TooManyRedirects)):
        return unexpected(url, "a redirect, which is not followed")
    if isinstance(error, httpx.TimeoutException):
        return timed_out(url, timeout)
    return unreachable(url, error, pause=None if last else 0.0)


def error_about(request: httpx.Request, raised: BaseException | None) -> httpx.HTTPError | None:
    """Find the client's own error about this very request in what is raised; a user's hook may have wrapped it."""
    for error in causes(raised):
        if isinstance(error, httpx.HTTPError) and request_of(error) is request:
            return error
    return None


def causes(raised: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and those it was raised from, or while handling."""
    for _ in range(8):
        if raised is None:
            return
        yield raised
        raised = raised.__cause__ or raised.__context__


def request_of(error: httpx.HTTPError) -> httpx.Request | None:
    try:
        return error.request
    except RuntimeError:  # it was made without one
        return None


def _answer_refused_by_hook(response: httpx.Response, *, last: bool) -> Reply:
    try:
        body = response.content
    except httpx.ResponseNotRead:
        body = None
    return Reply(status=response.status_code, headers=response.headers, body=body, trouble=None, late=False, last=last)
