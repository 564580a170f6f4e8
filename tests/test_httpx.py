"""What is particular to httpx: its ways to pass auth, the login on its way through the caller's client, its mocks."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import httpx
import pytest
import requests
import respx
from pytest_httpx import HTTPXMock

from testpress_auth import ConfigurationError, InvalidCredentials, LoginThrottled
from testpress_auth.httpx import LoginTimeout, TestpressJWTAuth, UnexpectedLoginResponse
from testpress_auth.testing import StandInServer

from .clock import ManualClock
from .tokens import make_token

HOST = "https://demo.testpress.in"
LOGIN = f"{HOST}/api/v2.2/auth-token/"
ME = f"{HOST}/api/v2.2/me/"
Handler = Callable[[httpx.Request], httpx.Response]
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def auth(server: StandInServer, clock: ManualClock) -> TestpressJWTAuth:
    return TestpressJWTAuth("testpress", "demo", base_url=server.url, _clock=clock.local)


def demo(**options: Any) -> TestpressJWTAuth:
    return TestpressJWTAuth("testpress", "demo", subdomain="demo", **options)


class Mock:
    """A MockTransport that answers logins with tokens and calls from a list, and notes what it was asked."""

    def __init__(self, *answers: httpx.Response, login: Handler | None = None) -> None:
        self.answers = list(answers)
        self.login = login
        self.asked: list[tuple[str, str, bytes]] = []
        self.tokens = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.method, str(request.url), request.content))
        if request.url.path.endswith("/auth-token/"):
            if self.login is not None:
                return self.login(request)
            self.tokens += 1
            return httpx.Response(200, json={"token": make_token(user_id=self.tokens)})
        return self.answers.pop(0) if self.answers else httpx.Response(200, json={"ok": True})

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)


class Driver:
    """Call once with a new client, sync or async, so that a test reads the same for both."""

    def __init__(self, backend: str) -> None:
        self.backend = backend

    def get(self, url: str, *, follow_redirects: bool = False, **client: Any) -> httpx.Response:
        if self.backend == "sync":
            hooks = client.pop("hooks", {})
            with httpx.Client(event_hooks=hooks, verify=False, **client) as sync:  # noqa: S501
                return sync.get(url, follow_redirects=follow_redirects)
        hooks = {event: [_awaitable(hook) for hook in hooks] for event, hooks in client.pop("hooks", {}).items()}

        async def run() -> httpx.Response:
            async with httpx.AsyncClient(event_hooks=hooks, verify=False, **client) as asynchronous:  # noqa: S501
                return await asynchronous.get(url, follow_redirects=follow_redirects)

        return anyio.run(run, backend=self.backend)


def _awaitable(hook: Callable[[Any], Any]) -> Callable[[Any], Any]:
    async def awaited(what: Any) -> None:
        if isinstance(what, httpx.Request):
            await what.aread()
        hook(what)

    return awaited


@pytest.fixture(params=["sync", "asyncio", "trio"])
def drive(request: pytest.FixtureRequest) -> Driver:
    return Driver(request.param)


# --- every way to pass it


def test_it_works_wherever_httpx_takes_an_auth(auth: TestpressJWTAuth, server: StandInServer, me: str) -> None:
    assert httpx.get(me, auth=auth).status_code == 200
    with httpx.Client(auth=auth) as client:
        assert client.get(me).status_code == 200
        assert client.get(me, auth=None).status_code == 401
        assert client.send(client.build_request("GET", me)).status_code == 200
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/api/v2.2/me/", auth=auth).status_code == 200
    assert server.logins == 1


def test_a_streamed_answer_is_not_read_ahead(
    auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    with httpx.Client(auth=auth) as client:
        for _ in range(2):
            with client.stream("GET", me) as response:
                assert not response.is_stream_consumed
                assert json.loads(response.read())["id"] == 1
            server.revoke_all()
            clock.advance(1)
    assert server.logins == 2


@pytest.mark.anyio
async def test_an_async_stream_is_not_read_ahead(auth: TestpressJWTAuth, me: str) -> None:
    async with httpx.AsyncClient(auth=auth) as client, client.stream("GET", me) as response:
        assert not response.is_stream_consumed
        assert (await response.aread()).startswith(b"{")


def test_one_object_serves_sync_and_async_clients(auth: TestpressJWTAuth, server: StandInServer, me: str) -> None:
    """S1."""
    for backend in ("sync", "asyncio", "trio", "asyncio"):
        assert Driver(backend).get(me, auth=auth).status_code == 200
    assert server.logins == 1


# --- the login through the caller's client


def test_the_callers_transport_serves_the_login_too(drive: Driver) -> None:
    """L2: so a MockTransport just works, and the login's answer is in no history."""
    mock = Mock(httpx.Response(200), httpx.Response(401), httpx.Response(200, json={"ok": 2}))
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


def test_the_login_brings_its_own_timeout(drive: Driver) -> None:
    """L4: httpx gives none to what a flow yields."""
    seen: list[Any] = []

    def login(request: httpx.Request) -> httpx.Response:
        seen.append(dict(request.extensions["timeout"]))
        return httpx.Response(200, json={"token": make_token()})

    drive.get(ME, auth=demo(timeout=7), transport=Mock(login=login).transport)
    assert seen == [{"connect": 7.0, "read": 7.0, "write": 7.0, "pool": 7.0}]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("reading", [False, True])
@pytest.mark.parametrize("target", ["https://evil.example/take", "http://demo.testpress.in/api/v2.2/auth-token/"])
def test_a_client_that_follows_redirects_sends_the_password_once(
    drive: Driver, status: int, reading: bool, target: str
) -> None:
    """L3: under a mock, which reads requests, and with a hook that reads them."""

    def login(request: httpx.Request) -> httpx.Response:
        if str(request.url) == LOGIN:
            return httpx.Response(status, headers={"Location": target})
        return httpx.Response(200, json={"token": make_token()})

    mock = Mock(login=login)
    hooks = {"request": [lambda request: request.read() if isinstance(request.stream, httpx.SyncByteStream) else None]}
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
    auth: TestpressJWTAuth, server: StandInServer, me: str
) -> None:
    """L2: a sync flow sees the cause; the refusal is remembered (L7), and httpx's own error has no password."""
    auth = TestpressJWTAuth("testpress", "wrong", base_url=server.url)
    hooks = {"response": [httpx.Response.raise_for_status]}
    with httpx.Client(auth=auth, event_hooks=hooks) as client:
        with pytest.raises(httpx.HTTPStatusError) as caught:
            client.get(me)
        assert caught.value.request.content == b""
        assert "content-length" not in caught.value.request.headers
        with pytest.raises(InvalidCredentials):
            client.get(me)
        assert server.logins == 1


@pytest.mark.parametrize(("status", "logins", "error"), [(503, 2, None), (429, 1, LoginThrottled), (302, 2, None)])
def test_a_hook_that_raises_on_a_failed_login_is_not_tried_again(
    auth: TestpressJWTAuth, server: StandInServer, me: str, status: int, logins: int, error: type[Exception] | None
) -> None:
    server.fail_logins(1, status=status, headers={"Retry-After": "60"})
    hooks = {"response": [httpx.Response.raise_for_status]}
    with httpx.Client(auth=auth, event_hooks=hooks) as client:
        with pytest.raises(httpx.HTTPStatusError):
            client.get(me)
        if error is None:
            assert client.get(me).status_code == 200
        else:
            with pytest.raises(error):
                client.get(me)
    assert server.logins == logins


@pytest.mark.parametrize("wrapping", [False, True])
def test_an_async_hook_that_raises_on_the_login_tells_us_too(server: StandInServer, me: str, wrapping: bool) -> None:
    """L2, L7: the flow hears what the client is raising, also where the hook wraps it in an error of its own."""
    auth = TestpressJWTAuth("testpress", "wrong", base_url=server.url)
    server.login_latency = 0.05
    found: list[type[BaseException]] = []

    class Mine(Exception):
        pass

    async def raise_for_status(response: httpx.Response) -> None:
        try:
            response.raise_for_status()
        except httpx.HTTPStatusError as error:
            if not wrapping:
                raise
            raise Mine from error

    async def one(client: httpx.AsyncClient) -> None:
        try:
            await client.get(me)
        except (Mine, httpx.HTTPError) as error:
            found.append(type(error))

    async def run() -> None:
        hooks = {"response": [raise_for_status]}
        async with httpx.AsyncClient(auth=auth, event_hooks=hooks) as client, anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(one, client)

    anyio.run(run)
    assert server.logins == 1
    assert sorted(kind.__name__ for kind in found) == sorted(
        ["Mine" if wrapping else "HTTPStatusError"] + ["InvalidCredentials"] * 9
    )


def test_a_hook_that_raises_on_a_401_still_tells_that_the_token_is_refused(
    auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """L2: sync; the next request logs in."""
    hooks = {"response": [httpx.Response.raise_for_status]}
    with httpx.Client(auth=auth, event_hooks=hooks) as client:
        for _ in range(2):
            client.get(me)
        for hot in (True, False):
            server.revoke_all()
            clock.advance(1)
            with pytest.raises(httpx.HTTPStatusError):
                client.get(me)
            assert client.get(me).status_code == 200, hot
    assert server.logins == 3


def test_a_hook_that_reads_answers_is_no_hindrance(
    drive: Driver, auth: TestpressJWTAuth, server: StandInServer, me: str
) -> None:
    if drive.backend == "sync":
        with httpx.Client(auth=auth, event_hooks={"response": [httpx.Response.read]}) as client:
            assert client.get(me).status_code == 200
        return

    async def run() -> None:
        async with httpx.AsyncClient(auth=auth, event_hooks={"response": [httpx.Response.aread]}) as client:
            assert (await client.get(me)).status_code == 200

    anyio.run(run, backend=drive.backend)


def test_a_large_answer_that_a_hook_has_read_is_refused_too(
    auth: TestpressJWTAuth, server: StandInServer, me: str
) -> None:
    """L4."""
    server.fail_logins(1, status=200, body=b" " * 70_000)
    with (
        httpx.Client(auth=auth, event_hooks={"response": [httpx.Response.read]}) as client,
        pytest.raises(UnexpectedLoginResponse, match="64 KiB"),
    ):
        client.get(me)


def test_one_connection_is_enough_in_a_storm(
    auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """J1: a refused answer gives its connection back before anyone waits."""
    server.latency = 0.01

    async def run() -> list[int]:
        found: list[int] = []
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(auth=auth, limits=limits, timeout=5) as client:
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


def test_a_body_that_stops_coming_ends_the_login(drive: Driver, clock: ManualClock) -> None:
    """L4: the body ends with the deadline."""

    class Dripping(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                clock.advance(1)
                yield b" "

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(60):
                clock.advance(1)
                yield b" "

    mock = Mock(login=lambda _: httpx.Response(200, stream=Dripping()))
    with pytest.raises(LoginTimeout) as caught:
        drive.get(ME, auth=demo(_clock=clock.local), transport=mock.transport)
    assert caught.value.timeout == 10


# --- client=


def test_a_given_client_sends_the_login_instead(auth: TestpressJWTAuth, server: StandInServer, me: str) -> None:
    """L2: without its auth, headers and cookies."""
    with httpx.Client(headers={"X-Own": "1"}, cookies={"own": "1"}) as way:
        auth = TestpressJWTAuth("testpress", "demo", base_url=server.url, client=way)
        way.auth = auth
        mock = Mock()
        with httpx.Client(auth=auth, transport=mock.transport) as client:
            client.get(me)
        assert way.get(me).status_code == 200
        auth.logout()
    assert [url for _, url, _ in mock.asked] == [me]
    (login,) = server.login_requests
    assert [login.header(name) for name in ("X-Own", "Cookie", "Authorization")] == [None, None, None]


def test_a_given_async_client_sends_the_login_instead(server: StandInServer, me: str) -> None:
    async def run() -> None:
        async with httpx.AsyncClient() as way:
            auth = TestpressJWTAuth("testpress", "demo", base_url=server.url, client=way)
            async with httpx.AsyncClient(auth=auth, transport=Mock().transport) as client:
                await client.get(me)
            await auth.alogout()
            with pytest.raises(ConfigurationError, match=r"httpx\.Client"):
                auth.token()

    anyio.run(run)
    assert server.logins == 1


def test_a_sync_client_does_not_serve_async_calls(server: StandInServer) -> None:
    with httpx.Client() as way:
        auth = TestpressJWTAuth("testpress", "demo", base_url=server.url, client=way)
        with pytest.raises(ConfigurationError, match=r"httpx\.AsyncClient"):
            anyio.run(auth.atoken)
    assert not server.requests


@pytest.mark.parametrize("backend", ["sync", "asyncio", "trio"])
@pytest.mark.parametrize("redirected", [True, False])
def test_a_given_client_with_hooks_of_its_own_is_understood(
    server: StandInServer, backend: str, redirected: bool
) -> None:
    """L7: what its `raise_for_status` hook did not let pass is read all the same."""
    if redirected:
        server.fail_logins(1, status=302, headers={"Location": "/elsewhere/"})

    async def raise_for_status(response: httpx.Response) -> None:
        response.raise_for_status()

    expected = UnexpectedLoginResponse if redirected else InvalidCredentials
    if backend == "sync":
        with httpx.Client(event_hooks={"response": [httpx.Response.raise_for_status]}) as way:
            auth = TestpressJWTAuth("testpress", "wrong", base_url=server.url, client=way)
            with pytest.raises(expected):
                auth.token()
        return

    async def run() -> None:
        async with httpx.AsyncClient(event_hooks={"response": [raise_for_status]}) as client:
            auth = TestpressJWTAuth("testpress", "wrong", base_url=server.url, client=client)
            with pytest.raises(expected):
                await auth.atoken()

    anyio.run(run, backend=backend)


def test_each_phase_gets_what_is_left(clock: ManualClock) -> None:
    """L4, where we send the login: httpcore asks for each phase's timeout when the phase begins."""
    asked: list[float] = []

    def login(request: httpx.Request) -> httpx.Response:
        for phase in ("connect", "write", "read"):
            asked.append(request.extensions["timeout"].get(phase))
            clock.advance(3)
        assert request.extensions["timeout"].get("unknown", 5) == 5
        return httpx.Response(200, json={"token": make_token()})

    with httpx.Client(transport=Mock(login=login).transport) as way:
        demo(client=way, _clock=clock.local).token()
    assert asked == [10, 7, 4]


# --- bodies


def test_multipart_from_a_file_that_cannot_be_rewound_hands_the_401_over(
    auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """J2: httpx would send it empty."""

    class OneWay(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

    with httpx.Client(auth=auth) as client:
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
    auth = demo()
    assert httpx.get(ME, auth=auth).status_code == 200
    assert [earlier.status_code for earlier in httpx.get(ME, auth=auth).history] == [401]
    assert json.loads(respx_mock.calls[0].request.content) == {"username": "testpress", "password": "demo"}


def test_it_works_under_pytest_httpx(httpx_mock: HTTPXMock) -> None:
    for user in (1, 2):
        httpx_mock.add_response(url=LOGIN, method="POST", json={"token": make_token(user_id=user)})
    for status in (200, 401, 200):
        httpx_mock.add_response(url=ME, status_code=status)
    auth = demo()
    assert httpx.get(ME, auth=auth).status_code == 200
    assert [earlier.status_code for earlier in httpx.get(ME, auth=auth).history] == [401]
    assert json.loads(httpx_mock.get_requests()[0].content) == {"username": "testpress", "password": "demo"}


def test_it_works_over_wsgi() -> None:
    def application(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        size = int(environ.get("CONTENT_LENGTH") or 0)
        sent = environ["wsgi.input"].read(size)
        start("200 OK", [("Content-Type", "application/json")])
        if environ["PATH_INFO"].endswith("/auth-token/"):
            assert json.loads(sent)["password"] == "demo"
            return [json.dumps({"token": make_token()}).encode()]
        return [json.dumps(environ.get("HTTP_AUTHORIZATION")).encode()]

    with httpx.Client(transport=httpx.WSGITransport(application), auth=demo()) as client:
        assert client.get(ME).json().startswith("JWT ")


@pytest.mark.parametrize("port", ["", ":80"])
def test_plain_http_to_our_host_becomes_https(drive: Driver, port: str) -> None:
    """O2: Testpress's older `next` links are http."""
    mock = Mock()
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
def test_no_other_origin_is_shown_the_token(drive: Driver, url: str) -> None:
    """O1."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(401)

    assert drive.get(url, auth=demo(), transport=httpx.MockTransport(handler)).status_code == 401
    (request,) = seen
    assert "JWT" not in request.headers.get("Authorization", "")


@pytest.mark.parametrize("url", ["https://DEMO.testpress.in/a", "https://demo.testpress.in:443/a"])
def test_the_same_origin_in_other_words_gets_it(url: str) -> None:
    """O1."""
    mock = Mock(httpx.Response(200))
    response = httpx.Client(transport=mock.transport, auth=demo()).get(url)
    assert response.request.headers["Authorization"].startswith("JWT ")


# --- what users get wrong


def test_requests_gets_a_clear_error(auth: TestpressJWTAuth) -> None:
    with pytest.raises(ConfigurationError, match=r"from testpress_auth\.requests import TestpressJWTAuth"):
        requests.get("http://127.0.0.1:9/", auth=auth, timeout=1)


@pytest.mark.parametrize(("option", "hint"), [({"client": 1}, r"httpx\.Client"), ({"session": 1}, "client=")])
def test_a_wrong_argument_is_told(option: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint):
        demo(**option)


def test_an_error_always_has_a_request(server: StandInServer, me: str) -> None:
    auth = TestpressJWTAuth("testpress", "wrong", base_url=server.url)
    with pytest.raises(InvalidCredentials) as caught:
        httpx.get(me, auth=auth)
    assert str(caught.value.request.url) == me
    with pytest.raises(InvalidCredentials) as caught:
        auth.token()
    assert caught.value.request.url.path == "/api/v2.2/auth-token/"
    assert caught.value.request.content == b""


def test_an_error_after_a_401_has_no_token_in_its_request(
    auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """X1."""
    with httpx.Client(auth=auth) as client:
        client.get(me)
        server.revoke_all()
        clock.advance(1)
        server.users["testpress"] = "changed"
        with pytest.raises(InvalidCredentials) as caught:
            client.get(me)
    assert "Authorization" not in caught.value.request.headers


@pytest.mark.anyio
async def test_a_password_callable_runs_in_a_worker_thread(server: StandInServer, me: str) -> None:
    import threading

    asked: list[int] = []

    def fetch() -> str:
        asked.append(threading.get_ident())
        return "demo"

    auth = TestpressJWTAuth("testpress", fetch, base_url=server.url)
    async with httpx.AsyncClient(auth=auth) as client:
        for _ in range(3):
            assert (await client.get(me)).status_code == 200
    assert len(asked) == 1
    assert asked[0] != threading.get_ident()


def test_a_password_callable_that_raises_is_heard(server: StandInServer, drive: Driver, me: str) -> None:
    def fetch() -> str:
        raise LookupError("no such secret")

    auth = TestpressJWTAuth("testpress", fetch, base_url=server.url)
    with pytest.raises(LookupError, match="no such secret"):
        drive.get(me, auth=auth)
    assert not server.requests
    gc.collect()
