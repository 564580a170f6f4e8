"""C: twenty seconds of steady load on tokens that live four: who waits when a token is renewed?

Each call's time is noted; it is near a renewal if it overlaps a login that the server saw, 50 ms either side. A call
that took over 50 ms waited, for whatever reason: the constant header in the same run shows how many do anyhow.
"""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from testpress_auth.events import Event, LoginAwaited, LoginStarted

from .live_tasks import TASKS, Async, constant_on_aiohttp, constant_on_httpx
from .live_threads import THREADS, Sync, constant_on_requests
from .result import Measure, Row, main, quantile, quiet
from .server import Seen, ServerProcess

_LIVES: Final = 4  # seconds that a token lives
_LONG: Final = 0.05  # seconds; also what is near
_CONSTANT: Final = "constant header"
_ON_REQUESTS: Final = {_CONSTANT: constant_on_requests, **THREADS}
_ON_TASKS: Final = {_CONSTANT: constant_on_httpx, f"{_CONSTANT}, aiohttp": constant_on_aiohttp, **TASKS}


class Done(NamedTuple):
    """One call: from when to when (`time.monotonic`), and its status; 0 for an exception."""

    start: float
    end: float
    status: int


class Ears:
    """Hear from our events which callers made a login or waited for one; a renewal in the background is no caller."""

    def __init__(self) -> None:
        self.callers: set[object] = set()
        self.here: Callable[[], object] = threading.current_thread
        self.waited = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, (LoginStarted, LoginAwaited)) and self.here() in self.callers:
            self.waited += 1


def run(given: argparse.Namespace) -> Iterator[Row]:
    quiet()
    seconds = 5 if given.quick else 20
    with ServerProcess(_LIVES) as server:
        for who, sync in _ON_REQUESTS.items():
            if "sync" not in who:
                length = _length(who, seconds)
                yield _row("16 threads", who, length, *_threads(server, sync, 16, length))
        for who, kind in _ON_TASKS.items():
            length = _length(who, seconds)
            yield _row("200 tasks", who, length, *asyncio.run(_tasks(server, kind, 200, length)))


def _length(who: str, seconds: float) -> float:
    return seconds / 2 if who.startswith(_CONSTANT) else seconds


def _row(case: str, who: str, length: float, done: list[Done], seen: Seen, ears: Ears) -> Row:
    def near(one: Done) -> bool:
        return any(one.start < end + _LONG and start - _LONG < one.end for start, end in seen.spans)

    beside = [one.end - one.start for one in done if near(one)]
    away = [one.end - one.start for one in done if not near(one)]
    figures: dict[str, float | int | str] = {
        "logins": seen.logins,
        "refused": seen.refused,
        "failed": sum(one.status != 200 for one in done),
        "long": sum(one.end - one.start > _LONG for one in done),
        "p50": quantile(away, 0.5) * 1000,
        "p99": quantile(away, 0.99) * 1000,
    }
    if "testpress" in who:
        figures["waited"] = ears.waited
    if beside and away:
        figures["p50_near"] = quantile(beside, 0.5) / quantile(away, 0.5)
        figures["p99_near"] = quantile(beside, 0.99) / quantile(away, 0.99)
    return Row(case, who, {**figures, "calls": len(done), "length": length})


def _threads(server: ServerProcess, sync: Sync, number: int, seconds: float) -> tuple[list[Done], Seen, Ears]:
    ears = Ears()
    open_one = sync(server, _LIVES, ears)
    open_one()()  # with a token in hand
    server.forget()
    done: list[Done] = []
    end = time.monotonic() + seconds

    def caller() -> None:
        call = open_one()
        ears.callers.add(threading.current_thread())
        while (start := time.monotonic()) < end:
            try:
                status = call()
            except Exception:
                status = 0
            done.append(Done(start, time.monotonic(), status))
            time.sleep(0.05)

    threads = [threading.Thread(target=caller) for _ in range(number)]
    for thread in threads:
        thread.start()
        time.sleep(0.05 / number)  # not in step
    for thread in threads:
        thread.join()
    return done, server.seen(), ears


async def _tasks(server: ServerProcess, kind: Async, number: int, seconds: float) -> tuple[list[Done], Seen, Ears]:
    ears = Ears()
    ears.here = asyncio.current_task
    async with kind(server, _LIVES, ears) as call:
        await call()
        server.forget()
        done: list[Done] = []
        end = time.monotonic() + seconds

        async def caller(number_of: int) -> None:
            ears.callers.add(asyncio.current_task())
            await asyncio.sleep(0.5 * number_of / number)  # not in step
            while (start := time.monotonic()) < end:
                try:
                    status = await call()
                except Exception:
                    status = 0
                done.append(Done(start, time.monotonic(), status))
                await asyncio.sleep(0.5)

        await asyncio.gather(*map(caller, range(number)))
        return done, server.seen(), ears


MEASURE = Measure(
    name="steady",
    title="C. Steady load on tokens of 4 s: who waits when a token is renewed",
    columns={
        "logins": "logins",
        "refused": "401s",
        "failed": "calls that failed",
        "long": "calls over 50 ms",
        "waited": "calls that made or awaited a login (our events)",
        "p50": "p50 away from a login, ms",
        "p99": "p99 away from a login, ms",
        "p50_near": "p50 near a login over away",
        "p99_near": "p99 near a login over away",
        "calls": "calls",
        "length": "s of load",
    },
    chart="long",
    run=run,
    notes=(
        "16 threads on requests, each pausing 50 ms between calls; 200 tasks, each pausing 500 ms. The token is there "
        "at the start. Leeways are set to 1 s where the peer lets one; google-auth renews 225 s ahead whatever one "
        "says, so its tokens live 225 s longer.",
    ),
)

if __name__ == "__main__":
    main(MEASURE)
