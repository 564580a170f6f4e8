"""What an attack on the package found, each a test: leaks through odd doors, others' errors, locks and lost claims."""

from __future__ import annotations

import gc
import pickle
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import httpx
import pytest
import requests

import testpress_auth.httpx
import testpress_auth.requests
from testpress_auth import InvalidCredentials, LoginUnavailable, MemoryStore, RefreshPolicy
from testpress_auth._single_flight import SingleFlight
from testpress_auth.testing import StandInServer

from .clock import ManualClock
from .tokens import make_token

HttpxAuth = testpress_auth.httpx.TestpressJWTAuth
RequestsAuth = testpress_auth.requests.TestpressJWTAuth
ME = "https://demo.testpress.in/api/v2.2/me/"


# --- requests: hooks


def test_one_accounts_hook_never_answers_for_another(server: StandInServer, clock: ManualClock, me: str) -> None:
    """S5: copies of a prepared request share their hooks; the last auth put on a request is the one that counts."""
    server.users = {"ada": "ada's own", "bob": "bob's own"}
    ada, bob = (RequestsAuth(name, f"{name}'s own", base_url=server.url) for name in ("ada", "bob"))
    base = requests.Request("GET", me).prepare()
    with requests.Session() as session:
        for auth in (ada, bob):
            assert session.send(auth(base.copy())).status_code == 200
        assert base.hooks["response"] == []
        assert session.send(base.copy()).status_code == 401
        both = bob(ada(base.copy()))
        server.disabled.add("bob")
        with pytest.raises(InvalidCredentials, match="account is disabled"):
            session.send(both)


def test_a_pickled_response_leaves_the_auth_object_behind(server: StandInServer, me: str) -> None:
    """X1: also where the auth object itself could not travel."""
    auth = RequestsAuth("testpress", lambda: "demo", base_url=server.url, on_event=lambda event: None)
    answer = requests.get(me, auth=auth, timeout=5)
    twin = pickle.loads(pickle.dumps(answer))  # noqa: S301
    assert twin.json() == answer.json()
    with requests.Session() as session:
        assert session.send(twin.request).status_code == 200
    secret = RequestsAuth("testpress", "demo", base_url=server.url)
    assert b"demo" not in pickle.dumps(requests.get(me, auth=secret, timeout=5).request.hooks)


def test_a_401_that_breaks_off_is_mended_all_the_same(server: StandInServer, clock: ManualClock, me: str) -> None:
    auth = RequestsAuth("testpress", "demo", base_url=server.url)
    requests.get(me, auth=auth, timeout=5)
    clock.advance(1)
    server.fail_requests(1, status=401, body=b"no gzip", headers={"Content-Encoding": "gzip"})
    assert requests.get(me, auth=auth, timeout=5, stream=True).status_code == 200


@pytest.mark.parametrize("given", [False, True])
def test_a_redirects_body_is_not_read_at_the_login(server: StandInServer, me: str, given: bool) -> None:
    """L4: a session would read all of it to say where it goes next."""
    with requests.Session() as session:
        auth = RequestsAuth("testpress", "demo", base_url=server.url, session=session if given else None)
        server.fail_logins(1, status=302, body=b"x" * 3_000_000, headers={"Location": "https://h:8443/there?q"})
        with pytest.raises(testpress_auth.requests.UnexpectedLoginResponse, match="https://h:8443/there, which"):
            auth.token()


# --- httpx: what a closed flow knows


class Broken(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that breaks off."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"{"
        raise httpx.ReadError("broken")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        raise httpx.ReadError("broken")


@pytest.mark.parametrize("backend", ["sync", "asyncio", "trio"])
def test_no_exception_behind_ours_holds_the_login(backend: str) -> None:
    """X1: neither as its cause nor as its context."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Broken()))
    auth = HttpxAuth("testpress", "hunter2-secret", subdomain="demo")

    async def run() -> None:
        async with httpx.AsyncClient(auth=auth, transport=transport) as client:
            await client.get(ME)

    def sync() -> None:
        with httpx.Client(auth=auth, transport=transport) as client:
            client.get(ME)

    call = sync if backend == "sync" else lambda: anyio.run(run, backend=backend)
    with pytest.raises(LoginUnavailable) as caught:
        call()
    error: BaseException | None = caught.value
    while error is not None:
        request: Any = getattr(error, "_request", None)
        assert request is None or b"hunter2" not in request.content
        error = error.__context__


def test_another_requests_error_is_not_taken_for_the_logins(
    server: StandInServer, elsewhere: StandInServer, me: str
) -> None:
    """L7: a hook's side call was refused somewhere else; our login was not."""

    def side_call(request: httpx.Request) -> None:
        httpx.get(f"{elsewhere.url}/api/v2.2/me/").raise_for_status()

    auth = HttpxAuth("testpress", "demo", base_url=server.url)
    with (
        httpx.Client(auth=auth, event_hooks={"request": [side_call]}) as client,
        pytest.raises(httpx.HTTPStatusError),
    ):
        client.get(me)
    assert httpx.get(me, auth=auth).status_code == 200


@pytest.mark.parametrize("response", [None, httpx.Response(401)])
def test_a_users_odd_error_reaches_the_user(server: StandInServer, me: str, response: Any) -> None:
    def hook(_: httpx.Response) -> None:
        raise httpx.HTTPStatusError("mine", request=None, response=response)  # type: ignore[arg-type]

    auth = HttpxAuth("testpress", "demo", base_url=server.url)
    auth.token()
    with (
        httpx.Client(auth=auth, event_hooks={"response": [hook]}) as client,
        pytest.raises(httpx.HTTPStatusError, match="mine"),
    ):
        client.get(me)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_async_hook_that_raises_on_a_401_tells_that_the_token_is_refused(
    server: StandInServer, clock: ManualClock, me: str, backend: str
) -> None:
    """L2: the next request logs in; hot and cold."""
    auth = HttpxAuth("testpress", "demo", base_url=server.url, _clock=clock.local)

    async def hook(response: httpx.Response) -> None:
        response.raise_for_status()

    async def run() -> None:
        async with httpx.AsyncClient(auth=auth, event_hooks={"response": [hook]}) as client:
            for _ in range(2):
                assert (await client.get(me)).status_code == 200
                server.revoke_all()
                clock.advance(1)
                with pytest.raises(httpx.HTTPStatusError):
                    await client.get(me)
            server.fail_requests(1, status=401)
            with pytest.raises(httpx.HTTPStatusError):
                await client.get(me)

    anyio.run(run, backend=backend)
    assert server.logins == 3


def test_a_transport_that_tries_again_is_told_that_a_login_is_sent_once(server: StandInServer, me: str) -> None:
    class Retrying(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            if answer.status_code != 503:
                return answer
            answer.close()
            return super().handle_request(request)

    server.fail_logins(1, status=503)
    auth = HttpxAuth("testpress", "demo", base_url=server.url)
    with (
        httpx.Client(auth=auth, transport=Retrying()) as client,
        pytest.raises(testpress_auth.httpx.UnexpectedLoginResponse, match="try again"),
    ):
        client.get(me)


def test_redirects_before_a_401_stay_in_its_history(server: StandInServer, clock: ManualClock, me: str) -> None:
    auth = HttpxAuth("testpress", "demo", base_url=server.url)
    with httpx.Client(auth=auth, follow_redirects=True) as client:
        client.get(me)
        server.revoke_all()
        clock.advance(1)
        server.fail_requests(1, status=302, headers={"Location": me})
        answer = client.get(f"{server.url}/start/")
    assert answer.status_code == 200
    assert [earlier.status_code for earlier in answer.history] == [302, 401]


@pytest.mark.parametrize("url", ["https://demo.testpress.in:0/", "ws://demo.testpress.in/", "wss://demo.testpress.in/"])
def test_odd_urls_are_foreign(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """O1."""
    caplog.set_level("INFO", logger="testpress_auth")
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    with httpx.Client(
        auth=HttpxAuth("testpress", "demo", subdomain="demo"), transport=httpx.MockTransport(handler)
    ) as client:
        client.get(url)
    assert "Authorization" not in seen[0].headers
    assert "no token for requests to" in caplog.text


def test_a_closed_client_does_not_keep_logout_from_forgetting(server: StandInServer) -> None:
    way = httpx.Client()
    auth = HttpxAuth("testpress", "demo", base_url=server.url, client=way)
    auth.token()
    auth.logout()
    assert server.requests[-1].path == "/api/v2.4/auth/logout/"
    way.close()


# --- locks, claims and growth


def test_the_collector_may_close_a_flow_while_the_lock_is_held() -> None:
    """S1: nothing in this thread ever waits for this thread."""
    from testpress_auth import _single_flight

    single = SingleFlight()
    flight, _ = single.join(0.0, 5.0)
    done = threading.Event()

    def held() -> None:
        with _single_flight.lock:
            single.settle(flight, "closed by the collector")
        done.set()

    threading.Thread(target=held, daemon=True).start()
    assert done.wait(5)


@pytest.mark.parametrize("backend", ["sync", "asyncio", "trio"])
def test_a_header_asked_for_renews_ahead_too(server: StandInServer, clock: ManualClock, backend: str) -> None:
    """F2: no claim is lost where nothing travels through a client."""
    auth = HttpxAuth("testpress", "demo", base_url=server.url, _clock=clock.local, refresh=RefreshPolicy(jitter=0))
    ask: Any = auth.header if backend == "sync" else lambda: anyio.run(auth.aheader, backend=backend)
    first = ask()
    clock.advance(241)
    assert ask() != first
    assert server.logins == 2


def test_a_sync_call_with_an_async_client_goes_on_with_the_token_in_hand(
    server: StandInServer, clock: ManualClock, me: str
) -> None:
    """F2."""

    async def run() -> tuple[HttpxAuth, httpx.AsyncClient]:
        way = httpx.AsyncClient()
        auth = HttpxAuth("testpress", "demo", base_url=server.url, _clock=clock.local, client=way)
        await auth.atoken()
        await way.aclose()
        return auth, way

    auth, _ = anyio.run(run)
    clock.advance(280)
    assert httpx.get(me, auth=auth).status_code == 200


def test_a_renewal_that_vanished_is_taken_over(server: StandInServer, clock: ManualClock, me: str) -> None:
    """F2, S2: not only once the token has run out."""
    auth = HttpxAuth("testpress", "demo", base_url=server.url, _clock=clock.local, refresh=RefreshPolicy(jitter=0))
    auth.token()
    clock.advance(241)
    flow = auth.sync_auth_flow(httpx.Request("GET", me))
    assert next(flow).url.path.endswith("/auth-token/")
    clock.advance(11)
    assert httpx.get(me, auth=auth).status_code == 200
    assert server.logins == 2
    flow.close()


def test_a_slow_password_callable_costs_no_second_login(server: StandInServer, me: str) -> None:
    """S1: the login's deadline begins once the password is there."""
    asked: list[int] = []
    gate = threading.Event()

    def fetch() -> str:
        asked.append(1)
        gate.wait(5)
        return "demo"

    auth = RequestsAuth("testpress", fetch, base_url=server.url, timeout=0.2)
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(requests.get(me, auth=auth, timeout=5).status_code))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    threading.Timer(1.0, gate.set).start()
    for thread in threads:
        thread.join(10)
    assert found == [200] * 5
    assert (len(asked), server.logins) == (1, 1)


def test_a_store_holds_no_password(server: StandInServer) -> None:
    """X2."""
    store = MemoryStore()
    auth = RequestsAuth("testpress", "hunter2", base_url=server.url, store=store)
    with pytest.raises(InvalidCredentials):
        auth.token()
    held = [each for each in gc.get_referents(store._sources) if isinstance(each, tuple)]
    assert held
    assert "hunter2" not in repr(held)


def test_objects_that_share_a_callable_share_the_account(server: StandInServer) -> None:
    """S5."""
    store = MemoryStore()

    def fetch() -> str:
        return "demo"

    for _ in range(3):
        RequestsAuth("testpress", fetch, base_url=server.url, store=store).token()
    assert server.logins == 1

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self) -> str:
            return "demo"

    with pytest.raises(testpress_auth.requests.ConfigurationError, match="has a hash"):
        RequestsAuth("testpress", Unhashable(), base_url=server.url, store=store)


@pytest.mark.parametrize("page", [testpress_auth.requests, testpress_auth.httpx])
def test_a_password_of_another_type_is_not_shown_either(page: Any) -> None:
    """X1: not in the frames that a crash reporter reads."""
    with pytest.raises(testpress_auth.requests.ConfigurationError, match="is a bytes") as caught:
        page.TestpressJWTAuth("testpress", b"hunter2", subdomain="demo")
    traceback = caught.value.__traceback__
    while traceback is not None:
        if "testpress_auth" in traceback.tb_frame.f_code.co_filename.replace("tests", ""):
            assert "hunter2" not in repr(traceback.tb_frame.f_locals)
        traceback = traceback.tb_next


def test_a_token_in_a_mocks_answer_is_still_a_token() -> None:
    """(A guard for the tests above: their transports do serve logins.)"""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"token": make_token()}))
    with httpx.Client(auth=HttpxAuth("testpress", "demo", subdomain="demo"), transport=transport) as client:
        assert client.get(ME).status_code == 200
