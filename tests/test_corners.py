"""Corners of the flow that no client reaches twice the same way: driven step by step, with nothing to wait for."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest
import requests

import testpress_auth.httpx
import testpress_auth.requests
from testpress_auth import Event, RefreshPolicy
from testpress_auth._credentials import Secret
from testpress_auth._flow import obtain, recover, renew, usable
from testpress_auth._httpx_library import causes
from testpress_auth._requests_login import _as_it_comes
from testpress_auth._single_flight import SingleFlight
from testpress_auth._steps import drive
from testpress_auth._tasks import wait
from testpress_auth._token import Login
from testpress_auth.testing import StandInServer

from .clock import ManualClock

HttpxAuth = testpress_auth.httpx.TestpressJWTAuth
RequestsAuth = testpress_auth.requests.TestpressJWTAuth


def no_step(step: Any) -> Any:
    raise AssertionError(f"nothing was to be done, and {step!r} was asked for")


@pytest.fixture
def auth(server: StandInServer, clock: ManualClock) -> RequestsAuth:
    return RequestsAuth("testpress", "demo", base_url=server.url, _clock=clock.local, refresh=RefreshPolicy(jitter=0))


def test_a_token_that_is_fresh_asks_for_nothing(auth: RequestsAuth) -> None:
    login = auth._logged_in()
    assert drive(usable(auth._source, auth._settings), no_step) is login
    assert drive(obtain(auth._source, auth._settings), no_step) is login


def test_nothing_is_renewed_where_there_is_no_token_or_somebody_does_it(auth: RequestsAuth) -> None:
    """F2."""
    drive(renew(auth._source, auth._settings), no_step)
    auth.token()
    auth._source.join(auth._now(), auth._now() + 10)
    drive(renew(auth._source, auth._settings), no_step)


def test_a_renewal_that_another_thread_has_begun_lets_the_caller_go_on(auth: RequestsAuth, clock: ManualClock) -> None:
    """F2."""
    login = auth._logged_in()
    clock.advance(241)
    auth._source.join(auth._now(), auth._now() + 10)
    assert drive(usable(auth._source, auth._settings), no_step) is login


def test_two_later_tokens_refused_in_a_row_are_enough(auth: RequestsAuth) -> None:
    """J1: sent again once, and once more; then the 401 is the caller's."""
    login = auth._logged_in()
    login.accepted = True
    flow = recover(auth._source, auth._settings, "401", None, replayable=True)
    next(flow)  # read the 401
    assert flow.send(None).login is login
    login.accepted = True
    read = flow.send(("401 again", True))  # the token at hand is refused: read, log in, send again
    assert read.answer == "401 again"
    auth._source.install(Login(login.token, sent_at=auth._now(), lifetime=300))
    second = flow.send(None)
    assert second.login is not login
    with pytest.raises(StopIteration) as done:
        flow.send(("401 once more", True))
    assert done.value.value == "401 once more"


@pytest.mark.anyio
async def test_a_flight_that_has_landed_is_not_waited_for() -> None:
    single = SingleFlight()
    flight, _ = single.join(0.0, 5.0)
    single.settle(flight, "landed")
    await wait(flight, 1000)


def test_a_loop_that_has_ended_is_not_woken() -> None:
    """S2: its waiters are gone."""
    single = SingleFlight()
    flight, _ = single.join(0.0, 5.0)
    for backend in ("asyncio", "trio"):
        anyio.run(wait, flight, 0.01, backend=backend)
    single.settle(flight, "landed")


@pytest.mark.anyio
async def test_a_waiter_that_gave_up_is_not_disturbed() -> None:
    single = SingleFlight()
    flight, _ = single.join(0.0, 5.0)
    with anyio.move_on_after(0.01):
        await wait(flight, 1000)
    single.settle(flight, "landed")
    await anyio.sleep(0.01)


def test_an_old_urllib3_is_read_byte_by_byte() -> None:
    """L4: before 2.1 it has no `read1`."""

    class Response:
        raw = object()

        def iter_content(self, size: int) -> list[bytes]:
            assert size == 1
            return [b"o", b"k"]

    found = _as_it_comes(Response(), 10.0, lambda: 0.0)  # type: ignore[arg-type]
    assert list(found) == [b"o", b"k"]


def test_a_chain_of_exceptions_is_not_followed_for_ever() -> None:
    first = ValueError()
    first.__context__ = second = KeyError()
    second.__context__ = first
    assert len(list(causes(first))) == 8


def test_a_secret_has_the_hash_of_its_equal() -> None:
    assert hash(Secret("a")) == hash(Secret("a"))


def test_an_event_names_the_fields_it_takes() -> None:
    with pytest.raises(TypeError, match="Event takes account"):
        Event(accounts="x")  # type: ignore[call-arg]


def test_a_client_that_runs_out_of_redirects_at_the_login_is_told_as_a_redirect(server: StandInServer, me: str) -> None:
    """L3: sync, where the flow hears it."""
    auth = HttpxAuth("testpress", "demo", base_url=server.url)
    server.fail_logins(1, status=302, headers={"Location": "/api/v2.2/auth-token/"})
    with (
        httpx.Client(auth=auth, follow_redirects=True, max_redirects=0) as client,
        pytest.raises((httpx.TooManyRedirects, httpx.RequestError)),
    ):
        client.get(me)
    assert requests.get(me, auth=RequestsAuth("testpress", "demo", base_url=server.url), timeout=5).ok
