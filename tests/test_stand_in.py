"""The stand-in server says what Testpress says, over real HTTP, and can be told to misbehave."""

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import jwt
import pytest

from testpress_auth.testing import Recorded, StandInServer

NOW = 1_447_833_229.9  # the moment of the documented sample token, and not a whole second
GOOD = {"username": "testpress", "password": "demo"}
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
LOGIN = "/api/v2.2/auth-token/"
ME = "/api/v2.5/me/"
CHALLENGE = {"WWW-Authenticate": 'JWT realm="api"'}


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


def call(
    server: StandInServer, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Reply:
    """Send one request over a connection of its own; a dict is sent as JSON."""
    if isinstance(body, dict):
        body, headers = json.dumps(body), {**JSON, **(headers or {})}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Reply(response.status, response.headers, response.read())
    finally:
        connection.close()


def log_in(server: StandInServer, username: str = "testpress", password: str = "demo") -> str:
    reply = call(server, "POST", LOGIN, {"username": username, "password": password})
    assert reply.status == 200, reply
    token: str = reply.data["token"]
    return token


def me(server: StandInServer, token: str) -> Reply:
    return call(server, "GET", ME, headers={"Authorization": f"JWT {token}"})


def stand_in_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("StandInServer")]


@pytest.fixture
def server() -> Iterator[StandInServer]:
    with StandInServer(clock=lambda: NOW) as running:
        yield running


# --- every answer: request -> status, headers, body ---------------------------------------------------------

MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\ntestpress\r\n'
    b'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\nwrong\r\n--x--\r\n'
)
WRONG = {"non_field_errors": ["Unable to log in with provided credentials."]}
REQUIRED, BLANK, NULL = ([f"This field {text}."] for text in ("is required", "may not be blank", "may not be null"))
NOT_TEXT = ["Not a valid string."]

LOGIN_ANSWERS: dict[str, tuple[Any, dict[str, str], int, Any]] = {
    "wrong password": ({**GOOD, "password": "x"}, {}, 400, WRONG),
    "unknown user": ({**GOOD, "username": "x"}, {}, 400, WRONG),
    "wrong password, multipart": (
        MULTIPART,
        {"Content-Type": "multipart/form-data; boundary=x"},
        400,
        WRONG,
    ),
    "wrong password, form": ("username=testpress&password=x", FORM, 400, WRONG),
    "nothing sent": (None, {}, 400, {"username": REQUIRED, "password": REQUIRED}),
    "no password": ({"username": "testpress"}, {}, 400, {"password": REQUIRED}),
    "no password, form": ("username=testpress", FORM, 400, {"password": REQUIRED}),
    "blank user name": ({"username": " ", "password": "x"}, {}, 400, {"username": BLANK}),
    "blank password, form": ("username=testpress&password=", FORM, 400, {"password": BLANK}),
    "null and list": ({"username": None, "password": []}, {}, 400, {"username": NULL, "password": NOT_TEXT}),
    "true": ({"username": True, "password": "x"}, {}, 400, {"username": NOT_TEXT}),
    "a list": (
        "[1]",
        JSON,
        400,
        {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]},
    ),
    "broken JSON": ("{", JSON, 400, "JSON parse error - "),
    "plain text": (
        "x",
        {"Content-Type": "text/plain; charset=utf-8"},
        415,
        {"detail": 'Unsupported media type "text/plain; charset=utf-8" in request.'},
    ),
}


@pytest.mark.parametrize("version", ["v2.2", "v2.3", "v2.5"])
@pytest.mark.parametrize("case", LOGIN_ANSWERS)
def test_a_login_that_fails_says_why(server: StandInServer, case: str, version: str) -> None:
    body, headers, status, expected = LOGIN_ANSWERS[case]
    reply = call(server, "POST", f"/api/{version}/auth-token/", body, headers)
    assert (reply.status, reply.headers["Content-Type"]) == (status, "application/json")
    assert (reply.headers["Allow"], reply.headers["Vary"]) == ("POST, OPTIONS", "Accept")
    if isinstance(expected, str):  # the rest is Python's wording, which changes with its version
        assert reply.data["detail"].startswith(expected)
    else:
        assert reply.data == expected
    assert (server.logins, server.granted) == (1, 0)


NOT_PROVIDED = "Authentication credentials were not provided."
NOT_DECODED = "Error decoding signature."
NO_TOKEN = "Invalid Authorization header. No credentials provided."
BLANKS = "Invalid Authorization header. Credentials string should not contain spaces."
THROTTLED = "Request was throttled. Expected available in 59.0 seconds."
NOT_FOUND = b"<h1>Not Found</h1>"

Prepare = Callable[[StandInServer], object]


def signed(server: StandInServer, **claims: object) -> str:
    return jwt.encode(claims, server.secret, "HS256")


def nothing(server: StandInServer) -> None:
    """Leave the server as it is."""


# What happens after the login; the method, path and Authorization header ("{}" is the token); the answer.
API_ANSWERS: dict[str, tuple[Prepare, str, str, str | None, int, dict[str, str], Any]] = {
    "profile": (
        nothing,
        "GET",
        ME,
        "JWT {}",
        200,
        {},
        {"id": 1, "username": "testpress", "email": "testpress@example.com"},
    ),
    "any case of the scheme": (nothing, "GET", "/api/v2.2/me/", "jwt {}", 200, {}, None),
    "no header": (nothing, "GET", ME, None, 401, CHALLENGE, NOT_PROVIDED),
    "another scheme": (nothing, "GET", ME, "Bearer {}", 401, CHALLENGE, NOT_PROVIDED),
    "scheme alone": (nothing, "GET", ME, "JWT", 401, CHALLENGE, NO_TOKEN),
    "blank inside": (nothing, "GET", ME, "JWT {} x", 401, CHALLENGE, BLANKS),
    "garbage": (nothing, "GET", ME, "JWT x", 401, CHALLENGE, NOT_DECODED),
    "spoilt signature": (nothing, "GET", ME, "JWT {}x", 401, CHALLENGE, NOT_DECODED),
    "not ASCII": (nothing, "GET", ME, "JWT {}é", 401, CHALLENGE, NOT_DECODED),
    "expired": (
        lambda s: setattr(s, "clock", lambda: NOW + 300),
        "GET",
        ME,
        "JWT {}",
        401,
        CHALLENGE,
        "Signature has expired.",
    ),
    "revoked": (
        lambda s: s.revoke_all(),
        "GET",
        ME,
        "JWT {}",
        401,
        CHALLENGE,
        "Please Login and try again.",
    ),
    "deactivated": (
        lambda s: s.disabled.add("testpress"),
        "GET",
        ME,
        "JWT {}",
        401,
        CHALLENGE,
        "User account is disabled.",
    ),
    "deleted": (lambda s: s.users.clear(), "GET", ME, "JWT {}", 401, CHALLENGE, "Invalid signature."),
    "wrong method, anonymous": (nothing, "PUT", ME, None, 401, CHALLENGE, NOT_PROVIDED),
    "wrong method": (
        nothing,
        "PUT",
        ME,
        "JWT {}",
        405,
        {"Allow": "GET, HEAD, OPTIONS"},
        'Method "PUT" not allowed.',
    ),
    "login by GET": (
        nothing,
        "GET",
        LOGIN,
        None,
        405,
        {"Allow": "POST, OPTIONS"},
        'Method "GET" not allowed.',
    ),
    "logout": (nothing, "POST", "/api/v2.4/auth/logout/", "JWT {}", 200, {}, {}),
    "throttled": (lambda s: s.throttle(1, 59.0), "GET", ME, None, 429, {"Retry-After": "59"}, THROTTLED),
    "unknown path": (nothing, "GET", "/api/v2.4/me/", "JWT {}", 404, {}, NOT_FOUND),
    "page 0": (nothing, "GET", "/api/v2.2/exams/?page=0", "JWT {}", 404, {}, "Invalid page."),
    "page 4": (nothing, "GET", "/api/v2.2/exams/?page=4", "JWT {}", 404, {}, "Invalid page."),
    "page x": (nothing, "GET", "/api/v2.2/exams/?page=x", "JWT {}", 404, {}, "Invalid page."),
}


@pytest.mark.parametrize("case", API_ANSWERS)
def test_an_api_call_is_answered_as_testpress_would(server: StandInServer, case: str) -> None:
    prepare, method, path, authorization, status, headers, expected = API_ANSWERS[case]
    token = log_in(server)
    prepare(server)
    sent = {} if authorization is None else {"Authorization": authorization.format(token)}
    reply = call(server, method, path, headers=sent)
    assert reply.status == status
    assert {name: reply.headers[name] for name in headers} == headers
    assert ("WWW-Authenticate" in reply.headers) == (status == 401)
    assert "Date" in reply.headers
    if isinstance(expected, bytes):
        assert expected in reply.body
        assert reply.headers["Content-Type"].startswith("text/html")
    else:
        assert reply.headers["Content-Type"] == "application/json"
        if isinstance(expected, str):
            expected = {"detail": expected}
        if expected is not None:
            assert reply.data == expected


def test_a_token_without_a_user_name_is_an_invalid_payload(server: StandInServer) -> None:
    reply = me(server, signed(server, user_id=1))
    assert (reply.status, reply.data) == (401, {"detail": "Invalid payload."})


def test_too_many_parallel_logins_answer_json_that_is_labelled_html(server: StandInServer) -> None:
    token = log_in(server)
    server.parallel_limit = True
    reply = me(server, token)
    assert (reply.status, reply.headers["Content-Type"]) == (403, "text/html")
    assert reply.data["error_code"] == "parallel_login_restriction"
    assert log_in(server) == token  # a login goes on working
    server.parallel_limit = False
    assert me(server, token).status == 200  # the same token is good again


def test_a_disabled_user_cannot_log_in(server: StandInServer) -> None:
    server.disabled.add("testpress")
    reply = call(server, "POST", LOGIN, GOOD)
    assert (reply.status, reply.data) == (400, {"non_field_errors": ["User account is disabled."]})


# --- tokens and sessions ------------------------------------------------------------------------------------


def test_a_token_has_the_claims_of_testpress_and_no_others(server: StandInServer) -> None:
    server.users["second"] = "pass"
    log_in(server)
    token = log_in(server, "second", "pass")
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    claims = jwt.decode(token, server.secret, ["HS256"], {"verify_exp": False})
    assert claims == {"username": 2, "user_id": 2, "email": "second@example.com", "exp": int(NOW + 300)}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (json.dumps(GOOD), JSON),
        (json.dumps({**GOOD, "password": " demo "}), {"Content-Type": "application/json; charset=utf-8"}),
        ("username=testpress&password=demo", FORM),
        (MULTIPART.replace(b"wrong", b"demo"), {"Content-Type": "multipart/form-data; boundary=x"}),
    ],
    ids=["json", "json with charset and blanks", "form", "multipart"],
)
def test_a_login_is_understood_in_every_form(server: StandInServer, body: Any, headers: dict[str, str]) -> None:
    reply = call(server, "POST", LOGIN, body, headers)
    assert (reply.status, list(reply.data)) == (200, ["token"])
    assert me(server, reply.data["token"]).status == 200


def test_two_logins_in_one_second_give_the_same_token(server: StandInServer) -> None:
    first, second = log_in(server), log_in(server)
    server.clock = lambda: NOW + 1
    assert first == second != log_in(server)


def test_a_revoked_token_is_good_again_once_a_login_gives_it_again(server: StandInServer) -> None:
    token = log_in(server)
    server.revoke_all()
    assert me(server, token).status == 401
    assert log_in(server) == token
    assert me(server, token).status == 200


def test_logout_ends_one_session_alone(server: StandInServer) -> None:
    first = log_in(server)
    server.clock = lambda: NOW + 1
    second = log_in(server)
    call(server, "POST", "/api/v2.4/auth/logout/", headers={"Authorization": f"JWT {first}"})
    assert me(server, first).data == {"detail": "Please Login and try again."}
    assert me(server, second).status == 200


def test_an_expired_token_is_good_where_expiry_is_not_enforced(server: StandInServer) -> None:
    token = log_in(server)
    server.enforce_exp = False
    server.clock = lambda: NOW + 86_400
    assert me(server, token).status == 200


def test_another_server_does_not_take_the_token(server: StandInServer) -> None:
    with StandInServer() as other:
        log_in(other)
        assert me(other, log_in(server)).data == {"detail": NOT_DECODED}


# --- the rest of the API ------------------------------------------------------------------------------------


def test_pages_are_linked_both_ways(server: StandInServer) -> None:
    headers = {"Authorization": f"JWT {log_in(server)}"}
    base = f"{server.url}/api/v2.3/exams/"
    url: str | None = base
    seen, links = [], []
    while url:
        page = call(server, "GET", url.removeprefix(server.url), headers=headers).data
        seen += [exam["id"] for exam in page["results"]]
        links.append((page["next"], page["previous"]))
        assert (page["count"], page["per_page"]) == (45, 20)
        url = page["next"]
    assert seen == list(range(1, 46))
    assert links == [(f"{base}?page=2", None), (f"{base}?page=3", base), (None, f"{base}?page=2")]


def test_an_administrator_sees_all_users_page_by_page(server: StandInServer) -> None:
    headers = {"Authorization": f"JWT {log_in(server)}"}
    url, seen = f"{server.url}/api/v2.5/admin/users/?q=user", []
    while url:
        page = call(server, "GET", url.removeprefix(server.url), headers=headers).data
        seen += page["results"]
        url = page["next"]
        assert "q=user" in (url or "q=user"), "a link keeps the rest of the query"
    assert [user["username"] for user in seen] == [f"user{number}" for number in range(1, 111)]
    assert page["count"] == 110
    assert seen[1]["email"] == "user2@example.com"


@pytest.mark.parametrize("chunked", [False, True])
def test_echo_gives_the_bytes_back_on_one_connection(server: StandInServer, chunked: bool) -> None:
    headers = {"Authorization": f"JWT {log_in(server)}", "Content-Type": "image/x-test"}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for content in (b"\x00\r\n0\r\n\r\n" * 9_000, b"", b"end"):
        body: Any = iter([content[:7], content[7:]]) if chunked else content
        connection.request("POST", "/api/v2.2/echo/", body, headers, encode_chunked=chunked)
        response = connection.getresponse()
        assert (response.status, response.headers["Content-Type"]) == (200, "image/x-test")
        assert response.read() == content
        assert server.api_requests[-1].body == content
    connection.close()


def test_a_refused_body_does_not_put_the_connection_out_of_step(server: StandInServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    for path, status in (("/nowhere/", 404), ("/api/v2.2/echo/", 401), (LOGIN, 400)):
        connection.request("POST", path, iter([b"x" * 100_000]), JSON, encode_chunked=True)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


def test_head_has_no_body(server: StandInServer) -> None:
    reply = call(server, "HEAD", ME, headers={"Authorization": f"JWT {log_in(server)}"})
    assert (reply.status, reply.body) == (200, b"")


def test_the_date_is_that_of_the_servers_own_clock(server: StandInServer) -> None:
    assert parsedate_to_datetime(call(server, "GET", "/").headers["Date"]).timestamp() == int(NOW)


# --- what a test tells the server ---------------------------------------------------------------------------


def test_queued_failures_come_one_after_the_other_and_end(server: StandInServer) -> None:
    server.fail_logins(2)
    server.fail_logins(1, 403, {"error_code": "max_login_exceeded"})
    server.fail_logins(1, 302, "moved", {"Location": "/elsewhere/", "content-type": "text/plain"})
    replies = [call(server, "POST", LOGIN, GOOD) for _ in range(5)]
    assert [reply.status for reply in replies] == [500, 500, 403, 302, 200]
    assert [reply.body for reply in replies[:2]] == [b"", b""]
    assert replies[2].data == {"error_code": "max_login_exceeded"}
    assert replies[3].headers["Location"] == "/elsewhere/"
    assert replies[3].headers.get_all("Content-Type") == ["text/plain"]
    assert (server.logins, server.granted) == (5, 1)


def test_failures_of_api_calls_leave_logins_alone(server: StandInServer) -> None:
    server.fail_requests(1, 502, b"<html>", {"date": "never"})
    server.throttle(1, 3)
    token = log_in(server)
    replies = [me(server, token) for _ in range(3)]
    assert [reply.status for reply in replies] == [502, 429, 200]
    assert replies[0].headers.get_all("Date") == ["never"]
    assert replies[1].data["detail"].endswith("in 3 seconds.")


def test_latency_is_waited_for_by_logins_and_calls_apart(server: StandInServer) -> None:
    waits: list[float] = []
    server._stopping.wait = waits.append  # type: ignore[method-assign, assignment]
    server.login_latency, server.latency = 7.0, 3.0
    me(server, log_in(server))
    assert waits == [7.0, 3.0]


# --- what a test reads --------------------------------------------------------------------------------------


def test_requests_are_recorded_and_can_be_forgotten(server: StandInServer) -> None:
    token = log_in(server)
    call(server, "GET", "/api/v2.2/exams/?page=9", headers={"Authorization": f"JWT {token}", "X-A": "b"})
    login, page = server.requests
    assert server.login_requests == [login]
    assert server.api_requests == [page]
    assert isinstance(page, Recorded)
    assert (login.method, login.path, json.loads(login.body), login.status) == ("POST", LOGIN, GOOD, 200)
    assert (page.method, page.path, page.status) == ("GET", "/api/v2.2/exams/?page=9", 404)
    assert page.header("authorization") == f"JWT {token}"
    assert page.header("x-missing") is None
    assert ("X-A", "b") in page.headers
    assert (server.logins, server.granted, server.most_logins_at_once) == (1, 1, 1)
    server.forget()
    assert (server.requests, server.logins, server.granted, server.most_logins_at_once) == ([], 0, 0, 0)
    assert me(server, token).status == 200


class Meeting(dict[str, str]):
    """Passwords that are read only once all have come to read them."""

    barrier: threading.Barrier

    def get(self, *args: Any) -> Any:
        self.barrier.wait(10)
        return super().get(*args)


def test_the_most_logins_at_once_are_counted(server: StandInServer) -> None:
    users = Meeting(testpress="demo")
    users.barrier = threading.Barrier(3)
    server.users = users
    threads = [threading.Thread(target=log_in, args=(server,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (server.most_logins_at_once, server.logins, server.granted) == (3, 3, 3)


# --- start, stop, and clients that come and go --------------------------------------------------------------


def test_stop_cuts_open_connections_and_leaves_no_thread() -> None:
    server = StandInServer(latency=60).start()
    arrived, wait = threading.Event(), server._stopping.wait
    server._stopping.wait = lambda timeout=None: arrived.set() or wait(timeout)  # type: ignore[method-assign, func-returns-value]
    idle = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    waiting = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert arrived.wait(10)
    before = time.perf_counter()
    server.stop()
    assert time.perf_counter() - before < 1
    assert stand_in_threads() == []
    for connection in (idle, waiting):
        with connection:
            try:
                rest = connection.recv(1)
            except ConnectionError:
                rest = b""
            assert rest == b""
    server.stop()  # does nothing


def test_a_server_comes_back_on_the_port_it_had() -> None:
    server = StandInServer(clock=lambda: NOW)
    with server:
        url, token = server.url, log_in(server)
        with pytest.raises(RuntimeError, match="runs already"):
            server.start()
    with pytest.raises(ConnectionRefusedError):
        me(server, token)
    with server:
        assert server.url == url
        assert me(server, token).status == 200
    with StandInServer(port=server.port) as other:
        assert other.url == url


@pytest.mark.parametrize(
    "start",
    [
        b"POST /api/v2.2/echo/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf",
        b"POST /api/v2.2/echo/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nha",
        b"POST /api/v2.2/echo/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9",
        b"POST /api/v2.2/ec",
        b"nonsense\r\n\r\n",
    ],
)
def test_clients_that_leave_in_mid_sentence_are_not_talked_about(
    start: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with StandInServer() as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(start)
        assert log_in(server)
    assert server.api_requests == []
    assert capfd.readouterr() == ("", "")


def test_a_hundred_clients_are_served_at_once(server: StandInServer) -> None:
    token = log_in(server)
    barrier = threading.Barrier(100)
    statuses: list[int] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        barrier.wait(10)
        for _ in range(3):
            connection.request("GET", ME, headers={"Authorization": f"JWT {token}"})
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        barrier.wait(10)  # all hundred connections are open at this moment
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 300
    assert len(server.api_requests) == 300


def test_the_package_does_not_load_it_by_itself() -> None:
    program = "import sys, testpress_auth; sys.exit('testpress_auth.testing' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603
