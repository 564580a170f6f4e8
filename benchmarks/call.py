"""A: what a call with a valid token costs, as a ratio over an `auth=` that sets a constant header. Timed."""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Iterator

from .calls import Case, cases
from .result import Measure, Row, main, median, quiet
from .valid import CONSTANT


def run(given: argparse.Namespace) -> Iterator[Row]:
    quiet()
    rounds = 15 if given.quick else 71
    for case in cases(peers=True):
        yield from _one(case, rounds)


def _one(case: Case, rounds: int) -> Iterator[Row]:
    """Interleave the contestants: each round times each of them once, so that what the machine does hits all."""
    number = 200 if case.apart else 40
    times: dict[str, list[float]] = {name: [] for name in case.contestants}
    for turn in range(rounds + 2):
        order = list(case.contestants)
        order = order[turn % len(order) :] + order[: turn % len(order)]
        for name in order:
            items = case.items(number)
            gc.collect()
            gc.disable()
            started = time.perf_counter()
            case.contestants[name](items)
            took = time.perf_counter() - started
            gc.enable()
            if turn >= 2:  # the first rounds warm up
                times[name].append(took / number)
    for name, own in times.items():
        ratio = median(mine / constant for mine, constant in zip(own, times[CONSTANT], strict=True))
        yield Row(case.name, name, {"ratio": ratio, "us": median(own) * 1e6})


MEASURE = Measure(
    name="call",
    title="A. A call with a valid token, over a constant header",
    columns={"ratio": "time over a constant header", "us": "µs per call"},
    chart="ratio",
    chart_cases=("requests: auth(prepared)", "httpx: sync flow", "httpx: async flow"),
    run=run,
    notes=(
        "`auth(prepared)` and the flows are the auth object alone; `Session.get` and `Client.get` are the whole call "
        "with the network stubbed out. Authlib and google-auth check expiry in their own session rather than in the "
        "`auth=` object: Authlib's flows on httpx above are without that check.",
    ),
)

if __name__ == "__main__":
    main(MEASURE)
