"""The figures under load: cold starts, 401 storms, and twenty seconds over tokens that live four.

`python -m tests.stress.load` prints them as a table. A request counts as one that waited if it made a login itself or
waited for another's, as the package's own events tell.
"""

from __future__ import annotations

import argparse
import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import requests
from requests.adapters import HTTPAdapter

import testpress_auth.httpx
import testpress_auth.requests
from testpress_auth.events import Event, LoginAwaited, LoginStarted
from testpress_auth.testing import StandInServer

HttpxAuth = testpress_auth.httpx.TestpressJWTAuth
RequestsAuth = testpress_auth.requests.TestpressJWTAuth
LOGIN_TAKES = 0.1  # seconds


class Ears:
    """Hear which requests made a login or waited for one, and which login was made beside them."""

    def __init__(self) -> None:
        self.waited = 0
        self.beside = 0
        self.background: Callable[[], bool] = lambda: threading.current_thread().name == "testpress-auth renewal"

    def __call__(self, event: Event) -> None:
        if isinstance(event, LoginStarted) and self.background():
            self.beside += 1
        elif isinstance(event, (LoginStarted, LoginAwaited)):
            self.waited += 1


def in_threads(number: int, work: Callable[[], None]) -> float:
    gate = threading.Barrier(number + 1)

    def one() -> None:
        gate.wait()
        work()

    threads = [threading.Thread(target=one) for _ in range(number)]
    for thread in threads:
        thread.start()
    gate.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def row(name: str, server: StandInServer, seen: Counter[Any], **more: Any) -> None:
    figures = {"logins": server.logins, "answers": dict(seen), **more}
    print(f"{name:46}", "  ".join(f"{key} {value}" for key, value in figures.items()), flush=True)


def cold_and_storm_threads(number: int) -> None:
    with StandInServer(login_latency=LOGIN_TAKES) as server:
        url = f"{server.url}/api/v2.2/me/"
        auth = RequestsAuth("testpress", "demo", base_url=server.url)
        seen: Counter[Any] = Counter()
        sessions = threading.local()

        def call() -> None:
            if not hasattr(sessions, "own"):
                sessions.own = requests.Session()
                sessions.own.auth = auth
            try:
                seen[sessions.own.get(url, timeout=60).status_code] += 1
            except Exception as error:
                seen[type(error).__name__] += 1

        for name in ("warm", "cold", "401 storm"):
            if name == "warm":
                auth.token()
            elif name == "cold":
                auth.invalidate()
            server.forget()
            seen.clear()
            took = in_threads(number, call)
            row(f"requests, {number} threads, {name}", server, seen, seconds=round(took, 2))
            if name == "cold":
                server.revoke_all()
                time.sleep(1)  # so that the next token is another string


async def cold_and_storm_tasks(number: int) -> None:
    with StandInServer(login_latency=LOGIN_TAKES) as server:
        url = f"{server.url}/api/v2.2/me/"
        auth = HttpxAuth("testpress", "demo", base_url=server.url)
        limits = httpx.Limits(max_connections=20)  # httpcore looks through all of them for each request
        async with httpx.AsyncClient(auth=auth, limits=limits, timeout=60) as client:
            for name in ("warm", "cold", "401 storm"):
                if name == "warm":
                    await auth.atoken()
                elif name == "cold":
                    auth.invalidate()
                server.forget()
                seen: Counter[Any] = Counter()

                async def call(seen: Counter[Any] = seen) -> None:
                    try:
                        seen[(await client.get(url)).status_code] += 1
                    except Exception as error:
                        seen[type(error).__name__] += 1

                started = time.perf_counter()
                await asyncio.gather(*[call() for _ in range(number)])
                took = time.perf_counter() - started
                row(f"httpx asyncio, {number} tasks, {name}", server, seen, seconds=round(took, 2))
                if name == "cold":
                    server.revoke_all()
                    await asyncio.sleep(1)


def steady_threads(seconds: float, threads: int) -> None:
    with StandInServer(login_latency=LOGIN_TAKES, token_lifetime=4) as server:
        url = f"{server.url}/api/v2.2/me/"
        ears = Ears()
        auth = RequestsAuth("testpress", "demo", base_url=server.url, on_event=ears)
        auth.token()
        ears.waited = 0
        seen: Counter[Any] = Counter()
        end = time.monotonic() + seconds

        def call() -> None:
            with requests.Session() as session:
                session.mount("http://", HTTPAdapter(pool_maxsize=1))
                session.auth = auth
                while time.monotonic() < end:
                    answer = session.get(url, timeout=60)
                    seen[answer.status_code] += 1
                    seen["replayed"] += bool(answer.history)
                    time.sleep(0.02)

        in_threads(threads, call)
        row(f"requests, {threads} threads, {seconds:g} s", server, seen, waited=ears.waited, beside=ears.beside)


async def steady_tasks(seconds: float, tasks: int, *, own_client: bool) -> None:
    with StandInServer(login_latency=LOGIN_TAKES, token_lifetime=4) as server:
        url = f"{server.url}/api/v2.2/me/"
        ears = Ears()
        way = httpx.AsyncClient() if own_client else None
        auth = HttpxAuth("testpress", "demo", base_url=server.url, on_event=ears, client=way)
        await auth.atoken()
        ears.waited = 0
        callers: set[Any] = set()
        ears.background = lambda: asyncio.current_task() not in callers
        seen: Counter[Any] = Counter()
        end = time.monotonic() + seconds

        async def call(client: httpx.AsyncClient) -> None:
            callers.add(asyncio.current_task())
            while time.monotonic() < end:
                answer = await client.get(url)
                seen[answer.status_code] += 1
                seen["replayed"] += bool(answer.history)
                await asyncio.sleep(0.5)

        async with httpx.AsyncClient(auth=auth, timeout=60) as client:
            await asyncio.gather(*[call(client) for _ in range(tasks)])
        if way is not None:
            await way.aclose()
        name = "with client=" if own_client else "through the caller's client"
        row(
            f"httpx asyncio, {tasks} tasks, {seconds:g} s, {name}",
            server,
            seen,
            waited=ears.waited,
            beside=ears.beside,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    cold_and_storm_threads(400)
    asyncio.run(cold_and_storm_tasks(1000))
    steady_threads(given.seconds, 16)
    asyncio.run(steady_tasks(given.seconds, 200, own_client=False))
    asyncio.run(steady_tasks(given.seconds, 200, own_client=True))
