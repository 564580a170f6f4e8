"""One login for real processes on a real store, and no request that fails whatever happens to either."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testpress_auth.testing import StandInServer

from ..valkey import Valkey
from .processes import Fleet, met
from .thousand import live

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
STORES = ["file", "redis"]


@pytest.fixture
def server() -> Iterator[StandInServer]:
    """A stand-in with the real clock, whose login takes a while."""
    with StandInServer(login_latency=0.1) as running:
        yield running


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    with Valkey() as running:
        yield running


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return str(tmp_path / "tokens")
    running: Valkey = request.getfixturevalue("valkey")
    return running.url


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


@pytest.mark.parametrize("size", [2, 8, 32])
def test_processes_that_start_cold_log_in_once_and_warm_never(store: str, server: StandInServer, size: int) -> None:
    with Fleet(size, store, server.url) as cold:
        assert cold.run() == {"200": size}
    assert server.logins == 1
    with Fleet(size, store, server.url) as warm:
        assert warm.run() == {"200": size}
    assert server.logins == 1


def test_the_login_of_a_killed_process_is_taken_over(store: str, server: StandInServer) -> None:
    """kill -9 in the middle of its login: at once with a file, when its lease ends with Redis."""
    server.login_latency = 30
    with Fleet(2, store, server.url, timeout=2) as fleet:
        holder, other = fleet.workers
        holder.go()
        until(lambda: server.logins == 1)
        other.go()
        time.sleep(0.3)
        server.login_latency = 0.1
        holder.kill()
        died = time.monotonic()
        result = other.result()
        took = time.monotonic() - died
    assert result["seen"] == {"200": 1}
    assert server.logins == 2
    print(f"{took:.2f} s from the death of the lease's holder to the next process's answer")


def test_a_process_that_is_stopped_past_its_lease_costs_one_more_login(store: str, server: StandInServer) -> None:
    """SIGSTOP while it logs in, and SIGCONT when others have done so: everyone is answered."""
    server.login_latency = 1.0
    with Fleet(5, store, server.url, timeout=2) as fleet:
        holder, *others = fleet.workers
        holder.go()
        until(lambda: server.logins == 1)
        holder.pause()
        for other in others:
            other.go()
        results = [other.result() for other in others]
        assert server.logins == 2
        holder.resume()
        assert met([*results, holder.result()]) == {"200": 5}
    assert server.logins == 2


def test_a_401_storm_in_many_processes_costs_one_login(store: str, server: StandInServer) -> None:
    with Fleet(8, store, server.url, calls=20, pause=0.2) as fleet:
        fleet.go()
        until(lambda: len(server.api_requests) > 30)
        time.sleep(1)  # so that the next token is another string
        server.revoke_all()
        assert met(fleet.results()) == {"200": 160}
    assert server.logins == 2


def test_processes_killed_at_random_leave_the_others_in_peace(store: str, server: StandInServer) -> None:
    """Logins are forced by tokens of two seconds; half of the fleet dies on the way."""
    server.token_lifetime = 2
    with Fleet(16, store, server.url, calls=40, pause=0.1, timeout=2) as fleet:
        fleet.go()
        for number, worker in enumerate(fleet.workers[::2]):
            until(lambda number=number: server.logins > number // 3)  # type: ignore[misc]
            worker.kill()
            time.sleep(0.2)
        seen = met([worker.result() for worker in fleet.workers[1::2]])
    assert seen == {"200": 8 * 40}


def test_hundreds_of_workers_log_in_once_per_lifetime() -> None:
    """F2: one renews ahead, and the rest pick up what it brought."""
    seen, _, logins = asyncio.run(live(300, 9.0, 5.0))
    assert seen.failed == 0
    assert 2 <= logins <= 4  # a token lives four to five seconds here, and is renewed from 80 % on
    assert seen.logins == logins


# --- what happens to the server


def test_a_server_killed_and_started_again_in_mid_run_fails_no_request(valkey: Valkey, server: StandInServer) -> None:
    server.token_lifetime = 2
    with Fleet(4, valkey.url, server.url, calls=80, pause=0.1) as fleet:
        fleet.go()
        until(lambda: server.logins >= 1)
        time.sleep(1)
        valkey.kill()
        time.sleep(3)
        valkey.start()
        results = fleet.results()
    assert met(results) == {"200": 320}
    assert any(result["store_failures"] for result in results)
    assert valkey.command("DBSIZE") >= 1  # and used again once it answers


def test_a_server_that_hangs_costs_one_request_under_a_second(valkey: Valkey, server: StandInServer) -> None:
    valkey.pause()
    with Fleet(1, valkey.url, server.url, calls=20) as fleet:
        fleet.go()
        (result,) = fleet.results()
    assert result["seen"] == {"200": 20}
    assert result["store_failures"] == 1
    assert server.logins == 1
    print(f"the longest request took {result['longest']:.2f} s, a login of 0.1 s included")


@pytest.mark.parametrize("trouble", ["refusing", "full", "read-only", "wrong password"])
def test_a_server_that_cannot_serve_fails_no_request(valkey: Valkey, server: StandInServer, trouble: str) -> None:
    url = valkey.url
    if trouble == "refusing":
        valkey.kill()
    elif trouble == "full":
        valkey.fill()
    elif trouble == "read-only":
        valkey.command("REPLICAOF", "127.0.0.1", "1")
    else:
        valkey.command("CONFIG", "SET", "requirepass", "another")
        url = url.replace("redis://", "redis://:wrong@")
    with Fleet(3, url, server.url, calls=5) as fleet:
        fleet.go()
        results = fleet.results()
    assert met(results) == {"200": 15}
    assert server.logins == 3
    assert [result["store_failures"] for result in results] == [1, 1, 1]
