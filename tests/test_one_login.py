"""One login at a time, whatever happens to whoever makes it: other loops and threads, cancellation, forks, pickles.

Rules S1 to S4 where one kind of client alone cannot show them; on the stand-in over real sockets.
"""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
import requests
import trio

import testpress_auth.httpx
import testpress_auth.requests
from testpress_auth import ConfigurationError, InvalidCredentials, LoginUnavailable, MemoryStore
from testpress_auth.events import LoginAwaited, LoginFailed
from testpress_auth.testing import StandInServer

from .clients import CALLERS, Caller
from .clock import ManualClock

HttpxAuth = testpress_auth.httpx.TestpressJWTAuth
RequestsAuth = testpress_auth.requests.TestpressJWTAuth


@pytest.fixture
def slow(server: StandInServer) -> StandInServer:
    """A server whose login takes a while."""
    server.login_latency = 0.15
    return server


def in_threads(*work: Callable[[], Any]) -> list[Any]:
    """Run all at once; give what each returned or raised."""
    found: list[Any] = [None] * len(work)

    def one(number: int) -> None:
        try:
            found[number] = work[number]()
        except BaseException as error:
            found[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return found


async def several(auth: Any, url: str, number: int = 5) -> list[int]:
    found: list[int] = []
    async with httpx.AsyncClient(auth=auth, verify=False) as client:  # noqa: S501

        async def one() -> None:
            found.append((await client.get(url)).status_code)

        async with anyio.create_task_group() as group:
            for _ in range(number):
                group.start_soon(one)
    return found


def test_threads_loops_and_clients_that_share_a_store_cost_one_login(slow: StandInServer, me: str) -> None:
    """S1: requests and httpx, sync and async, asyncio and trio, several loops: one source, one flight."""
    store = MemoryStore()
    by_requests = RequestsAuth("testpress", "demo", base_url=slow.url, store=store)
    by_httpx = HttpxAuth("testpress", "demo", base_url=slow.url, store=store)

    def sync(get: Callable[..., Any], auth: Any) -> Callable[[], list[int]]:
        return lambda: [get(me, auth=auth, timeout=10).status_code]

    def loop(backend: str) -> Callable[[], list[int]]:
        return lambda: anyio.run(several, by_httpx, me, backend=backend)

    work = [sync(requests.get, by_requests), sync(httpx.get, by_httpx), loop("asyncio"), loop("trio")] * 3
    found = in_threads(*work)
    assert Counter(status for statuses in found for status in statuses) == {200: 36}
    assert slow.logins == 1


def test_every_page_s_objects_that_share_a_store_cost_one_login(slow: StandInServer, me: str) -> None:
    """S1: cold, at once, one object for each client."""
    store = MemoryStore()

    def call(kind: type[Caller]) -> int:
        with kind(kind.page.TestpressJWTAuth("testpress", "demo", base_url=slow.url, store=store)) as caller:
            return caller.get(me).status

    assert in_threads(*[partial(call, kind) for kind in CALLERS.values()]) == [200] * len(CALLERS)
    assert slow.logins == 1


def test_waiters_of_every_kind_hear_of_a_refusal(slow: StandInServer, me: str) -> None:
    """S1: the error goes to all who waited, each as its own client's."""
    store = MemoryStore()
    make = {"base_url": slow.url, "store": store}
    by_requests = RequestsAuth("testpress", "wrong", **make)  # type: ignore[arg-type]
    by_httpx = HttpxAuth("testpress", "wrong", **make)  # type: ignore[arg-type]
    found = in_threads(
        *[lambda: requests.get(me, auth=by_requests, timeout=10)] * 2,
        *[lambda: httpx.get(me, auth=by_httpx)] * 2,
        lambda: anyio.run(several, by_httpx, me, 1, backend="trio"),
        lambda: anyio.run(several, by_httpx, me, 1, backend="asyncio"),
    )
    kinds = [error.exceptions[0] if hasattr(error, "exceptions") else error for error in found]
    assert all(isinstance(error, InvalidCredentials) for error in kinds)
    assert [isinstance(error, requests.RequestException) for error in kinds] == [True] * 2 + [False] * 4
    assert [isinstance(error, httpx.RequestError) for error in kinds] == [False] * 2 + [True] * 4
    assert slow.logins == 1


def test_a_waiter_is_told_that_it_waited(slow: StandInServer, me: str) -> None:
    seen: list[Any] = []
    auth = RequestsAuth("testpress", "demo", base_url=slow.url, on_event=seen.append)
    in_threads(*[lambda: requests.get(me, auth=auth, timeout=10)] * 3)
    waits = [event.seconds for event in seen if isinstance(event, LoginAwaited)]
    assert len(waits) == 2
    assert all(0 < wait < 5 for wait in waits)


# --- leaders that do not make it


async def _leader_and_waiters(auth: Any, url: str, waiters: int) -> tuple[list[int], bool]:
    """One call that is cancelled while it logs in, and calls that wait for it."""
    found: list[int] = []
    cancelled = False
    async with httpx.AsyncClient(auth=auth, verify=False) as client, anyio.create_task_group() as group:  # noqa: S501

        async def leader(scope: anyio.CancelScope) -> None:
            nonlocal cancelled
            with scope:
                await client.get(url)
            cancelled = scope.cancelled_caught

        async def waiter() -> None:
            found.append((await client.get(url)).status_code)

        scope = anyio.CancelScope()
        group.start_soon(leader, scope)
        await anyio.sleep(0.05)
        for _ in range(waiters):
            group.start_soon(waiter)
        await anyio.sleep(0.03)
        scope.cancel()
    return found, cancelled


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("own_client", [False, True])
def test_a_cancelled_leader_hands_over(slow: StandInServer, me: str, backend: str, own_client: bool) -> None:
    """S3: it costs the cancelled one alone; one more login."""

    async def run() -> tuple[list[int], bool]:
        async with httpx.AsyncClient() as way:
            auth = HttpxAuth("testpress", "demo", base_url=slow.url, client=way if own_client else None)
            return await _leader_and_waiters(auth, me, 20)

    found, cancelled = anyio.run(run, backend=backend)
    assert cancelled
    assert found == [200] * 20
    assert slow.logins == 2


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_leaders_cancelled_one_after_the_other_hand_over_without_limit(
    slow: StandInServer, me: str, backend: str
) -> None:
    """S3: nobody gets another's cancellation."""
    slow.login_latency = 0.3
    auth = HttpxAuth("testpress", "demo", base_url=slow.url)

    async def run() -> list[int]:
        found: list[int] = []
        async with httpx.AsyncClient(auth=auth) as client, anyio.create_task_group() as group:

            async def one(seconds: float) -> None:
                with anyio.move_on_after(seconds):
                    found.append((await client.get(me)).status_code)

            for seconds in (0.05, 0.1, 0.15, 0.2, 10, 10):
                group.start_soon(one, seconds)
        return found

    assert anyio.run(run, backend=backend) == [200, 200]


def test_a_cancelled_waiter_disturbs_nobody(slow: StandInServer, me: str) -> None:
    auth = HttpxAuth("testpress", "demo", base_url=slow.url)

    async def run() -> list[Any]:
        async with httpx.AsyncClient(auth=auth) as client:
            tasks = [asyncio.ensure_future(client.get(me)) for _ in range(5)]
            await asyncio.sleep(0.05)
            tasks[2].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(run())
    assert isinstance(found.pop(2), asyncio.CancelledError)
    assert [answer.status_code for answer in found] == [200] * 4
    assert slow.logins == 1


def test_a_flow_abandoned_at_its_login_is_taken_over(server: StandInServer, clock: ManualClock, me: str) -> None:
    """S2: nothing is held for ever; the next waiter takes over after the deadline and half a second."""
    auth = HttpxAuth("testpress", "demo", base_url=server.url, timeout=0.2)
    flow = auth.sync_auth_flow(httpx.Request("GET", me))
    login = next(flow)
    assert login.url.path.endswith("/auth-token/")
    started = time.monotonic()
    assert httpx.get(me, auth=auth).status_code == 200
    assert 0.6 < time.monotonic() - started < 5
    assert server.logins == 1
    flow.close()
    assert httpx.get(me, auth=auth).status_code == 200
    assert server.logins == 1


def test_a_loop_that_ended_in_the_middle_of_a_login_is_taken_over(slow: StandInServer, me: str) -> None:
    """S2."""
    auth = HttpxAuth("testpress", "demo", base_url=slow.url, timeout=0.3)

    async def begin() -> Any:
        client = httpx.AsyncClient(auth=auth)
        task = asyncio.ensure_future(client.get(me))
        await asyncio.sleep(0.05)
        return client, task

    loop = asyncio.new_event_loop()
    client, task = loop.run_until_complete(begin())
    assert httpx.get(me, auth=auth).status_code == 200
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.run_until_complete(client.aclose())
    loop.close()


def test_a_dead_endpoint_costs_one_timeout_and_not_one_each(server: StandInServer, me: str) -> None:
    """S3: through the caller's own async client too."""
    server.login_latency = 30
    auth = HttpxAuth("testpress", "demo", base_url=server.url, timeout=0.3)
    found: list[BaseException] = []

    async def one(client: httpx.AsyncClient) -> None:
        try:
            await client.get(me)
        except Exception as error:
            found.append(error)

    async def run() -> None:
        async with httpx.AsyncClient(auth=auth) as client, anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(one, client)

    anyio.run(run)
    assert server.logins <= 2
    assert len(found) == 10
    assert sum(isinstance(error, LoginUnavailable) for error in found) >= 8
    assert all(isinstance(error, httpx.TransportError) for error in found)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_logins_that_end_without_an_answer_cost_two_and_not_one_each(
    slow: StandInServer, me: str, backend: str
) -> None:
    """S3: a hook that raises what tells nothing; who has seen two such logins gets LoginUnavailable."""
    auth = HttpxAuth("testpress", "demo", base_url=slow.url)
    found: list[BaseException] = []

    async def break_logins(response: httpx.Response) -> None:
        if response.url.path.endswith("/auth-token/"):
            raise LookupError("no idea")

    async def one(client: httpx.AsyncClient) -> None:
        try:
            await client.get(me)
        except Exception as error:
            found.append(error)

    async def run() -> None:
        hooks = {"response": [break_logins]}
        async with httpx.AsyncClient(auth=auth, event_hooks=hooks) as client, anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(one, client)

    anyio.run(run, backend=backend)
    assert slow.logins == 2
    assert Counter(type(error).__name__ for error in found) == {"LookupError": 2, "LoginUnavailable": 8}


def test_a_blocking_call_inside_the_loop_that_logs_in_gets_an_error(slow: StandInServer, me: str) -> None:
    """S3: in time, not a hang."""
    auth = HttpxAuth("testpress", "demo", base_url=slow.url)

    async def run() -> int:
        async with httpx.AsyncClient(auth=auth) as client:
            task = asyncio.ensure_future(client.get(me))
            await asyncio.sleep(0.05)
            with pytest.raises(ConfigurationError, match="event loop"):
                auth.token()
            return (await task).status_code

    assert asyncio.run(run()) == 200

    async def by_trio() -> None:
        auth.invalidate()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(auth.atoken)
            await trio.sleep(0.05)
            with pytest.raises(ConfigurationError, match="event loop"):
                auth.token()

    trio.run(by_trio)


def test_a_password_callable_that_fails_is_each_callers_own_trouble_twice(server: StandInServer, me: str) -> None:
    """S3: the leader hears its own exception; who has seen two such logins gets LoginUnavailable."""
    gate = threading.Event()

    def fetch() -> str:
        gate.wait(5)
        raise LookupError("no such secret")

    auth = RequestsAuth("testpress", fetch, base_url=server.url)
    timer = threading.Timer(0.2, gate.set)
    timer.start()
    found = in_threads(*[lambda: requests.get(me, auth=auth, timeout=10)] * 6)
    assert {type(error) for error in found} <= {LookupError, testpress_auth.requests.LoginUnavailable}
    assert LookupError in map(type, found)
    timer.join()


def test_a_cancelled_login_is_told_as_an_event(slow: StandInServer, me: str) -> None:
    seen: list[Any] = []
    auth = HttpxAuth("testpress", "demo", base_url=slow.url, on_event=seen.append)
    anyio.run(_leader_and_waiters, auth, me, 1)
    assert len([event for event in seen if isinstance(event, LoginFailed)]) == 1


# --- forks, copies and pickles


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_keeps_the_token_and_gets_fresh_locks(server: StandInServer, me: str) -> None:
    """S4: even a fork during a login, and with the module's lock held."""
    from testpress_auth import _single_flight

    server.login_latency = 0.3
    auth = RequestsAuth("testpress", "demo", base_url=server.url)
    cold = RequestsAuth("testpress", "demo", base_url=server.url)
    auth.token()
    logging_in = threading.Thread(target=cold.token)
    logging_in.start()
    time.sleep(0.1)
    with _single_flight.lock:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                signal.alarm(10)
                statuses = [requests.get(me, auth=each, timeout=5).status_code for each in (auth, cold)]
                code = 0 if statuses == [200, 200] else 2
            finally:
                os._exit(code)
    _, status = os.waitpid(pid, 0)
    logging_in.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert server.logins == 3


def test_a_copy_is_one_more_caller_of_the_same_account(server: StandInServer, me: str) -> None:
    """S4."""
    events: list[Any] = []
    auth = RequestsAuth("testpress", "demo", base_url=server.url, on_event=events.append)
    session = requests.Session()
    session.auth = auth
    for twin in (copy.copy(auth), copy.deepcopy(auth), copy.deepcopy(session).auth):
        assert requests.get(me, auth=twin, timeout=5).status_code == 200
    assert server.logins == 1
    assert len(events) == 2


@pytest.mark.parametrize("kind", [RequestsAuth, HttpxAuth])
def test_a_pickle_carries_settings_and_credentials_but_no_token(server: StandInServer, kind: Any) -> None:
    """S4."""
    auth = kind("testpress", "demo", base_url=server.url, api_version="v2.5", login_headers={"X-Device-UID": "1"})
    token = auth.token().raw
    data = pickle.dumps(auth)
    assert token.encode() not in data
    twin = pickle.loads(data)  # noqa: S301
    assert repr(twin) == repr(auth)
    assert twin.token().raw
    assert server.logins == 2
    assert server.login_requests[1].header("X-Device-UID") == "1"
    assert server.login_requests[1].path == "/api/v2.5/auth-token/"


def test_a_pickled_session_works_on_the_other_side(server: StandInServer, me: str) -> None:
    """S4: also one whose auth sends its logins with that very session."""
    with requests.Session() as session:
        session.auth = RequestsAuth("testpress", "demo", base_url=server.url, session=session, store=MemoryStore())
        twin = pickle.loads(pickle.dumps(session))  # noqa: S301
        assert twin.auth._transport is twin
        assert twin.get(me).status_code == 200
        twin.close()


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        (RequestsAuth, {"on_event": lambda event: None}, "on_event"),
        (RequestsAuth, {"password": lambda: "demo"}, "password"),
        (HttpxAuth, {"client": httpx.Client()}, "client"),
    ],
)
def test_a_pickle_says_which_argument_cannot_travel(kind: Any, options: dict[str, Any], name: str) -> None:
    """S4."""
    auth = kind("testpress", **{"password": "demo", **options}, subdomain="demo")
    with pytest.raises(pickle.PicklingError, match=f"argument {name} of .* cannot be pickled"):
        pickle.dumps(auth)


def _call(auth: Any, url: str) -> int:
    return int(requests.get(url, auth=auth, timeout=5).status_code)


@pytest.mark.slow
def test_a_spawned_process_logs_in_for_itself(server: StandInServer, me: str) -> None:
    """S4."""
    auth = RequestsAuth("testpress", "demo", base_url=server.url)
    auth.token()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_call, (auth, me)) == 200
    assert server.logins == 2


GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent, requests, sys
from testpress_auth.requests import TestpressJWTAuth
auth = TestpressJWTAuth("testpress", "demo", base_url=sys.argv[1])
jobs = [gevent.spawn(requests.get, sys.argv[1] + "/api/v2.2/me/", auth=auth, timeout=5) for _ in range(20)]
gevent.joinall(jobs, timeout=10, raise_error=True)
print(sorted(job.value.status_code for job in jobs) == [200] * 20)
"""


@pytest.mark.slow
def test_gevent_patched_threads_cost_one_login(slow: StandInServer) -> None:
    """S1."""
    pytest.importorskip("gevent")
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", GEVENT, slow.url], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.strip() == "True", done.stderr
    assert slow.logins == 1
