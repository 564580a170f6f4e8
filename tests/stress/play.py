"""A bounded run of everything at once, at random from a seed: threads, tasks, forks, revocations, expiries, failures.

After each step the invariants are checked: never two logins under way for an account, never a token at a foreign
origin, every caller answered, nothing left behind. `python -m tests.stress --seed 7 --steps 200` plays one by hand.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import requests
import trio.from_thread  # noqa: F401 (before any thread: two that import trio at once get in each other's way)

import testpress_auth.httpx
import testpress_auth.requests
from testpress_auth import MemoryStore, RefreshPolicy, TestpressAuthError
from testpress_auth._policy import SYSTEM, Clock
from testpress_auth.events import Event, LoginFailed, LoginStarted, LoginSucceeded
from testpress_auth.testing import StandInServer

LIFETIME = 60.0  # seconds
PATIENCE = 20.0  # seconds until a caller that is not answered counts as lost


class Broken(AssertionError):
    """An invariant did not hold."""


class Watch:
    """Counts logins under way, by account, as the package's own events tell of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.under_way: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.logins = 0

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, LoginStarted):
                self.logins += 1
                self.under_way[event.account] += 1
                self.most[event.account] = max(self.most[event.account], self.under_way[event.account])
            elif isinstance(event, (LoginSucceeded, LoginFailed)):
                self.under_way[event.account] -= 1


class Play:
    """One run. `steps` and `calls` count what was done."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)  # noqa: S311 (a seed is the point)
        self.watch = Watch()
        self.steps: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self._moved = 0.0
        self._failing = False
        self.clock = Clock(
            wall=lambda: SYSTEM.wall() + self._moved,
            monotonic=lambda: SYSTEM.monotonic() + self._moved,
            sleep=lambda seconds: SYSTEM.sleep(min(seconds, 0.01)),
        )

    def run(self, steps: int) -> None:
        """Play so many steps.

        Raises:
            Broken: an invariant did not hold; the message has seed and step.
        """
        with StandInServer(token_lifetime=LIFETIME, clock=self.clock.wall) as server, StandInServer() as elsewhere:
            self.server, self.elsewhere = server, elsewhere
            self.url = f"{server.url}/api/v2.2/me/"
            self.store = MemoryStore()
            options = {
                "base_url": server.url,
                "store": self.store,
                "on_event": self.watch,
                "_clock": self.clock,
                "refresh": RefreshPolicy(min_interval=0),
            }
            self.by_requests = testpress_auth.requests.TestpressJWTAuth("testpress", "demo", **options)  # type: ignore[arg-type]
            self.by_httpx = testpress_auth.httpx.TestpressJWTAuth("testpress", "demo", **options)  # type: ignore[arg-type]
            threads = threading.active_count()
            for number in range(steps):
                name = self.random.choice(list(STEPS))
                self.steps[name] += 1
                try:
                    STEPS[name](self)
                    self._check(threads)
                except Exception as error:
                    raise Broken(f"seed {self.seed}, step {number}, {name}: {error!r}") from error

    # --- what can happen

    def threads(self) -> None:
        self._at_once([self._sync for _ in range(self.random.randint(1, 12))])

    def tasks(self) -> None:
        self._at_once([self._loop()])

    def everything(self) -> None:
        """Threads and several loops at the same time."""
        self._at_once([self._sync for _ in range(6)] + [self._loop() for _ in range(3)])

    def cancelled_tasks(self) -> None:
        self._at_once([self._loop(cancelling=True), self._loop(), self._sync])

    def revoke(self) -> None:
        self.server.revoke_all()
        self._at_once([self._sync for _ in range(6)] + [self._loop()])

    def expire(self) -> None:
        self._moved += LIFETIME * self.random.choice([0.5, 0.85, 0.95, 2])

    def slow_logins(self) -> None:
        self.server.login_latency = self.random.choice([0, 0, 0.02, 0.1])

    def failing_logins(self) -> None:
        """Refusals, throttling and nonsense at the login; the token at hand is dropped, so that they are met."""
        status, body = self.random.choice(
            [(500, b""), (503, b""), (429, b""), (200, b"<html>"), (302, b""), (400, b'{"detail": "no"}')]
        )
        self.server.fail_logins(self.random.randint(1, 4), status=status, body=body, headers={"Location": "/x/"})
        self.by_httpx.invalidate()
        self._failing = True
        self._at_once([self._sync for _ in range(5)] + [self._loop()])
        self._failing = False
        with self.server._lock:
            self.server._login_script.clear()
        self.by_httpx.invalidate()

    def foreign(self) -> None:
        url = f"{self.elsewhere.url}/file/"
        requests.get(url, auth=self.by_requests, timeout=5)
        httpx.get(url, auth=self.by_httpx)
        self.server.fail_requests(1, status=302, headers={"Location": url})
        requests.get(self.url, auth=self.by_requests, timeout=5)
        with self.server._lock:
            self.server._api_script.clear()

    def invalidate(self) -> None:
        self.random.choice([self.by_httpx.invalidate, self.by_requests.invalidate, self.by_requests.logout])()

    def fork(self) -> None:
        """A child calls with what it inherited; also while a thread of the parent's is logging in."""
        self.server.login_latency = 0.05
        if self.random.random() < 0.5:
            self.by_requests.invalidate()
        busy = threading.Thread(target=self._sync)
        busy.start()
        time.sleep(0.02)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.alarm(int(PATIENCE))
                code = 0 if requests.get(self.url, auth=self.by_requests, timeout=5).status_code == 200 else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        busy.join(PATIENCE)
        if os.waitstatus_to_exitcode(status) != 0:
            raise Broken(f"the child ended with {status}")

    # --- how it is called

    def _sync(self) -> None:
        if self.random.random() < 0.5:
            self._note(lambda: requests.get(self.url, auth=self.by_requests, timeout=10).status_code)
        else:
            self._note(lambda: httpx.get(self.url, auth=self.by_httpx, verify=False).status_code)  # noqa: S501

    def _loop(self, *, cancelling: bool = False) -> Callable[[], None]:
        backend = self.random.choice(["asyncio", "trio"])
        patience = [self.random.uniform(0, 0.1) if cancelling else PATIENCE for _ in range(self.random.randint(1, 12))]

        async def run() -> None:
            async with httpx.AsyncClient(auth=self.by_httpx, verify=False, timeout=10) as client:  # noqa: S501

                async def one(seconds: float) -> None:
                    with anyio.move_on_after(seconds) as scope:
                        try:
                            self._seen(str((await client.get(self.url)).status_code))
                        except (TestpressAuthError, httpx.HTTPError) as error:
                            self._seen(type(error).__name__, error)
                    if scope.cancelled_caught:
                        self.outcomes["cancelled"] += 1

                async with anyio.create_task_group() as group:
                    for seconds in patience:
                        group.start_soon(one, seconds)

        return lambda: anyio.run(run, backend=backend)

    def _note(self, call: Callable[[], int]) -> None:
        try:
            self._seen(str(call()))
        except (TestpressAuthError, requests.RequestException, httpx.HTTPError) as error:
            self._seen(type(error).__name__, error)

    def _seen(self, outcome: str, error: Exception | None = None) -> None:
        self.outcomes[outcome] += 1
        if outcome != "200" and not self._failing:
            self._wrong.append(error or outcome)

    def _at_once(self, work: list[Callable[[], Any]]) -> None:
        self._wrong: list[Any] = []

        def safely(one: Callable[[], Any]) -> None:
            try:
                one()
            except BaseException as error:
                self._wrong.append(error)

        threads = [threading.Thread(target=safely, args=(one,), daemon=True) for one in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
            if thread.is_alive():
                raise Broken("a caller was not answered")
        if self._wrong:
            raise Broken(f"not answered as they should: {self._wrong[:3]}")

    # --- what must hold

    def _check(self, threads: int) -> None:
        for thread in threading.enumerate():
            if thread.name == "testpress-auth renewal":
                thread.join(PATIENCE)
        if any(most > 1 for most in self.watch.most.values()):
            raise Broken("two logins were under way for one account")
        if any(self.watch.under_way.values()):
            raise Broken(f"a login was begun and never ended: {self.watch.under_way}")
        if any("JWT" in (request.header("Authorization") or "") for request in self.elsewhere.requests):
            raise Broken("a token went to a foreign origin")
        if self.by_requests._source is not self.by_httpx._source:
            raise Broken("the two pages do not share their source")
        if self.by_requests._source._flight is not None:
            raise Broken("a flight was left behind")
        gc.collect()
        own = [thread for thread in threading.enumerate() if "StandIn" not in thread.name]
        if len(own) > threads + 1:
            raise Broken(f"threads were left behind: {own}")


STEPS: dict[str, Callable[[Play], None]] = {
    name: getattr(Play, name)
    for name in (
        "threads",
        "tasks",
        "everything",
        "cancelled_tasks",
        "revoke",
        "expire",
        "slow_logins",
        "failing_logins",
        "foreign",
        "invalidate",
    )
}
if hasattr(os, "fork"):
    STEPS["fork"] = Play.fork
