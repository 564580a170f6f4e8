"""How the login travels on httpx and httpx2: through the caller's client, or with one that the user gave (L2 to L4).

Knows what the libraries' redirects, hooks and mocks do to a request on its way; imports neither (see `Library`), and
knows nothing of when a login is due.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from ._httpx_library import Library
from ._login import LoginRequest
from ._reply import Intake, Reply

if TYPE_CHECKING:
    from datetime import timedelta

    import httpx
    from httpx import Request

    class Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
        """What both kinds of client take for a body."""
else:
    Request = Stream = object  # the library's own take their place in its subclass


def one_way(library: Library, request: LoginRequest, timeout: dict[str, float]) -> OneWay:
    """Make the login a request of the library's."""
    return library.subclass(OneWay, library.Request)(request, timeout)


class OneWay(Request):
    """The login. It goes out once, to one URL; its password is gone when it failed.

    Its body stands in it as content, so that a hook or mock that reads the request leaves the stream alone.
    """

    httpx: Library

    def __init__(self, request: LoginRequest, timeout: dict[str, float]) -> None:
        body = request.body
        super().__init__(
            "POST",
            request.url,
            headers=request.headers,
            content=body.reveal().encode(),
            extensions={"timeout": timeout},
        )
        library = self.httpx
        once = library.subclass(_Once, library.SyncByteStream, library.AsyncByteStream)
        self.stream = self.way = once(self.content, request.url)

    def forget(self) -> None:
        """Take the body out: this request becomes the `request` of a client's exception."""
        self._content = self.way.content = b""
        self.headers.pop("content-length", None)

    def __reduce__(self) -> Any:
        """A pickle, as of an exception that has this request, is the library's own and has no password in it."""
        return self.httpx.Request, ("POST", str(self.url))


class _Once(Stream):
    """A body that can be started once. A client that follows a 307 or 308 would start it a second time."""

    httpx: Library

    def __init__(self, content: bytes, url: str) -> None:
        self.content = content
        self.url = url
        self.started_twice = False
        self._started = False

    def _start(self) -> bytes:
        # A mock may answer without starting this stream, since the login has its content. The copy that a redirect
        # made of it has none: there `Request.read` starts it, in the name of another URL.
        library, reader = self.httpx, sys._getframe(2)
        is_read = reader.f_code in (library.Request.read.__code__, library.Request.aread.__code__)
        if self._started or (is_read and reader.f_locals["self"].url != library.URL(self.url)):
            self.started_twice = True
            reason = "a redirect, or made the client's transport try again: a login is sent once"
            raise library.UnexpectedLoginResponse(
                f"login at {self.url} answered {reason}", reason=reason, request=library.Request("POST", self.url)
            )
        self._started = True
        return self.content

    def __iter__(self) -> Iterator[bytes]:
        return iter((self._start(),))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _one(self._start())


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


class _Taken(Stream):
    """An answer's stream that ends when its intake has had enough."""

    httpx: Library

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
        except self.httpx.TransportError:
            if not ended:
                raise

    @property
    def elapsed(self) -> timedelta | None:
        """What httpx2 answers `response.elapsed` with."""
        return getattr(self._inner, "elapsed", None)

    def close(self) -> None:
        self._inner.close()

    async def aclose(self) -> None:
        await self._inner.aclose()


def each_phase(timeout: float) -> dict[str, float]:
    """Say a request's timeout in seconds, as its `extensions` take it."""
    return dict.fromkeys(("connect", "read", "write", "pool"), timeout)


class TimeLeft(dict[str, float]):
    """The timeouts of one request, where each phase gets what is left of the deadline when it begins (L4)."""

    def __init__(self, deadline: float, now: Callable[[], float]) -> None:
        self._deadline = deadline
        self._now = now
        super().__init__(each_phase(self._left()))

    def _left(self) -> float:
        return max(self._deadline - self._now(), 0.001)

    def get(self, key: str, default: Any = None) -> Any:
        return self._left() if key in self else default


def take_in(library: Library, response: httpx.Response, intake: Intake, *, decoded: bool = False) -> None:
    """Put the intake between an answer and whoever reads it: the page, or the client itself."""
    if not decoded:
        response.headers.pop("content-encoding", None)  # the intake has seen it
    http1 = response.http_version == "HTTP/1.1"
    taken = library.subclass(_Taken, library.SyncByteStream, library.AsyncByteStream)
    response.stream = taken(response.stream, intake, fails_when_closed=http1)


def limit(library: Library, response: httpx.Response, *, deadline: float, now: Callable[[], float]) -> None:
    """Have a refused answer, whose connection is wanted, cut short where it is too long or too slow."""
    if not isinstance(response.stream, _Taken):
        take_in(library, response, Intake({}, deadline=deadline, now=now), decoded=True)


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
