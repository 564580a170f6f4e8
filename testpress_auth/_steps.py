"""The steps that a flow asks for, and the two drivers that perform them, one for threads and one for tasks.

Knows nothing of what the steps are for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

from ._login import LoginRequest
from ._single_flight import Flight, Unsettled
from ._token import Login
from ._value import Value

_T = TypeVar("_T")
Flow = Generator[Any, Any, _T]


class Wait(Value):
    """Wait for another's flight to be settled, for so many seconds at most."""

    __slots__ = ("flight", "seconds")

    flight: Flight
    seconds: float


class AskPassword(Value):
    """Fetch the password; answered with a `Secret`."""

    __slots__ = ()


class UseStore(Value):
    """Do something that a store may block for; answered with what `work` returns."""

    __slots__ = ("work",)

    work: Callable[[], Any]


class Send(Value):
    """Send the login; answered with a `Reply` or a `Failure`. `deadline` is in monotonic seconds."""

    __slots__ = ("deadline", "request")

    request: LoginRequest
    deadline: float


class Sleep(Value):
    """Pause for so many seconds."""

    __slots__ = ("seconds",)

    seconds: float


class Read(Value):
    """Read a refused answer to its end and close it, so that its connection is free."""

    __slots__ = ("answer",)

    answer: Any


class Resend(Value):
    """Send a refused request again with this login's token; answered with the new answer, and whether it is a 401."""

    __slots__ = ("login", "refused")

    login: Login
    refused: Any


class Closed(Exception):
    """Thrown in by a page whose own flow was closed at a step: `fate` says how much that tells, `cause` why."""

    def __init__(self, fate: Unsettled, cause: BaseException | None = None) -> None:
        super().__init__(fate)
        self.fate = fate
        self.cause = cause


def advance(flow: Flow[_T], answer: Any, error: BaseException | None) -> Any:
    """Give a flow a step's answer, or throw in what performing it raised; return the next step.

    Called outside of any `except`: what the flow raises then must not have the client's exception as its context, for
    that may hold the login's request (X1).
    """
    return flow.send(answer) if error is None else flow.throw(error)


def drive(flow: Flow[_T], perform: Callable[[Any], Any]) -> _T:
    """Perform a flow's steps one by one and return its result. What `perform` raises is thrown into the flow."""
    error: BaseException | None = None
    try:
        step = next(flow)
        while True:
            answer, error = None, None
            try:
                answer = perform(step)
            except BaseException as raised:
                error = raised
            step = advance(flow, answer, error)
    except StopIteration as done:
        result: _T = done.value
        return result
    finally:
        error = None  # its traceback holds this frame


async def adrive(flow: Flow[_T], perform: Callable[[Any], Awaitable[Any]]) -> _T:
    """The same for a task: it awaits `perform`."""
    error: BaseException | None = None
    try:
        step = next(flow)
        while True:
            answer, error = None, None
            try:
                answer = await perform(step)
            except BaseException as raised:
                error = raised
            step = advance(flow, answer, error)
    except StopIteration as done:
        result: _T = done.value
        return result
    finally:
        error = None  # its traceback holds this frame
