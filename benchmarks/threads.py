"""F: does a call with a valid token get slower when threads make it at the same time?"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from .calls import Consume, cases
from .result import Measure, Row, main, median, quiet

_CALLS: Final = {"requests: auth(prepared)": 40_000, "httpx: sync flow": 16_000}  # many times the 5 ms between switches


def run(given: argparse.Namespace) -> Iterator[Row]:
    quiet()
    rounds = 2 if given.quick else 11
    for case in cases(peers=True):
        if case.name in _CALLS:
            items = case.items(_CALLS[case.name])
            for name, consume in case.contestants.items():
                yield from _rows(case.name, name, consume, items, rounds)


def _rows(case: str, name: str, consume: Consume, items: list[Any], rounds: int) -> Iterator[Row]:
    """The same calls shared out among one, two and eight threads, in turn."""
    rates: dict[int, list[float]] = {1: [], 2: [], 8: []}
    for turn in range(rounds + 1):
        for threads, found in rates.items():
            for item in items:
                if hasattr(item, "hooks"):
                    item.hooks = {"response": []}  # as fresh as at the first time
            seconds = _seconds(consume, _shares(items, threads))
            if turn:
                found.append(len(items) / seconds)
    for threads, found in rates.items():
        over_one = median(many / one for many, one in zip(found, rates[1], strict=True))
        label = f"{threads} thread" + "s" * (threads > 1)
        yield Row(f"{case}, {label}", name, {"rate": round(median(found)), "over_one": over_one})


def _shares(items: list[Any], number: int) -> list[list[Any]]:
    size = len(items) // number
    return [items[start : start + size] for start in range(0, size * number, size)]


def _seconds(consume: Consume, items: list[list[Any]]) -> float:
    gate = threading.Barrier(len(items) + 1)

    def one(own: list[Any]) -> None:
        gate.wait()
        consume(own)

    workers = [threading.Thread(target=one, args=(own,)) for own in items]
    for worker in workers:
        worker.start()
    gate.wait()
    started = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - started


_LOCKED = getattr(sys, "_is_gil_enabled", lambda: True)()
MEASURE = Measure(
    name="threads",
    title="F. 1, 2 and 8 threads on one valid token",
    columns={"rate": "calls per second, all threads", "over_one": "the same over one thread"},
    chart="over_one",
    chart_cases=("requests: auth(prepared), 8 threads", "httpx: sync flow, 8 threads"),
    run=run,
    notes=(
        "With the interpreter lock (as here) 1.0 is what can be had." if _LOCKED else "Without the interpreter lock.",
    ),
)

if __name__ == "__main__":
    main(MEASURE)
