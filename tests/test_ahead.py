"""Renewal ahead (F2): while the token is good, by one caller or in the background; nobody notices a failure."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest
import requests

import testpress_auth.httpx
import testpress_auth.requests
from testpress_auth import LoginFailed, LoginSucceeded, RefreshPolicy, RefreshScheduled
from testpress_auth._flow import renew
from testpress_auth.testing import StandInServer

from .clock import ManualClock

HttpxAuth = testpress_auth.httpx.TestpressJWTAuth
RequestsAuth = testpress_auth.requests.TestpressJWTAuth
EXACT = RefreshPolicy(jitter=0)  # due at 240 of 300 seconds, stale at 290


def settled() -> None:
    """Wait for the renewal in the background, if one is under way."""
    for thread in threading.enumerate():
        if thread.name == "testpress-auth renewal":
            thread.join(5)


def until(holds: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    end = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.001)


@pytest.fixture
def seen() -> list[Any]:
    return []


@pytest.fixture
def auth(server: StandInServer, clock: ManualClock, seen: list[Any]) -> RequestsAuth:
    return RequestsAuth(
        "testpress", "demo", base_url=server.url, _clock=clock.local, refresh=EXACT, on_event=seen.append
    )


def get(auth: RequestsAuth, me: str) -> int:
    return requests.get(me, auth=auth, timeout=5).status_code


def test_on_requests_no_request_waits_for_a_renewal(
    auth: RequestsAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """F2: every caller goes on with the token in hand while a daemon thread logs in, once."""
    get(auth, me)
    old = auth.token()
    clock.advance(241)
    server.login_latency = 0.3
    for _ in range(5):
        assert get(auth, me) == 200
    assert server.logins <= 2
    assert {request.header("Authorization") for request in server.api_requests} == {f"JWT {old.raw}"}
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "testpress-auth renewal"]
    assert thread.daemon
    thread.join(5)
    assert auth.token() != old
    assert server.logins == 2


def test_a_failed_renewal_backs_off_and_is_only_an_event(
    auth: RequestsAuth, server: StandInServer, clock: ManualClock, me: str, seen: list[Any]
) -> None:
    """F2: one try, the old token stays; the next try comes after a growing pause, until the token runs out."""
    get(auth, me)
    clock.advance(241)
    server.fail_logins(100, status=503)
    times: list[float] = []
    for second in range(48):
        before = server.logins
        assert get(auth, me) == 200
        settled()
        if server.logins > before:
            times.append(second)
        clock.advance(1)
    assert 3 <= len(times) <= 7, times
    assert times[0] == 0
    assert times[1] >= 2
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[-1] > pauses[0]
    assert server.logins == 1 + len(times), "each renewal is one send"
    kinds = [type(event) for event in seen]
    assert kinds.count(RefreshScheduled) == kinds.count(LoginFailed) == len(times)


def test_what_a_failed_renewal_cost_is_forgotten_with_the_next_token(
    auth: RequestsAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    get(auth, me)
    clock.advance(241)
    server.fail_logins(1, status=503)
    get(auth, me)
    settled()
    clock.advance(6)
    get(auth, me)
    settled()
    assert server.logins == 3
    clock.advance(241)
    get(auth, me)
    settled()
    assert server.logins == 4


def test_who_runs_out_of_token_during_a_failing_renewal_logs_in_itself(
    server: StandInServer, clock: ManualClock, me: str
) -> None:
    """F2: one try ahead does not speak for a login."""
    auth = RequestsAuth("testpress", "demo", base_url=server.url, _clock=clock.local, refresh=EXACT)
    get(auth, me)
    clock.advance(241)
    server.login_latency = 0.3
    server.fail_logins(1, status=503)
    get(auth, me)
    until(lambda: server.logins == 2)  # the renewal's is there, and it is the one that fails
    clock.advance(50)
    assert get(auth, me) == 200
    settled()
    assert server.logins == 3


def test_a_renewal_that_starts_late_leaves_the_token_that_came_first(auth: RequestsAuth, me: str) -> None:
    """F2: its thread may begin when another's login has ended already."""
    get(auth, me)
    assert list(renew(auth._source, auth._settings)) == []


def test_a_renewal_whose_password_cannot_be_fetched_is_a_warning(
    server: StandInServer, clock: ManualClock, me: str, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[str] = ["demo"]
    auth = RequestsAuth("testpress", lambda: answers.pop(), base_url=server.url, _clock=clock.local, refresh=EXACT)
    get(auth, me)
    clock.advance(241)
    assert get(auth, me) == 200
    settled()
    assert "renewing ahead failed: IndexError" in caplog.text


def test_a_policy_may_never_renew_ahead(server: StandInServer, clock: ManualClock, me: str) -> None:
    auth = RequestsAuth(
        "testpress", "demo", base_url=server.url, _clock=clock.local, refresh=RefreshPolicy(ahead=1, jitter=0)
    )
    get(auth, me)
    clock.advance(289)
    get(auth, me)
    assert server.logins == 1


def test_no_thread_to_be_had_is_no_error(
    auth: RequestsAuth, clock: ManualClock, me: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F2: as at the end of the interpreter."""
    get(auth, me)
    clock.advance(241)

    def refuse(*_: Any) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as patch:
        patch.setattr("testpress_auth._page.threading.Thread.start", refuse)
        auth.header()


EXIT = """
import sys
from testpress_auth import RefreshPolicy
from testpress_auth.requests import TestpressJWTAuth
auth = TestpressJWTAuth("testpress", "demo", base_url=sys.argv[1], refresh=RefreshPolicy(ahead=0, jitter=0))
auth.token()
print("logged in", flush=True)
sys.stdin.readline()
auth.token()
print("renewing", flush=True)
"""


def test_a_renewal_under_way_does_not_delay_the_interpreters_exit(server: StandInServer) -> None:
    """F2."""
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-W", "error", "-c", EXIT, server.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "logged in\n"
        server.login_latency = 30
        out, err = process.communicate("go on\n", timeout=10)
    assert (out, err, process.returncode) == ("renewing\n", "", 0)
    assert server.logins <= 2


# --- httpx


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_through_the_callers_client_one_caller_renews_on_its_way(
    server: StandInServer, clock: ManualClock, me: str, backend: str
) -> None:
    """F2: and only that one waits."""
    auth = HttpxAuth("testpress", "demo", base_url=server.url, _clock=clock.local, refresh=EXACT)

    async def run() -> set[str | None]:
        async with httpx.AsyncClient(auth=auth) as client, anyio.create_task_group() as group:
            await client.get(me)
            clock.advance(241)
            server.forget()
            server.login_latency = 0.3
            group.start_soon(client.get, me)
            await anyio.sleep(0.1)
            for _ in range(5):
                await client.get(me)
            meanwhile = {request.header("Authorization") for request in server.api_requests}
        return meanwhile

    assert len(anyio.run(run, backend=backend)) == 1
    assert server.logins == 1
    assert len({request.header("Authorization") for request in server.api_requests}) == 2


def test_a_network_failure_of_the_renewal_fails_one_request_once_per_back_off(
    server: StandInServer, clock: ManualClock, me: str
) -> None:
    """F2: through the caller's httpx client."""
    auth = HttpxAuth("testpress", "demo", base_url=server.url, _clock=clock.local, refresh=EXACT, timeout=0.2)
    with httpx.Client(auth=auth) as client:
        client.get(me)
        clock.advance(241)
        server.login_latency = 5
        with pytest.raises(httpx.ReadTimeout):
            client.get(me)
        for _ in range(5):
            assert client.get(me).status_code == 200
        server.login_latency = 0
        clock.advance(6)
        assert client.get(me).status_code == 200
    assert server.logins == 3


def test_with_a_client_of_its_own_no_thread_waits(server: StandInServer, clock: ManualClock, me: str) -> None:
    """F2: sync httpx with `client=`."""
    with httpx.Client() as way:
        auth = HttpxAuth("testpress", "demo", base_url=server.url, _clock=clock.local, refresh=EXACT, client=way)
        with httpx.Client(auth=auth) as client:
            client.get(me)
            clock.advance(241)
            server.login_latency = 0.5
            for _ in range(3):
                client.get(me)
        assert len({request.header("Authorization") for request in server.api_requests}) == 1
        settled()
    assert server.logins == 2


@pytest.mark.parametrize("fails", [False, True])
def test_with_a_client_of_its_own_no_task_waits(
    server: StandInServer, clock: ManualClock, me: str, fails: bool, seen: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """F2: asyncio with `client=`; a task beside the caller's does it."""
    passwords = ["demo"] if fails else ["demo", "demo"]

    async def run() -> None:
        async with httpx.AsyncClient() as way:
            auth = HttpxAuth(
                "testpress",
                lambda: passwords.pop(),
                base_url=server.url,
                _clock=clock.local,
                refresh=EXACT,
                client=way,
                on_event=seen.append,
            )
            async with httpx.AsyncClient(auth=auth) as client:
                await client.get(me)
                clock.advance(241)
                server.login_latency = 0.1
                for _ in range(3):
                    assert (await client.get(me)).status_code == 200
                assert len({request.header("Authorization") for request in server.api_requests}) == 1
                await anyio.sleep(0.3)

    anyio.run(run)
    assert server.logins == 2 - fails
    assert ("renewing ahead failed: IndexError" in caplog.text) is fails
    assert [type(event) for event in seen].count(LoginSucceeded) == 2 - fails


def test_with_a_client_of_its_own_on_trio_one_caller_does_it(
    server: StandInServer, clock: ManualClock, me: str
) -> None:
    """F2: trio has no task without a nursery."""

    async def run() -> None:
        async with httpx.AsyncClient() as way:
            auth = HttpxAuth("testpress", "demo", base_url=server.url, _clock=clock.local, refresh=EXACT, client=way)
            async with httpx.AsyncClient(auth=auth) as client:
                await client.get(me)
                clock.advance(241)
                await client.get(me)

    anyio.run(run, backend="trio")
    assert server.logins == 2
