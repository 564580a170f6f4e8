"""What is particular to requests: its ways to pass auth, its hooks, redirects and netrc, its mocks, `session=`."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import requests_mock as rm
import responses
from requests.adapters import HTTPAdapter

from testpress_auth import ConfigurationError, InvalidCredentials, LoginTimeout, LoginUnavailable
from testpress_auth.requests import TestpressJWTAuth
from testpress_auth.testing import StandInServer

from .clock import ManualClock
from .tokens import make_token

HOST = "https://demo.testpress.in"
LOGIN = f"{HOST}/api/v2.2/auth-token/"
ME = f"{HOST}/api/v2.2/me/"


@pytest.fixture
def auth(server: StandInServer, clock: ManualClock) -> TestpressJWTAuth:
    return TestpressJWTAuth("testpress", "demo", base_url=server.url, _clock=clock.local)


def demo(**options: Any) -> TestpressJWTAuth:
    return TestpressJWTAuth("testpress", "demo", subdomain="demo", **options)


# --- every way to pass it


def test_it_works_wherever_requests_takes_an_auth(auth: TestpressJWTAuth, server: StandInServer, me: str) -> None:
    assert requests.get(me, auth=auth, timeout=5).status_code == 200
    with requests.Session() as session:
        assert session.get(me).status_code == 401
        assert session.get(me, auth=auth).status_code == 200
        session.auth = auth
        assert session.get(me).status_code == 200
        assert session.get(me, auth=("basic", "x")).status_code == 401
        prepared = session.prepare_request(requests.Request("GET", me))
        assert session.send(prepared).status_code == 200
        bare = requests.Request("GET", me).prepare()
        assert session.send(auth(bare)).status_code == 200
        assert session.send(auth(auth(bare))).status_code == 200
        assert len(bare.hooks["response"]) == 1
    assert server.logins == 1


def test_a_streamed_answer_is_not_read_ahead(auth: TestpressJWTAuth, me: str) -> None:
    with requests.get(me, auth=auth, stream=True, timeout=5) as response:
        assert not response._content_consumed  # type: ignore[attr-defined]
        assert response.raw.read(1) == b"{"


def test_a_streamed_401_that_is_handed_over_is_not_read_either(
    auth: TestpressJWTAuth, server: StandInServer, me: str
) -> None:
    server.fail_requests(2, status=401, body=b"why")
    requests.get(me, auth=auth, timeout=5)
    server.fail_requests(1, status=401, body=b"why")
    with requests.get(me, auth=auth, stream=True, timeout=5) as response:
        assert not response._content_consumed  # type: ignore[attr-defined]
        assert response.raw.read() == b"why"


def test_a_prepared_request_sent_again_much_later_carries_a_new_token(
    auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """J1: its own token is old, and the later one at hand may be refused too: one login and once more."""
    with requests.Session() as session:
        session.auth = auth
        prepared = session.prepare_request(requests.Request("GET", me))
        assert session.send(prepared).status_code == 200
        server.revoke_all()
        clock.advance(1)
        assert session.get(me).status_code == 200
        server.forget()
        server.revoke_all()
        clock.advance(1)
        answer = session.send(prepared)
    assert answer.status_code == 200
    assert [earlier.status_code for earlier in answer.history] == [401, 401]
    assert server.logins == 1


def test_a_later_token_at_hand_is_used_without_a_login(
    auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """J1."""
    with requests.Session() as session:
        prepared = session.prepare_request(requests.Request("GET", me, auth=auth))
        session.send(prepared)
        server.revoke_all()
        clock.advance(1)
        session.get(me, auth=auth)
        server.forget()
        answer = session.send(prepared)
    assert (answer.status_code, len(answer.history), server.logins) == (200, 1, 0)


# --- hooks and redirects


def test_the_users_hook_sees_the_answer_after_ours_has_mended_it(
    auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """J1: `raise_for_status` is a common hook."""
    seen: list[int] = []

    def hook(response: requests.Response, **_: Any) -> None:
        seen.append(response.status_code)
        response.raise_for_status()

    with requests.Session() as session:
        session.auth = auth
        session.hooks["response"].append(hook)
        session.get(me)
        server.revoke_all()
        clock.advance(1)
        assert session.get(me).status_code == 200
        server.revoke_all()
        clock.advance(1)
        prepared = requests.Request("GET", me, hooks={"response": [hook]}).prepare()
        assert session.send(auth(prepared)).status_code == 200
    assert seen == [200, 200, 200]


def test_a_redirect_after_a_replay_carries_the_new_token(
    auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    requests.get(me, auth=auth, timeout=5)
    server.revoke_all()
    clock.advance(1)
    server.forget()
    server.fail_requests(1, status=401)
    server.fail_requests(1, status=302, headers={"Location": me})
    answer = requests.get(f"{server.url}/start/", auth=auth, timeout=5)
    assert answer.status_code == 200
    assert [request.status for request in server.api_requests] == [401, 302, 200]
    assert server.logins == 1


def test_netrc_gets_in_the_way_of_neither_login_nor_redirect(
    auth: TestpressJWTAuth,
    server: StandInServer,
    elsewhere: StandInServer,
    me: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """L1; and J5: on the hop that comes home requests puts netrc's header in place of ours."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.fail_requests(1, status=302, headers={"Location": f"{elsewhere.url}/away/"})
    elsewhere.fail_requests(1, status=302, headers={"Location": me})
    answer = requests.get(f"{server.url}/start/", auth=auth, timeout=5)
    assert answer.status_code == 200
    assert [request.header("Authorization") for request in server.login_requests] == [None]
    assert [(request.header("Authorization") or "")[:5] for request in server.api_requests] == [
        "JWT e",
        "Basic",
        "JWT e",
    ]


def test_a_cookie_that_the_login_sets_is_kept_by_nobody(server: StandInServer, me: str) -> None:
    """L1: except in a given session."""
    token = make_token()
    for given in (None, requests.Session()):
        server.fail_logins(1, status=200, body={"token": token}, headers={"Set-Cookie": "seen=1; Path=/"})
        with requests.Session() as session:
            session.auth = TestpressJWTAuth("testpress", "demo", base_url=server.url, session=given)
            session.get(me)
            assert not session.cookies
        if given is not None:
            assert given.cookies["seen"] == "1"
            given.close()
    assert all(request.header("Cookie") is None for request in server.api_requests)


# --- session=


class Marking(HTTPAdapter):
    """An adapter that notes what goes through it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:  # type: ignore[override]
        self.sent.append((request.url or "", how))
        return super().send(request, **how)


class Answering(HTTPAdapter):
    """An adapter of a user's own, which answers without a connection."""

    def __init__(self, raw: Any, content: bytes) -> None:
        super().__init__()
        self.raw, self.content = raw, content

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:  # type: ignore[override]
        response = requests.Response()
        response.status_code, response.url, response.request = 200, str(request.url), request
        response.raw = self.raw
        if self.raw is None:
            response._content = self.content
        return response


@pytest.mark.parametrize("kind", ["a file", "nothing"])
def test_the_login_s_answer_may_come_from_an_adapter_without_a_connection(kind: str) -> None:
    body = json.dumps({"token": make_token()}).encode()
    with requests.Session() as session:
        session.mount("https://", Answering(io.BytesIO(body) if kind == "a file" else None, body))
        auth = TestpressJWTAuth("testpress", "demo", subdomain="demo", session=session)
        assert auth.token().expires_at is not None


def test_a_given_session_lends_its_adapters_but_not_its_auth_headers_cookies_or_hooks(
    server: StandInServer, me: str
) -> None:
    """L2: so its own auth may be this very object."""
    called: list[str] = []
    with requests.Session() as session:
        adapter = Marking()
        session.mount("http://", adapter)
        session.headers["X-Own"] = "1"
        session.cookies["own"] = "1"
        session.hooks["response"].append(lambda response, **_: called.append(response.url))
        session.verify = False
        session.auth = TestpressJWTAuth("testpress", "demo", base_url=server.url, session=session)
        assert session.get(me).status_code == 200
        session.auth.logout()
    (login,) = server.login_requests
    assert [login.header(name) for name in ("X-Own", "Cookie", "Authorization")] == [None, None, None]
    assert called == [me]
    assert [url.rpartition("/api/")[2] for url, _ in adapter.sent] == [
        "v2.2/auth-token/",
        "v2.2/me/",
        "v2.4/auth/logout/",
    ]
    assert adapter.sent[0][1]["verify"] is False
    assert adapter.sent[0][1]["stream"] is True


def test_the_login_honours_the_environments_proxy(server: StandInServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """L2: the stand-in plays the proxy: it is asked for an absolute URL."""
    monkeypatch.setenv("http_proxy", server.url)
    auth = TestpressJWTAuth("testpress", "demo", base_url="http://lms.example.com", allow_http=True)
    with pytest.raises(requests.RequestException):
        auth.token()
    assert server.requests[0].path == "http://lms.example.com/api/v2.2/auth-token/"


# --- bodies that are files


class OneWay(io.RawIOBase):
    """A file that says it is at 3, and cannot be moved."""

    def __init__(self, inner: io.BytesIO) -> None:
        self.inner = inner

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.inner)

    def read(self, size: int = -1) -> bytes:
        return self.inner.read(size)

    def tell(self) -> int:
        return self.inner.tell()

    def seek(self, *_: int) -> int:
        raise OSError("cannot")


def revoked(auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock) -> str:
    requests.get(f"{server.url}/api/v2.2/me/", auth=auth, timeout=5)
    server.revoke_all()
    clock.advance(1)
    server.forget()
    return f"{server.url}/api/v2.2/echo/"


def test_a_file_is_rewound_to_where_it_stood(auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock) -> None:
    """J2."""
    echo = revoked(auth, server, clock)
    file = io.BytesIO(b"0123456789")
    file.seek(3)
    answer = requests.post(echo, data=file, auth=auth, timeout=5)
    assert answer.content == b"3456789"
    assert [request.body for request in server.api_requests] == [b"3456789"] * 2


def test_a_file_that_cannot_be_rewound_hands_the_401_over(
    auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock
) -> None:
    """J2."""
    echo = revoked(auth, server, clock)
    file = io.BytesIO(b"0123456789")
    file.seek(3)
    answer = requests.post(echo, data=OneWay(file), auth=auth, timeout=5)
    assert (answer.status_code, answer.history) == (401, [])
    assert [request.body for request in server.api_requests] == [b"3456789"]


# --- mocks


def test_it_works_under_requests_mock(requests_mock: rm.Mocker) -> None:
    tokens = [make_token(), make_token(user_id=2)]
    requests_mock.post(LOGIN, [{"json": {"token": token}} for token in tokens])
    requests_mock.get(ME, [{"json": {"ok": 1}}, {"status_code": 401}, {"json": {"ok": 2}}])
    auth = demo()
    assert requests.get(ME, auth=auth, timeout=5).json() == {"ok": 1}
    answer = requests.get(ME, auth=auth, timeout=5)
    assert answer.json() == {"ok": 2}
    assert [earlier.status_code for earlier in answer.history] == [401]
    sent = [request.headers.get("Authorization") for request in requests_mock.request_history]
    # The refused request shows the new token: requests would build a redirect from it.
    assert sent == [None, f"JWT {tokens[0]}", f"JWT {tokens[1]}", None, f"JWT {tokens[1]}"]
    assert requests_mock.request_history[0].json() == {"username": "testpress", "password": "demo"}


@responses.activate
def test_it_works_under_responses() -> None:
    responses.post(LOGIN, json={"token": make_token()})
    responses.post(LOGIN, json={"token": make_token(user_id=2)})
    responses.get(ME, json={"ok": 1})
    responses.get(ME, status=401)
    responses.get(ME, json={"ok": 2})
    auth = demo()
    assert requests.get(ME, auth=auth, timeout=5).json() == {"ok": 1}
    answer = requests.get(ME, auth=auth, timeout=5)
    assert answer.status_code in (200, 401)
    assert answer.status_code == 200
    assert json.loads(responses.calls[0].request.body or "") == {"username": "testpress", "password": "demo"}


@pytest.mark.parametrize("port", ["", ":80"])
def test_plain_http_to_our_host_becomes_https(requests_mock: rm.Mocker, port: str) -> None:
    """O2: Testpress's older `next` links are http."""
    requests_mock.post(LOGIN, json={"token": make_token()})
    requests_mock.get(f"{ME}?page=2", json={"ok": 1})
    answer = requests.get(f"http://demo.testpress.in{port}/api/v2.2/me/?page=2", auth=demo(), timeout=5)
    assert answer.json() == {"ok": 1}
    assert requests_mock.request_history[-1].url == f"{ME}?page=2"
    assert requests_mock.request_history[-1].headers["Authorization"].startswith("JWT ")


@pytest.mark.parametrize(
    "url",
    [
        "http://demo.testpress.in:8080/",
        "https://demo.testpress.in:8443/",
        "https://media.testpress.in/",
        "https://demo.testpress.in.evil.com/",
        "https://demo.testpress.in@evil.com/",
        "https://evil.com/https://demo.testpress.in/",
        "http://evil.com/",
    ],
)
def test_no_other_origin_is_shown_the_token(requests_mock: rm.Mocker, url: str) -> None:
    """O1."""
    requests_mock.get(rm.ANY, status_code=401)
    assert requests.get(url, auth=demo(), timeout=5).status_code == 401
    (request,) = requests_mock.request_history
    assert "Authorization" not in request.headers
    assert request.hostname != "testpress.in"


@pytest.mark.parametrize("url", ["https://DEMO.testpress.in/a", "https://demo.testpress.in:443/a"])
def test_the_same_origin_in_other_words_gets_it(requests_mock: rm.Mocker, url: str) -> None:
    """O1."""
    requests_mock.post(LOGIN, json={"token": make_token()})
    requests_mock.get(rm.ANY, json={})
    requests.get(url, auth=demo(), timeout=5)
    assert requests_mock.request_history[-1].headers["Authorization"].startswith("JWT ")


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (requests.exceptions.ConnectTimeout, LoginTimeout),
        (requests.exceptions.ReadTimeout, LoginTimeout),
        (requests.exceptions.SSLError("bad certificate demo"), LoginUnavailable),
        (requests.exceptions.ProxyError(OSError(111, "Connection refused")), LoginUnavailable),
    ],
)
def test_a_failure_of_the_network_is_told_in_the_systems_words(
    requests_mock: rm.Mocker, clock: ManualClock, raised: Any, expected: type[Exception]
) -> None:
    """L4, L6: and tried three times, where it is not the deadline that passed."""
    requests_mock.post(LOGIN, exc=raised)
    with pytest.raises(expected) as caught:
        requests.get(ME, auth=demo(_clock=clock.local), timeout=5)
    assert isinstance(caught.value, requests.ConnectionError)
    assert caught.value.request is not None
    assert caught.value.request.url == ME
    assert "bad certificate" not in str(caught.value), "a text of unknown origin is not repeated"
    assert ("Connection refused" in str(caught.value)) is ("ProxyError" in str(caught.value))
    assert requests_mock.call_count == (1 if expected is LoginTimeout else 3)


def test_a_login_that_nobody_mocked_is_told_by_the_mock(requests_mock: rm.Mocker) -> None:
    with pytest.raises(rm.NoMockAddress):
        requests.get(ME, auth=demo(), timeout=5)


# --- what users get wrong


def test_an_httpx_request_gets_a_clear_error(auth: TestpressJWTAuth) -> None:
    with pytest.raises(ConfigurationError, match=r"from testpress_auth.httpx import TestpressJWTAuth"):
        httpx.get("http://127.0.0.1:9/", auth=auth)  # type: ignore[arg-type]


def test_an_unprepared_request_gets_a_clear_error(auth: TestpressJWTAuth) -> None:
    with pytest.raises(ConfigurationError, match="prepare it first"):
        auth(requests.PreparedRequest())


@pytest.mark.parametrize(
    ("option", "hint"),
    [({"session": 1}, "requests.Session"), ({"client": httpx}, "session="), ({"store": {}}, "MemoryStore")],
)
def test_a_wrong_argument_is_told(option: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint):
        demo(**option)


def test_the_request_of_an_error_has_neither_token_nor_hook(
    auth: TestpressJWTAuth, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """X1: a pickled error must not carry the auth object along."""
    requests.get(me, auth=auth, timeout=5)
    server.revoke_all()
    clock.advance(1)
    server.users["testpress"] = "changed"
    with pytest.raises(InvalidCredentials) as caught:
        requests.get(me, auth=auth, timeout=5)
    request: requests.PreparedRequest = caught.value.request
    assert request.url == me
    assert "Authorization" not in request.headers
    assert request.hooks == {"response": []}


def test_no_thread_is_left_behind(auth: TestpressJWTAuth, me: str) -> None:
    before = set(threading.enumerate())
    requests.get(me, auth=auth, timeout=5)
    assert not [each for each in threading.enumerate() if each not in before and "StandIn" not in each.name]
