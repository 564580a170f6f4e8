"""The auth flow of httpx and httpx2: a request's conversation, driven for sync and for async clients.

Knows what those clients do to a flow: they send what it yields, give it the answers, and close it, without a word, when
sending fails or a hook raises. Imports neither.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ._httpx_conversation import HttpxConversation
from ._single_flight import Unsettled
from ._steps import Closed, Flow, advance
from ._token import Login

if TYPE_CHECKING:
    import httpx


class HttpxFlow(HttpxConversation):
    """What makes a page an `Auth` of its library: the two flows."""

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
                    answer = (yield step) if isinstance(step, self._httpx.Request) else self._perform(step)
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
                    answer = (yield step) if isinstance(step, self._httpx.Request) else await self._aperform(step)
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

    async def _aperform(self, step: Any) -> Any:
        raise NotImplementedError


class _Listening(AsyncGenerator[Any, Any]):
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
