"""What is particular to httpx and httpx2: ways to pass auth, the login through the caller's client, mocks, mix-ups.

Each test runs on both libraries (where httpx2 is, see clients.py), unless it is of a thing that one of them has alone.
"""

from __future__ import annotations

import gc
import io
import json
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
import respx
from pytest_httpx import HTTPXMock

import testpress_auth
from testpress_auth import (
    ConfigurationError,
    InvalidCredentials,
    LoginThrottled,
    LoginTimeout,
    UnexpectedLoginResponse,
)
from testpress_auth.httpx import TestpressJWTAuth
from testpress_auth.testing import StandInServer

from .clients import CALLERS
from .clock import ManualClock
from .tokens import make_token

HOST = "https://demo.testpress.in"
LOGIN = f"{HOST}/api/v2.2/auth-token/"
ME = f"{HOST}/api/v2.2/me/"
Handler = Callable[[httpx.Request], Any]
Demo = Callable[..., TestpressJWTAuth]
LIBRARIES = [name for name in ("httpx", "httpx2") if name in CALLERS]
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(params=LIBRARIES)
def lib(request: pytest.FixtureRequest) -> Any:
    """httpx, then httpx2."""
    return CALLERS[request.param].library


@pytest.fixture
def page(lib: Any) -> Any:
    return CALLERS[lib.__name__].page


@pytest.fixture
def auth(page: Any, server: StandInServer, clock: ManualClock) -> TestpressJWTAuth:
    made: TestpressJWTAuth = page.TestpressJWTAuth("testpress", "demo", base_url=server.url, _clock=clock.local)
    return made


@pytest.fixture
def demo(page: Any) -> Demo:
    """Make an auth object for a host that a mock plays."""
    return partial(page.TestpressJWTAuth, "testpress", "demo", subdomain="demo")


class Mock:
    """A MockTransport that answers logins with tokens and calls from a list, and notes what it was asked."""

    def __init__(self, lib: Any, *answers: httpx.Response, login: Handler | None = None) -> None:
        self.lib = lib
        self.answers = list(answers)
        self.login = login
        self.asked: list[tuple[str, str, bytes]] = []
        self.tokens = 0

    def __call__(self, request: httpx.Request) -> Any:
        self.asked.append((request.method, str(request.url), request.content))
        if request.url.path.endswith("/auth-token/"):
            if self.login is not None:
                return self.login(request)
            self.tokens += 1
            return self.lib.Response(200, json={"token": make_token(user_id=self.tokens)})
        return self.answers.pop(0) if self.answers else self.lib.Response(200, json={"ok": True})

    @property
    def transport(self) -> Any:
        return self.lib.MockTransport(self)


class Driver:
    """Call once with a new client, sync or async, so that a test reads the same for both."""

    def __init__(self, backend: str, lib: Any) -> None:
        self.backend = backend
        self.lib = lib

    def get(self, url: str, *, follow_redirects: bool = False, **client: Any) -> Any:
        if self.backend == "sync":
            hooks = client.pop("hooks", {})
            with self.lib.Client(event_hooks=hooks, verify=False, **client) as sync:
                return sync.get(url, follow_redirects=follow_redirects)
        hooks = {event: [_awaitable(hook) for hook in hooks] for event, hooks in client.pop("hooks", {}).items()}

        async def run() -> Any:
            async with self.lib.AsyncClient(event_hooks=hooks, verify=False, **client) as asynchronous:
                return await asynchronous.get(url, follow_redirects=follow_redirects)

        return anyio.run(run, backend=self.backend)


def _awaitable(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    async def awaited(what: Any) -> None:
        if type(what).__name__ != "Response":
            await what.aread()
        hook(what)

    return awaited


@pytest.fixture(params=["sync", "asyncio", "trio"])
def drive(request: pytest.FixtureRequest, lib: Any) -> Driver:
    return Driver(request.param, lib)


# --- every way to pass it


def test_it_works_wherever_httpx_takes_an_auth(
    lib: Any, auth: TestpressJWTAuth, server: StandInServer, me: str
) -> None:
    assert lib.get(me, auth=auth).status_code == 200
    with lib.Client(auth=auth) as client:
        assert client.get(me).status_code == 200
        assert client.get(me, auth=None).status_code == 401
        assert client.send(client.build_request("GET", me)).status_code == 200
    with lib.Client(base_url=server.url) as client:
        assert client.get("/api/v2.2/me/", auth=auth).status_code == 200
    assert server.logins == 1


def test_a_streamed_answer_is_not_read_ahead(
    lib: Any, auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    with lib.Client(auth=auth) as client:
        for _ in range(2):
            with client.stream("GET", me) as response:
                assert not response.is_stream_consumed
                assert json.loads(response.read())["id"] == 1
            server.revoke_all()
            clock.advance(1)
    assert server.logins == 2


@pytest.mark.anyio
async def test_an_async_stream_is_not_read_ahead(lib: Any, auth: TestpressJWTAuth, me: str) -> None:
    async with lib.AsyncClient(auth=auth) as client, client.stream("GET", me) as response:
        assert not response.is_stream_consumed
        assert (await response.aread()).startswith(b"{")


def test_one_object_serves_sync_and_async_clients(
    lib: Any, auth: TestpressJWTAuth, server: StandInServer, me: str
) -> None:
    """S1."""
    for backend in ("sync", "asyncio", "trio", "asyncio"):
        assert Driver(backend, lib).get(me, auth=auth).status_code == 200
    assert server.logins == 1


# --- the login through the caller's client


def test_the_callers_transport_serves_the_login_too(lib: Any, demo: Demo, drive: Driver) -> None:
    """L2: so a MockTransport just works, and the login's answer is in no history."""
    mock = Mock(lib, lib.Response(200), lib.Response(401), lib.Response(200, json={"ok": 2}))
    auth = demo()
    assert drive.get(ME, auth=auth, transport=mock.transport).history == []
    answer = drive.get(ME, auth=auth, transport=mock.transport)
    assert answer.json() == {"ok": 2}
    assert [earlier.status_code for earlier in answer.history] == [401]
    assert answer.history[0].history == []
    assert [(method, url) for method, url, _ in mock.asked] == [
        ("POST", LOGIN),
        ("GET", ME),
        ("GET", ME),
        ("POST", LOGIN),
        ("GET", ME),
    ]
    assert json.loads(mock.asked[0][2]) == {"username": "testpress", "password": "demo"}


def test_the_login_brings_its_own_timeout(lib: Any, demo: Demo, drive: Driver) -> None:
    """L4: httpx gives none to what a flow yields."""
    seen: list[Any] = []

    def login(request: httpx.Request) -> Any:
        seen.append(dict(request.extensions["timeout"]))
        return lib.Response(200, json={"token": make_token()})

    drive.get(ME, auth=demo(timeout=7), transport=Mock(lib, login=login).transport)
    assert seen == [{"connect": 7.0, "read": 7.0, "write": 7.0, "pool": 7.0}]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("reading", [False, True])
@pytest.mark.parametrize("target", ["https://evil.example/take", "http://demo.testpress.in/api/v2.2/auth-token/"])
def test_a_client_that_follows_redirects_sends_the_password_once(
    lib: Any, demo: Demo, drive: Driver, status: int, reading: bool, target: str
) -> None:
    """L3: under a mock, which reads requests, and with a hook that reads them."""

    def login(request: httpx.Request) -> Any:
        if str(request.url) == LOGIN:
            return lib.Response(status, headers={"Location": target})
        return lib.Response(200, json={"token": make_token()})

    mock = Mock(lib, login=login)
    hooks = {"request": [lambda request: request.read() if isinstance(request.stream, lib.SyncByteStream) else None]}
    with pytest.raises(UnexpectedLoginResponse, match="redirect"):
        drive.get(ME, auth=demo(), transport=mock.transport, follow_redirects=True, hooks=hooks if reading else {})
    assert [url for _, url, body in mock.asked if b"demo" in body] == [LOGIN]


@pytest.mark.parametrize("status", [302, 307])
def test_a_client_that_follows_redirects_over_a_socket_sends_the_password_once(
    drive: Driver, auth: TestpressJWTAuth, server: StandInServer, elsewhere: StandInServer, me: str, status: int
) -> None:
    """L3."""
    server.fail_logins(1, status=status, headers={"Location": f"{elsewhere.url}/api/v2.2/auth-token/"})
    with pytest.raises(UnexpectedLoginResponse, match="redirect") as caught:
        drive.get(me, auth=auth, follow_redirects=True)
    assert not any(request.body for request in elsewhere.requests)
    assert getattr(caught.value.request.stream, "content", b"") == b""


def test_a_hook_that_raises_on_the_login_tells_us_what_it_was(
    lib: Any, page: Any, auth: TestpressJWTAuth, server: StandInServer, me: str
) -> None:
    """L2: a sync flow sees the cause; the refusal is remembered (L7), and httpx's own error has no password."""
    auth = page.TestpressJWTAuth("testpress", "wrong", base_url=server.url)
    hooks = {"response": [lib.Response.raise_for_status]}
    with lib.Client(auth=auth, event_hooks=hooks) as client:
        with pytest.raises(lib.HTTPStatusError) as caught:
            client.get(me)
        assert caught.value.request.content == b""
        assert "content-length" not in caught.value.request.headers
        with pytest.raises(InvalidCredentials):
            client.get(me)
        assert server.logins == 1


@pytest.mark.parametrize(("status", "logins", "error"), [(503, 2, None), (429, 1, LoginThrottled), (302, 2, None)])
def test_a_hook_that_raises_on_a_failed_login_is_not_tried_again(
    lib: Any,
    auth: TestpressJWTAuth,
    server: StandInServer,
    me: str,
    status: int,
    logins: int,
    error: type[Exception] | None,
) -> None:
    server.fail_logins(1, status=status, headers={"Retry-After": "60"})
    hooks = {"response": [lib.Response.raise_for_status]}
    with lib.Client(auth=auth, event_hooks=hooks) as client:
        with pytest.raises(lib.HTTPStatusError):
            client.get(me)
        if error is None:
            assert client.get(me).status_code == 200
        else:
            with pytest.raises(error):
                client.get(me)
    assert server.logins == logins


@pytest.mark.parametrize("wrapping", [False, True])
def test_an_async_hook_that_raises_on_the_login_tells_us_too(
    lib: Any, page: Any, server: StandInServer, me: str, wrapping: bool
) -> None:
    """L2, L7: the flow hears what the client is raising, also where the hook wraps it in an error of its own."""
    auth = page.TestpressJWTAuth("testpress", "wrong", base_url=server.url)
    server.login_latency = 0.05
    found: list[type[BaseException]] = []

    class Mine(Exception):
        pass

    async def raise_for_status(response: httpx.Response) -> None:
        try:
            response.raise_for_status()
        except lib.HTTPStatusError as error:
            if not wrapping:
                raise
            raise Mine from error

    async def one(client: httpx.AsyncClient) -> None:
        try:
            await client.get(me)
        except (Mine, lib.HTTPError) as error:
            found.append(type(error))

    async def run() -> None:
        hooks = {"response": [raise_for_status]}
        async with lib.AsyncClient(auth=auth, event_hooks=hooks) as client, anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(one, client)

    anyio.run(run)
    assert server.logins == 1
    assert sorted(kind.__name__ for kind in found) == sorted(
        ["Mine" if wrapping else "HTTPStatusError"] + ["InvalidCredentials"] * 9
    )


def test_a_hook_that_raises_on_a_401_still_tells_that_the_token_is_refused(
    lib: Any, auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """L2: sync; the next request logs in."""
    hooks = {"response": [lib.Response.raise_for_status]}
    with lib.Client(auth=auth, event_hooks=hooks) as client:
        for _ in range(2):
            client.get(me)
        for hot in (True, False):
            server.revoke_all()
            clock.advance(1)
            with pytest.raises(lib.HTTPStatusError):
                client.get(me)
            assert client.get(me).status_code == 200, hot
    assert server.logins == 3


def test_a_hook_that_reads_answers_is_no_hindrance(
    lib: Any, drive: Driver, auth: TestpressJWTAuth, server: StandInServer, me: str
) -> None:
    if drive.backend == "sync":
        with lib.Client(auth=auth, event_hooks={"response": [lib.Response.read]}) as client:
            assert client.get(me).status_code == 200
        return

    async def run() -> None:
        async with lib.AsyncClient(auth=auth, event_hooks={"response": [lib.Response.aread]}) as client:
            assert (await client.get(me)).status_code == 200

    anyio.run(run, backend=drive.backend)


def test_a_large_answer_that_a_hook_has_read_is_refused_too(
    lib: Any, auth: TestpressJWTAuth, server: StandInServer, me: str
) -> None:
    """L4."""
    server.fail_logins(1, status=200, body=b" " * 70_000)
    with (
        lib.Client(auth=auth, event_hooks={"response": [lib.Response.read]}) as client,
        pytest.raises(UnexpectedLoginResponse, match="64 KiB"),
    ):
        client.get(me)


def test_one_connection_is_enough_in_a_storm(
    lib: Any, auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """J1: a refused answer gives its connection back before anyone waits."""
    server.latency = 0.01

    async def run() -> list[int]:
        found: list[int] = []
        limits = lib.Limits(max_connections=1)
        async with lib.AsyncClient(auth=auth, limits=limits, timeout=5) as client:
            await client.get(me)
            server.revoke_all()
            clock.advance(1)

            async def one() -> None:
                found.append((await client.get(me)).status_code)

            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(one)
        return found

    assert anyio.run(run) == [200] * 10
    assert server.logins == 2


def test_a_body_that_stops_coming_ends_the_login(lib: Any, demo: Demo, drive: Driver, clock: ManualClock) -> None:
    """L4: the body ends with the deadline."""

    class Dripping(lib.SyncByteStream, lib.AsyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            while True:
                clock.advance(1)
                yield b" "

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(60):
                clock.advance(1)
                yield b" "

    mock = Mock(lib, login=lambda _: lib.Response(200, stream=Dripping()))
    with pytest.raises(LoginTimeout) as caught:
        drive.get(ME, auth=demo(_clock=clock.local), transport=mock.transport)
    assert caught.value.timeout == 10


# --- client=


def test_a_given_client_sends_the_login_instead(
    lib: Any, page: Any, auth: TestpressJWTAuth, server: StandInServer, me: str
) -> None:
    """L2: without its auth, headers and cookies."""
    with lib.Client(headers={"X-Own": "1"}, cookies={"own": "1"}) as way:
        auth = page.TestpressJWTAuth("testpress", "demo", base_url=server.url, client=way)
        way.auth = auth
        mock = Mock(lib)
        with lib.Client(auth=auth, transport=mock.transport) as client:
            client.get(me)
        assert way.get(me).status_code == 200
        auth.logout()
    assert [url for _, url, _ in mock.asked] == [me]
    (login,) = server.login_requests
    assert [login.header(name) for name in ("X-Own", "Cookie", "Authorization")] == [None, None, None]


def test_a_given_async_client_sends_the_login_instead(lib: Any, page: Any, server: StandInServer, me: str) -> None:
    async def run() -> None:
        async with lib.AsyncClient() as way:
            auth = page.TestpressJWTAuth("testpress", "demo", base_url=server.url, client=way)
            async with lib.AsyncClient(auth=auth, transport=Mock(lib).transport) as client:
                await client.get(me)
            await auth.alogout()
            with pytest.raises(ConfigurationError, match=rf"{lib.__name__}\.Client"):
                auth.token()

    anyio.run(run)
    assert server.logins == 1


def test_a_sync_client_does_not_serve_async_calls(lib: Any, page: Any, server: StandInServer) -> None:
    with lib.Client() as way:
        auth = page.TestpressJWTAuth("testpress", "demo", base_url=server.url, client=way)
        with pytest.raises(ConfigurationError, match=rf"{lib.__name__}\.AsyncClient"):
            anyio.run(auth.atoken)
    assert not server.requests


@pytest.mark.parametrize("backend", ["sync", "asyncio", "trio"])
@pytest.mark.parametrize("redirected", [True, False])
def test_a_given_client_with_hooks_of_its_own_is_understood(
    lib: Any, page: Any, server: StandInServer, backend: str, redirected: bool
) -> None:
    """L7: what its `raise_for_status` hook did not let pass is read all the same."""
    if redirected:
        server.fail_logins(1, status=302, headers={"Location": "/elsewhere/"})

    async def raise_for_status(response: httpx.Response) -> None:
        response.raise_for_status()

    expected = UnexpectedLoginResponse if redirected else InvalidCredentials
    if backend == "sync":
        with lib.Client(event_hooks={"response": [lib.Response.raise_for_status]}) as way:
            auth = page.TestpressJWTAuth("testpress", "wrong", base_url=server.url, client=way)
            with pytest.raises(expected):
                auth.token()
        return

    async def run() -> None:
        async with lib.AsyncClient(event_hooks={"response": [raise_for_status]}) as client:
            auth = page.TestpressJWTAuth("testpress", "wrong", base_url=server.url, client=client)
            with pytest.raises(expected):
                await auth.atoken()

    anyio.run(run, backend=backend)


def test_each_phase_gets_what_is_left(lib: Any, demo: Demo, clock: ManualClock) -> None:
    """L4, where we send the login: httpcore asks for each phase's timeout when the phase begins."""
    asked: list[float] = []

    def login(request: httpx.Request) -> Any:
        for phase in ("connect", "write", "read"):
            asked.append(request.extensions["timeout"].get(phase))
            clock.advance(3)
        assert request.extensions["timeout"].get("unknown", 5) == 5
        return lib.Response(200, json={"token": make_token()})

    with lib.Client(transport=Mock(lib, login=login).transport) as way:
        demo(client=way, _clock=clock.local).token()
    assert asked == [10, 7, 4]


# --- bodies


def test_multipart_from_a_file_that_cannot_be_rewound_hands_the_401_over(
    lib: Any, auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """J2: httpx would send it empty."""

    class OneWay(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

    with lib.Client(auth=auth) as client:
        client.get(me)
        server.revoke_all()
        clock.advance(1)
        answer = client.post(f"{server.url}/api/v2.2/echo/", files={"f": OneWay(b"content")})
        assert (answer.status_code, answer.history) == (401, [])
        answer = client.post(f"{server.url}/api/v2.2/echo/", data={"a": "b"}, files={"f": OneWay(b"content")})
        assert answer.status_code == 200
    assert b"content" in server.api_requests[-1].body


# --- mocks


def test_it_works_under_respx(respx_mock: respx.MockRouter) -> None:
    respx_mock.post(LOGIN).respond(json={"token": make_token()})
    respx_mock.get(ME).mock(side_effect=[httpx.Response(200), httpx.Response(401), httpx.Response(200)])
    auth = TestpressJWTAuth("testpress", "demo", subdomain="demo")
    assert httpx.get(ME, auth=auth).status_code == 200
    assert [earlier.status_code for earlier in httpx.get(ME, auth=auth).history] == [401]
    assert json.loads(respx_mock.calls[0].request.content) == {"username": "testpress", "password": "demo"}


def test_it_works_under_pytest_httpx(httpx_mock: HTTPXMock) -> None:
    for user in (1, 2):
        httpx_mock.add_response(url=LOGIN, method="POST", json={"token": make_token(user_id=user)})
    for status in (200, 401, 200):
        httpx_mock.add_response(url=ME, status_code=status)
    auth = TestpressJWTAuth("testpress", "demo", subdomain="demo")
    assert httpx.get(ME, auth=auth).status_code == 200
    assert [earlier.status_code for earlier in httpx.get(ME, auth=auth).history] == [401]
    assert json.loads(httpx_mock.get_requests()[0].content) == {"username": "testpress", "password": "demo"}


def test_it_works_over_wsgi(lib: Any, demo: Demo) -> None:
    def application(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        size = int(environ.get("CONTENT_LENGTH") or 0)
        sent = environ["wsgi.input"].read(size)
        start("200 OK", [("Content-Type", "application/json")])
        if environ["PATH_INFO"].endswith("/auth-token/"):
            assert json.loads(sent)["password"] == "demo"
            return [json.dumps({"token": make_token()}).encode()]
        return [json.dumps(environ.get("HTTP_AUTHORIZATION")).encode()]

    with lib.Client(transport=lib.WSGITransport(application), auth=demo()) as client:
        assert client.get(ME).json().startswith("JWT ")


@pytest.mark.parametrize("port", ["", ":80"])
def test_plain_http_to_our_host_becomes_https(lib: Any, demo: Demo, drive: Driver, port: str) -> None:
    """O2: Testpress's older `next` links are http."""
    mock = Mock(lib)
    drive.get(f"http://demo.testpress.in{port}/api/v2.2/me/?page=2", auth=demo(), transport=mock.transport)
    assert [url for _, url, _ in mock.asked] == [LOGIN, f"{ME}?page=2"]


@pytest.mark.parametrize(
    "url",
    [
        "http://demo.testpress.in:8080/",
        "https://demo.testpress.in:8443/",
        "https://media.testpress.in/",
        "https://demo.testpress.in.evil.com/",
        "https://demo.testpress.in@evil.com/",
        "http://evil.com/",
        "ws://demo.testpress.in/",
    ],
)
def test_no_other_origin_is_shown_the_token(lib: Any, demo: Demo, drive: Driver, url: str) -> None:
    """O1."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> Any:
        seen.append(request)
        return lib.Response(401)

    assert drive.get(url, auth=demo(), transport=lib.MockTransport(handler)).status_code == 401
    (request,) = seen
    assert "JWT" not in request.headers.get("Authorization", "")


@pytest.mark.parametrize("url", ["https://DEMO.testpress.in/a", "https://demo.testpress.in:443/a"])
def test_the_same_origin_in_other_words_gets_it(lib: Any, demo: Demo, url: str) -> None:
    """O1."""
    mock = Mock(lib, lib.Response(200))
    response = lib.Client(transport=mock.transport, auth=demo()).get(url)
    assert response.request.headers["Authorization"].startswith("JWT ")


# --- what users get wrong


SENT_WITH = [name for name in CALLERS if name.partition("-")[0] in ("requests", *LIBRARIES)]


@pytest.mark.parametrize("client", SENT_WITH)
@pytest.mark.parametrize("made_for", ["requests", *LIBRARIES])
def test_a_page_given_to_another_client_names_the_right_import(made_for: str, client: str, me: str) -> None:
    right = client.partition("-")[0]
    kind, auth = CALLERS[client], CALLERS[made_for].page.TestpressJWTAuth("testpress", "demo", subdomain="demo")
    if made_for == right:
        assert isinstance(auth, kind.page.TestpressJWTAuth)
        return
    with kind(auth) as caller, pytest.raises(ConfigurationError) as caught:
        caller.get(me)
    assert str(caught.value).startswith(f"this TestpressJWTAuth is for {made_for}, and was given a {right}.")
    assert str(caught.value).endswith(f": use `from testpress_auth.{right} import TestpressJWTAuth`")


@pytest.mark.parametrize("other", ["requests", *LIBRARIES])
@pytest.mark.parametrize("made_for", ["requests", *LIBRARIES])
def test_a_client_of_another_library_names_the_right_import(made_for: str, other: str) -> None:
    name = "session" if made_for == "requests" else "client"
    transport = getattr(CALLERS[other].library, "Session" if other == "requests" else "Client")()
    make = partial(CALLERS[made_for].page.TestpressJWTAuth, "testpress", "demo", subdomain="demo")
    if made_for == other:
        assert make(**{name: transport})
        return
    with pytest.raises(ConfigurationError, match=rf"from testpress_auth\.{other} import") as caught:
        make(**{name: transport})
    assert caught.value.setting == name


@pytest.mark.parametrize(("option", "hint"), [({"client": 1}, r"httpx2?\.Client"), ({"session": 1}, "client=")])
def test_a_wrong_argument_is_told(demo: Demo, option: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint):
        demo(**option)


def test_an_error_always_has_a_request(lib: Any, page: Any, server: StandInServer, me: str) -> None:
    auth = page.TestpressJWTAuth("testpress", "wrong", base_url=server.url)
    with pytest.raises(InvalidCredentials) as caught:
        lib.get(me, auth=auth)
    assert str(caught.value.request.url) == me
    with pytest.raises(InvalidCredentials) as caught:
        auth.token()
    assert caught.value.request.url.path == "/api/v2.2/auth-token/"
    assert caught.value.request.content == b""


def test_an_error_after_a_401_has_no_token_in_its_request(
    lib: Any, auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """X1."""
    with lib.Client(auth=auth) as client:
        client.get(me)
        server.revoke_all()
        clock.advance(1)
        server.users["testpress"] = "changed"
        with pytest.raises(InvalidCredentials) as caught:
            client.get(me)
    assert "Authorization" not in caught.value.request.headers


@pytest.mark.anyio
async def test_a_password_callable_runs_in_a_worker_thread(lib: Any, page: Any, server: StandInServer, me: str) -> None:
    import threading

    asked: list[int] = []

    def fetch() -> str:
        asked.append(threading.get_ident())
        return "demo"

    auth = page.TestpressJWTAuth("testpress", fetch, base_url=server.url)
    async with lib.AsyncClient(auth=auth) as client:
        for _ in range(3):
            assert (await client.get(me)).status_code == 200
    assert len(asked) == 1
    assert asked[0] != threading.get_ident()


def test_a_password_callable_that_raises_is_heard(page: Any, server: StandInServer, drive: Driver, me: str) -> None:
    def fetch() -> str:
        raise LookupError("no such secret")

    auth = page.TestpressJWTAuth("testpress", fetch, base_url=server.url)
    with pytest.raises(LookupError, match="no such secret"):
        drive.get(me, auth=auth)
    assert not server.requests
    gc.collect()


# --- two libraries


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in an interpreter of its own, warnings being errors."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_each_library_does_without_the_other(lib: Any) -> None:
    script = (
        "import sys\n"
        f"for other in {{'httpx', 'httpx2'}} - {{{lib.__name__!r}}}:\n"
        "    sys.modules[other] = None\n"
        f"from testpress_auth.{lib.__name__} import TestpressJWTAuth\n"
        "print(TestpressJWTAuth('testpress', 'demo', subdomain='demo'))\n"
    )
    done = run(script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"<testpress_auth.{lib.__name__}.TestpressJWTAuth of 'testpress'")


@pytest.mark.parametrize(
    ("library", "version", "says"),
    [
        ("httpx", (3, 10), "httpx is not installed: pip install 'testpress-auth[httpx]'"),
        ("httpx", (3, 11), "httpx is not installed: pip install 'testpress-auth[httpx]'"),
        ("httpx2", (3, 10), "httpx2 needs Python 3.11 or newer: here, use testpress_auth.httpx"),
        ("httpx2", (3, 11), "httpx2 is not installed: pip install 'testpress-auth[httpx2]'"),
    ],
)
def test_a_missing_library_is_answered_with_what_to_do(library: str, version: tuple[int, int], says: str) -> None:
    script = (
        f"import sys, typing\nsys.modules[{library!r}] = None\nsys.version_info = {version}\n"
        f"import testpress_auth.{library}\n"
    )
    assert run(script).stderr.splitlines()[-1] == f"ImportError: {says}"


if hasattr(CALLERS[LIBRARIES[-1]].library, "alias_httpx"):  # newer ones do

    def test_where_httpx2_stands_in_for_httpx_either_page_serves_it(server: StandInServer, me: str) -> None:
        """`httpx2.alias_httpx()`, for applications that change over."""
        script = (
            "import sys, httpx2\n"
            "httpx2.alias_httpx()\n"
            "import httpx, testpress_auth.httpx, testpress_auth.httpx2\n"
            "for page in (testpress_auth.httpx, testpress_auth.httpx2):\n"
            "    auth = page.TestpressJWTAuth('testpress', 'demo', base_url=sys.argv[1])\n"
            "    assert httpx.get(sys.argv[2], auth=auth).status_code == 200\n"
            "    try:\n"
            "        page.TestpressJWTAuth('testpress', 'wrong', base_url=sys.argv[1]).token()\n"
            "    except httpx.RequestError as error:\n"
            "        assert isinstance(error, page.InvalidCredentials)\n"
        )
        done = run(script, server.url, me)
        assert done.returncode == 0, done.stderr
        assert server.logins == 4


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("TestpressAuthError", "RequestError"),
        ("InvalidCredentials", "RequestError"),
        ("LoginThrottled", "RequestError"),
        ("LoginUnavailable", "TransportError"),
        ("LoginTimeout", "TimeoutException"),
        ("UnexpectedLoginResponse", "RequestError"),
    ],
)
def test_the_errors_of_a_page_are_its_librarys_own(lib: Any, page: Any, name: str, own: str) -> None:
    kind = getattr(page, name)
    error = kind("it went wrong", request=lib.Request("GET", ME))
    assert isinstance(error, getattr(lib, own))
    assert isinstance(error, getattr(testpress_auth, name))
    assert kind.__module__ == page.__name__
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(copy) is kind
    assert str(copy) == "it went wrong"


# --- what the caller sees of answers and requests that went through us


def test_a_refused_answer_still_tells_how_long_it_took(
    drive: Driver, auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """J1: httpx2 asks the answer's stream, which is ours."""
    drive.get(me, auth=auth)
    server.revoke_all()
    clock.advance(1)
    (refused,) = drive.get(me, auth=auth).history
    assert refused.elapsed.total_seconds() > 0


def test_a_network_error_about_the_login_pickles_without_the_password(drive: Driver, lib: Any, demo: Demo) -> None:
    """X1: the client's error has the login as its request."""

    def lost(request: httpx.Request) -> Any:
        raise lib.ConnectError("lost", request=request)

    with pytest.raises(lib.ConnectError) as caught:
        drive.get(ME, auth=demo(), transport=lib.MockTransport(lost))
    pickled = pickle.dumps(caught.value)
    assert b"testpress_auth" not in pickled
    copy = pickle.loads(pickled)  # noqa: S301
    assert (type(copy.request), str(copy.request.url), copy.request.content) == (lib.Request, LOGIN, b"")
