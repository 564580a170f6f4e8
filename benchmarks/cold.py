"""B: cold starts and 401 storms: how many logins does a burst of callers make, and how long does the last one wait?

The ideal is the same burst with a token in hand (a constant header, same client), and one login before it.
"""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from .live_tasks import TASKS, ACall, Async, constant_on_aiohttp, constant_on_httpx
from .live_threads import THREADS, Call, Open, Sync, constant_on_requests
from .result import Measure, Row, main, median, quiet
from .server import LOGIN_TAKES, ServerProcess

_LONGEST: Final = 5  # seconds; a contestant that takes longer is neither asked again nor with more callers


class Burst(NamedTuple):
    """All callers at once: seconds to the last answer, logins, and calls that got no 200."""

    took: float
    logins: int
    failed: int


def run(given: argparse.Namespace) -> Iterator[Row]:
    quiet()
    times = 1 if given.quick else 3
    with ServerProcess() as server:
        slow: set[str] = set()
        for number in (10, 100, 400):
            ideal = _ideal([_threads(server, number, constant_on_requests) for _ in range(times + 1)])
            for who, sync in THREADS.items():
                if who not in slow:
                    burst = partial(_threads, server, number, sync)
                    row = _row(f"{number} threads", who, _repeat(times, burst), ideal)
                    slow |= {who} if float(row.figures["seconds"]) > _LONGEST else set()
                    yield row
        for number in (10, 100, 1000):
            ideals = {
                ideal: _ideal([_tasks(server, number, ideal) for _ in range(times + 1)])
                for ideal in (constant_on_httpx, constant_on_aiohttp)
            }
            for who, kind in TASKS.items():
                ideal = ideals[constant_on_aiohttp if "aiohttp" in who else constant_on_httpx]
                yield _row(f"{number} tasks", who, _repeat(times, partial(_tasks, server, number, kind)), ideal)


def _ideal(bursts: list[list[Burst]]) -> float:
    return median(burst[0].took for burst in bursts[1:]) + LOGIN_TAKES  # the first warms up


def _repeat(times: int, burst: Callable[..., list[Burst]]) -> list[list[Burst]]:
    """Burst some times, the storm after the first only; a slow one is not asked again."""
    found = [burst(storm=True)]
    while len(found) < times and found[0][0].took < _LONGEST:
        found.append(burst())
    return found


def _row(case: str, who: str, bursts: list[list[Burst]], ideal: float) -> Row:
    colds, storm = [burst[0] for burst in bursts], bursts[0][1]
    last = median(cold.took for cold in colds)
    figures: dict[str, float | int | str] = {
        "logins": max(cold.logins for cold in colds),
        "seconds": last,
        "over_ideal": last / ideal,
        "failed": sum(cold.failed for cold in colds),
        "storm_logins": storm.logins,
        "storm_failed": storm.failed,
    }
    return Row(case, who, figures)


def _threads(server: ServerProcess, number: int, sync: Sync, *, storm: bool = False) -> list[Burst]:
    open_one = sync(server, 3600, None)
    bursts = [_thread_burst(server, number, open_one)]
    if storm:
        _revoke(server)
        bursts.append(_thread_burst(server, number, open_one))
    return bursts


def _tasks(server: ServerProcess, number: int, kind: Async, *, storm: bool = False) -> list[Burst]:
    async def bursts() -> list[Burst]:
        async with kind(server, 3600, None) as call:
            found = [await _task_burst(server, number, call)]
            if storm:
                _revoke(server)
                found.append(await _task_burst(server, number, call))
            return found

    return asyncio.run(bursts())


def _revoke(server: ServerProcess) -> None:
    """Let the server drop the token that all hold; a second later, so that the next one is another string."""
    server.revoke_all()
    time.sleep(1)


def _thread_burst(server: ServerProcess, number: int, open_one: Open) -> Burst:
    server.forget()
    answers: Counter[str] = Counter()
    gate = threading.Barrier(number + 1)

    def one() -> None:
        call = open_one()
        gate.wait()
        answers[_outcome(call)] += 1

    threads = [threading.Thread(target=one) for _ in range(number)]
    for thread in threads:
        thread.start()
    gate.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    return Burst(took, server.seen().logins, number - answers["200"])


def _outcome(call: Call) -> str:
    try:
        return str(call())
    except Exception as error:
        return type(error).__name__


async def _task_burst(server: ServerProcess, number: int, call: ACall) -> Burst:
    server.forget()
    answers: Counter[str] = Counter()

    async def one() -> None:
        try:
            answers[str(await call())] += 1
        except Exception as error:
            answers[type(error).__name__] += 1

    started = time.perf_counter()
    await asyncio.gather(*[one() for _ in range(number)])
    took = time.perf_counter() - started
    return Burst(took, server.seen().logins, number - answers["200"])


MEASURE = Measure(
    name="cold",
    title="B. Cold start and 401 storm: logins, and the wait of the last caller",
    columns={
        "logins": "logins (the most of any run)",
        "seconds": "s to the last answer",
        "over_ideal": "the same over the ideal",
        "failed": "calls that failed",
        "storm_logins": "401 storm: logins",
        "storm_failed": "401 storm: calls that failed",
    },
    chart="logins",
    chart_cases=("100 threads", "400 threads", "1000 tasks"),
    run=run,
    notes=(
        "All callers ask at once, with no token there; in a 401 storm the server has just dropped the one all hold. "
        "A login takes 100 ms. The ideal is the same burst with a constant header, and one login before it. "
        "A contestant that took more than 5 s was asked once, and not with more callers.",
    ),
)

if __name__ == "__main__":
    main(MEASURE)
