"""How a task waits, sleeps, and hands work to a thread or to another task: on asyncio or trio.

Knows nothing of logins, and imports neither library before a task runs on it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from ._single_flight import Flight

_T = TypeVar("_T")


def running_trio() -> Any:
    """Return the module trio if this thread is inside a trio run, else None."""
    trio = sys.modules.get("trio")
    lowlevel: Any = getattr(trio, "lowlevel", None)  # not there yet while another thread imports trio
    if not hasattr(lowlevel, "current_trio_token"):
        return None
    try:
        lowlevel.current_trio_token()
    except RuntimeError:
        return None
    return trio


def in_event_loop() -> bool:
    """Whether this thread is running an event loop right now, so that to block is to stop it."""
    if running_trio() is not None:
        return True
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


async def wait(flight: Flight, seconds: float) -> None:
    """Wait until the flight is settled, or for so many seconds. It may be settled from any thread."""
    trio = running_trio()
    if trio is not None:
        landed = trio.Event()
        token = trio.lowlevel.current_trio_token()
        if flight.call_back(lambda: _call(token.run_sync_soon, landed.set)):
            with trio.move_on_after(max(seconds, 0)):
                await landed.wait()
        return
    import asyncio

    loop = asyncio.get_running_loop()
    future = loop.create_future()
    if flight.call_back(lambda: _call(loop.call_soon_threadsafe, _finish, future)):
        await asyncio.wait([future], timeout=max(seconds, 0))


async def sleep(seconds: float) -> None:
    trio = running_trio()
    if trio is None:
        import asyncio

        await asyncio.sleep(seconds)
    else:
        await trio.sleep(seconds)


async def in_thread(work: Callable[[], _T]) -> _T:
    """Run what may block in a worker thread. If the task is cancelled, the thread is left to end on its own."""
    trio = running_trio()
    if trio is None:
        import asyncio

        return await asyncio.to_thread(work)
    result: _T = await trio.to_thread.run_sync(work, abandon_on_cancel=True)
    return result


_spawned: set[Any] = set()  # an event loop holds its tasks weakly


def spawn(work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Run a coroutine beside the current task, if that can be: on asyncio. trio has no task without a nursery."""
    if running_trio() is not None or not in_event_loop():
        return False
    import asyncio

    _spawned.difference_update([task for task in _spawned if task.get_loop().is_closed()])
    task = asyncio.ensure_future(work())
    _spawned.add(task)
    task.add_done_callback(_spawned.discard)
    return True


def _call(schedule: Callable[..., object], *what: Any) -> None:
    with suppress(RuntimeError):  # that loop has ended (trio.RunFinishedError is one too): nobody waits there any more
        schedule(*what)


def _finish(future: Any) -> None:
    if not future.done():
        future.set_result(None)
