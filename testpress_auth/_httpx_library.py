"""httpx or httpx2: all the names of theirs that we use, subclasses of their classes, and what their exceptions mean.

Imports neither; each page brings its own. Type checkers read both as httpx, whose names httpx2 kept. Knows nothing of
how a login is made, or when one is due.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from . import errors
from ._failure import Failure, timed_out, unexpected, unreachable
from ._reply import Reply

if TYPE_CHECKING:
    import httpx

_T = TypeVar("_T")


class Library:
    """One of the two libraries.

    Args:
        module (ModuleType): httpx or httpx2.
        unexpected (type): that page's `UnexpectedLoginResponse`, for what is raised within the client.
    """

    def __init__(self, module: Any, unexpected: type[errors.UnexpectedLoginResponse]) -> None:
        self.name: str = module.__name__
        self.Client: type[httpx.Client] = module.Client
        self.AsyncClient: type[httpx.AsyncClient] = module.AsyncClient
        self.Request: type[httpx.Request] = module.Request
        self.URL: type[httpx.URL] = module.URL
        self.ByteStream: type[httpx.ByteStream] = module.ByteStream
        self.SyncByteStream: type[httpx.SyncByteStream] = module.SyncByteStream
        self.AsyncByteStream: type[httpx.AsyncByteStream] = module.AsyncByteStream
        self.HTTPError: type[httpx.HTTPError] = module.HTTPError
        self.HTTPStatusError: type[httpx.HTTPStatusError] = module.HTTPStatusError
        self.TransportError: type[httpx.TransportError] = module.TransportError
        self.TimeoutException: type[httpx.TimeoutException] = module.TimeoutException
        self.TooManyRedirects: type[httpx.TooManyRedirects] = module.TooManyRedirects
        self.ResponseNotRead: type[httpx.ResponseNotRead] = module.ResponseNotRead
        self.UnexpectedLoginResponse: Any = unexpected
        self._subclasses: dict[type, type] = {}

    def subclass(self, ours: type[_T], *theirs: type) -> type[_T]:
        """Make a class of ours one of the library's own too, once; it finds the library as `httpx`."""
        if ours not in self._subclasses:
            self._subclasses[ours] = type(ours.__name__, (ours, *theirs), {"httpx": self})
        return cast("type[_T]", self._subclasses[ours])

    def answer_of(self, error: Exception, url: str, timeout: float, *, last: bool) -> Reply | Failure:
        """Read a client's exception at the login: an answer that a user's hook did not let pass, or a failure."""
        if isinstance(error, self.HTTPStatusError):
            return self._answer_refused_by_hook(error.response, last=last)
        if isinstance(error, (errors.UnexpectedLoginResponse, self.TooManyRedirects)):
            return unexpected(url, "a redirect, which is not followed")
        if isinstance(error, self.TimeoutException):
            return timed_out(url, timeout)
        return unreachable(url, error, pause=None if last else 0.0)

    def _answer_refused_by_hook(self, response: httpx.Response, *, last: bool) -> Reply:
        try:
            body = response.content
        except self.ResponseNotRead:
            body = None
        return Reply(
            status=response.status_code, headers=response.headers, body=body, trouble=None, late=False, last=last
        )

    def error_about(self, request: httpx.Request, raised: BaseException | None) -> httpx.HTTPError | None:
        """Find the client's own error about this very request in what is raised; a user's hook may have wrapped it."""
        for error in causes(raised):
            if isinstance(error, self.HTTPError) and request_of(error) is request:
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
