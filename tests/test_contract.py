"""The one list of behaviours that every client keeps: each test runs on requests, httpx and httpx2, sync and async.

A test is named for what a user sees, and says in its docstring which rules of the design it holds.
"""

from __future__ import annotations

import io
import json
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from testpress_auth import (
    InvalidCredentials,
    LoginThrottled,
    LoginTimeout,
    LoginUnavailable,
    MemoryStore,
    RefreshPolicy,
    TestpressAuthError,
    Token,
    TokenRejected,
    UnexpectedLoginResponse,
    __version__,
)
from testpress_auth.events import LoginFailed, LoginStarted, LoginSucceeded, RefreshScheduled
from testpress_auth.testing import StandInServer

from .clients import Answer, Caller, Open, Requests
from .clock import ManualClock

PASSWORD = "correct horse ünicode"


def statuses(answers: list[Answer | BaseException]) -> Counter[Any]:
    return Counter(answer.status if isinstance(answer, Answer) else repr(answer) for answer in answers)


# --- logging in


def test_the_first_call_logs_in_and_more_calls_do_not(caller: Open, server: StandInServer, me: str) -> None:
    """L1: lazily, and once."""
    client = caller()
    assert server.logins == 0
    assert [client.get(me).status for _ in range(4)] == [200] * 4
    assert server.logins == 1


def test_the_login_is_sent_as_the_document_says(caller: Open, server: StandInServer, me: str) -> None:
    """L1: path, JSON in UTF-8, our headers; no Authorization, no cookies of the caller's."""
    server.users["testpress"] = PASSWORD
    client = caller(password=PASSWORD, login_headers={"X-Device-UID": "42"}, api_version="v2.5")
    client.get(me, headers={"Cookie": "session=1"})
    (login,) = server.login_requests
    assert (login.method, login.path) == ("POST", "/api/v2.5/auth-token/")
    assert json.loads(login.body) == {"username": "testpress", "password": PASSWORD}
    assert PASSWORD.encode() in login.body
    expected = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": f"testpress-auth/{__version__}",
        "X-Device-UID": "42",
        "Authorization": None,
        "Cookie": None,
    }
    assert {name: login.header(name) for name in expected} == expected


def test_the_token_goes_out_with_the_prefix_jwt(caller: Open, server: StandInServer, me: str) -> None:
    client = caller()
    client.get(me, headers={"Authorization": "Basic b2xk"})
    token = client.ask("token")
    assert isinstance(token, Token)
    assert server.api_requests[0].header("Authorization") == f"JWT {token.raw}"
    assert client.ask("header") == {"Authorization": f"JWT {token.raw}"}
    assert server.logins == 1


def test_twenty_cold_callers_cost_one_login(caller: Open, server: StandInServer, me: str) -> None:
    """S1."""
    server.login_latency = 0.1
    assert statuses(caller().many(20, me)) == {200: 20}
    assert server.logins == 1


def test_the_error_of_one_login_reaches_all_who_waited(caller: Open, server: StandInServer, me: str) -> None:
    """S1: each gets an instance of its own."""
    server.login_latency = 0.1
    found = caller(password="wrong").many(10, me)
    assert {type(error).__mro__[1] for error in found} == {InvalidCredentials}
    assert len({id(error) for error in found}) == 10
    assert server.logins == 1


def test_token_header_and_verbs_work_without_a_call(caller: Open, server: StandInServer) -> None:
    client = caller()
    assert client.ask("token").claims["email"] == "testpress@example.com"
    client.ask("invalidate")
    client.ask("header")
    assert server.logins == 2
    assert not server.api_requests


def test_logout_ends_the_token_on_the_server_and_here(caller: Open, server: StandInServer, me: str) -> None:
    client = caller()
    client.get(me)
    header = client.ask("header")
    client.ask("logout")
    assert (server.requests[-1].path, server.requests[-1].header("Authorization")) == (
        "/api/v2.4/auth/logout/",
        header["Authorization"],
    )
    assert server.requests[-1].body == b""
    assert client.get(me).status == 200
    assert server.logins == 2


def test_logout_forgets_the_token_whatever_comes_back(caller: Open, server: StandInServer, clock: ManualClock) -> None:
    client = caller(_clock=clock.local)
    client.ask("logout")
    assert not server.requests, "without a token nothing is sent"
    client.ask("token")
    server.fail_requests(1, status=500)
    client.ask("logout")
    client.ask("token")
    server.stop()
    client.ask("logout")
    with pytest.raises(LoginUnavailable):
        client.ask("token")


# --- how a login can fail


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirected_login_is_an_error_and_the_password_goes_nowhere_else(
    caller: Open, server: StandInServer, elsewhere: StandInServer, me: str, status: int
) -> None:
    """L3, also for a client that follows redirects."""
    client = caller()
    for redirects in ({}, client.redirects):
        server.fail_logins(1, status=status, headers={"Location": f"{elsewhere.url}/api/v2.2/auth-token/?p=demo"})
        with pytest.raises(UnexpectedLoginResponse, match="redirect") as caught:
            client.get(me, **redirects)
        assert isinstance(caught.value, client.error)
        assert "?" not in str(caught.value)
    assert not any(b"demo" in request.body for request in elsewhere.requests)
    assert client.get(me).status == 200, "nothing is remembered"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>welcome</html>", "not JSON"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (b"{}", "without a string 'token'"),
        (b'{"token": 5}', "without a string 'token'"),
        (b'{"token": "abc"}', "not a JWT"),
        (b'{"token": "a.b.c\\r\\nX-Evil: 1"}', "not printable ASCII"),
        ('{"token": "ü.b.c"}'.encode(), "not printable ASCII"),
        (b'{"token": "' + b"a" * 9000 + b'"}', "longer than 8 KiB"),
        (b"[" * 60_000, "not JSON"),
        (b" " * 70_000 + b"{}", "more than 64 KiB"),
    ],
)
def test_an_answer_without_a_token_is_told_by_its_reason(
    caller: Open, server: StandInServer, me: str, body: bytes, reason: str
) -> None:
    """L4, L5."""
    client = caller()
    server.fail_logins(1, status=200, body=body)
    with pytest.raises(UnexpectedLoginResponse, match=reason) as caught:
        client.get(me)
    assert caught.value.status == 200
    assert reason in caught.value.reason
    assert client.get(me).status == 200, "nothing is remembered"


def test_an_encoded_answer_is_refused_undecoded(caller: Open, server: StandInServer, me: str) -> None:
    """L4."""
    server.fail_logins(1, status=200, body=b"\x1f\x8b" + b"\0" * 50, headers={"Content-Encoding": "gzip"})
    with pytest.raises(UnexpectedLoginResponse, match="encoded"):
        caller().get(me)


def test_any_2xx_and_any_content_type_will_do(caller: Open, server: StandInServer, me: str) -> None:
    """L5."""
    token = caller().ask("token").raw
    server.fail_logins(1, status=201, body=json.dumps({"token": token, "is_new_user": False}))
    assert caller().get(me).status == 200
    assert server.logins == 2


def test_a_login_that_takes_too_long_is_a_timeout(caller: Open, server: StandInServer, me: str) -> None:
    """L4: and what others wait is bounded by it."""
    server.login_latency = 5
    client = caller(timeout=0.2)
    with pytest.raises(client.error) as caught:
        client.get(me)
    assert "Timeout" in type(caught.value).__name__
    server.login_latency = 0
    assert client.get(me).status == 200


def test_a_login_that_takes_too_long_is_a_timeout_for_token_too(caller: Open, server: StandInServer) -> None:
    """L4, where we send the login."""
    server.login_latency = 5
    client = caller(timeout=0.2)
    with pytest.raises(LoginTimeout) as caught:
        client.ask("token")
    assert isinstance(caught.value, client.error)
    assert caught.value.timeout == 0.2


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_at_the_login_is_tried_again(
    caller: Open, server: StandInServer, clock: ManualClock, me: str, status: int
) -> None:
    """L6: up to three sends in all, with a growing pause."""
    server.fail_logins(2, status=status)
    seen: list[Any] = []
    assert caller(_clock=clock.local, on_event=seen.append).get(me).status == 200
    assert [type(event) for event in seen] == [LoginStarted, LoginSucceeded]
    assert server.logins == 3
    assert len(clock.slept) == 2
    assert 0.2 < clock.slept[0] <= 0.5 <= clock.slept[1] <= 1


def test_a_dead_server_is_tried_three_times_and_told(
    caller: Open, server: StandInServer, clock: ManualClock, me: str
) -> None:
    server.fail_logins(3, status=503, body=b"<html>demo</html>")
    client = caller(_clock=clock.local)
    with pytest.raises(LoginUnavailable, match="503") as caught:
        client.get(me)
    assert caught.value.status == 503
    assert isinstance(caught.value, client.error)
    assert server.logins == 3
    assert client.get(me).status == 200, "nothing is remembered"


@pytest.mark.parametrize("status", [501, 404, 405, 415])
def test_other_statuses_are_not_tried_again(
    caller: Open, server: StandInServer, clock: ManualClock, me: str, status: int
) -> None:
    """L6."""
    server.fail_logins(1, status=status, body={"detail": "Not found."})
    with pytest.raises((LoginUnavailable, UnexpectedLoginResponse)):
        caller(_clock=clock.local).get(me)
    assert server.logins == 1


def test_no_server_is_an_error_of_the_clients_own_kind(
    caller: Open, server: StandInServer, clock: ManualClock, me: str
) -> None:
    client = caller(_clock=clock.local)
    server.stop()
    with pytest.raises(client.error):
        client.get(me)
    with pytest.raises(LoginUnavailable, match="Connect") as caught:
        client.ask("token")
    assert isinstance(caught.value, client.error)
    assert "Connect" in str(caught.value.__cause__)


# --- what is remembered of a failure


def test_a_wrong_password_is_asked_once_in_thirty_seconds(
    caller: Open, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """L7: no lock-out is our doing."""
    client = caller(password="wrong", _clock=clock.local)
    for _ in range(10):
        with pytest.raises(InvalidCredentials, match="Unable to log in") as caught:
            client.get(me)
        assert isinstance(caught.value, client.error)
        assert caught.value.status == 400
        assert caught.value.detail == "Unable to log in with provided credentials."
        clock.advance(2.9)
    assert server.logins == 1
    clock.advance(1.5)
    with pytest.raises(InvalidCredentials):
        client.get(me)
    assert server.logins == 2


def test_invalidate_and_another_password_forget_the_refusal(caller: Open, server: StandInServer, me: str) -> None:
    """L7: a rotated password is tried at once."""
    passwords = ["wrong", "wrong", "demo"]
    client = caller(password=lambda: passwords.pop(0))
    with pytest.raises(InvalidCredentials):
        client.get(me)
    with pytest.raises(InvalidCredentials):
        client.get(me)
    assert server.logins == 1
    assert client.get(me).status == 200

    fixed = caller(password="not yet")
    with pytest.raises(InvalidCredentials):
        fixed.get(me)
    server.users["testpress"] = "not yet"
    fixed.ask("invalidate")
    assert fixed.get(me).status == 200


@pytest.mark.parametrize(
    ("headers", "body", "wait"),
    [
        ({"Retry-After": "120"}, {}, 120),
        ({}, {"detail": "Request was throttled. Expected available in 59.0 seconds."}, 59),
        ({"Retry-After": "soon"}, {}, None),
        ({"Retry-After": "86400"}, {}, 86400),
    ],
)
def test_a_throttled_login_waits_as_long_as_the_server_asks(
    caller: Open,
    server: StandInServer,
    clock: ManualClock,
    me: str,
    headers: dict[str, str],
    body: dict[str, str],
    wait: float | None,
) -> None:
    """L7: for its Retry-After; 30 seconds without one; 15 minutes at most."""
    server.fail_logins(1, status=429, headers=headers, body=body)
    client = caller(_clock=clock.local)
    remembered = min(30 if wait is None else wait, 900)
    for passed in (0, remembered - 1):
        clock.advance(passed)
        with pytest.raises(LoginThrottled) as caught:
            client.get(me)
        assert caught.value.retry_after == wait
        assert isinstance(caught.value, client.error)
    assert server.logins == 1
    clock.advance(2)
    assert client.get(me).status == 200


def test_a_short_throttling_is_waited_out(caller: Open, server: StandInServer, clock: ManualClock, me: str) -> None:
    """L6: where Retry-After fits in the deadline."""
    server.fail_logins(1, status=429, headers={"Retry-After": "3"})
    assert caller(_clock=clock.local).get(me).status == 200
    assert server.logins == 2
    assert 3 < clock.slept[0] < 4


# --- renewing in time


def test_a_token_is_renewed_before_it_runs_out(
    caller: Open, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """F1: from ten seconds before its end nobody uses it."""
    client = caller(_clock=clock.local, refresh=RefreshPolicy(ahead=1))
    client.get(me)
    clock.advance(289.5)
    client.get(me)
    assert server.logins == 1
    clock.advance(0.6)
    assert client.get(me).history == []
    assert server.logins == 2


def test_a_short_lived_token_still_serves_most_of_its_life(
    caller: Open, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """F1: the leeway is at most a tenth of the lifetime."""
    server.token_lifetime = 4
    client = caller(_clock=clock.local, refresh=RefreshPolicy(ahead=1))
    client.get(me)
    clock.advance(3)
    client.get(me)
    assert server.logins == 1
    clock.advance(0.6)
    assert client.get(me).history == []
    assert server.logins == 2


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wrong_local_clock_changes_nothing(
    caller: Open, server: StandInServer, clock: ManualClock, me: str, hours: int
) -> None:
    """T3."""
    clock.wrong_by = hours * 3600
    client = caller(_clock=clock.local, refresh=RefreshPolicy(ahead=1))
    client.get(me)
    clock.advance(287)
    client.get(me)
    assert server.logins == 1
    clock.advance(3)
    assert client.get(me).history == []
    assert server.logins == 2


def test_a_token_that_is_born_expired_is_used_until_it_is_refused(
    caller: Open, server: StandInServer, clock: ManualClock, me: str, caplog: pytest.LogCaptureFixture
) -> None:
    """T4: one warning, never a login loop."""
    server.token_lifetime = -60
    server.enforce_exp = False
    client = caller(_clock=clock.local)
    assert [client.get(me).status for _ in range(3)] == [200] * 3
    clock.advance(100_000)
    client.get(me)
    assert server.logins == 1
    client.ask("invalidate")
    client.get(me)
    assert caplog.text.count("expired already") == 1


def test_on_rejection_a_token_is_used_until_the_server_refuses_it(
    caller: Open, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """F3."""
    server.enforce_exp = False
    client = caller(_clock=clock.local, refresh=RefreshPolicy.on_rejection())
    client.get(me)
    clock.advance(100_000)
    client.get(me)
    assert server.logins == 1
    server.enforce_exp = True
    assert client.get(me).history == [401]
    assert server.logins == 2


def test_a_failed_renewal_is_an_error_only_once_the_token_has_run_out(
    caller: Open, server: StandInServer, clock: ManualClock, me: str
) -> None:
    client = caller(_clock=clock.local, refresh=RefreshPolicy(ahead=1))
    client.get(me)
    server.fail_logins(3, status=500)
    clock.advance(280)
    assert client.get(me).status == 200
    clock.advance(15)
    with pytest.raises(LoginUnavailable):
        client.get(me)
    assert client.get(me).status == 200


# --- a token that the server refuses


def test_a_revoked_token_costs_one_login_and_no_failed_request(
    caller: Open, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """J1."""
    client = caller()
    client.get(me)
    server.revoke_all()
    clock.advance(1)
    answer = client.get(me)
    assert (answer.status, answer.history) == (200, [401])
    assert server.logins == 2
    assert [request.status for request in server.api_requests] == [200, 401, 200]


def test_a_new_login_that_brings_the_same_token_is_a_new_token(caller: Open, server: StandInServer, me: str) -> None:
    """J1: logins are told by number; two in one second give the same string."""
    client = caller()
    client.get(me)
    before = client.ask("token")
    server.revoke_all()
    assert client.get(me).history == [401]
    assert client.ask("token") == before
    assert server.logins == 2


@pytest.mark.parametrize("same_second", [True, False])
def test_a_storm_of_401s_costs_one_login(
    caller: Open, server: StandInServer, clock: ManualClock, me: str, same_second: bool
) -> None:
    """J1, S1."""
    client = caller()
    client.get(me)
    server.revoke_all()
    if not same_second:
        clock.advance(1)
    server.latency = server.login_latency = 0.05
    assert statuses(client.many(20, me)) == {200: 20}
    assert server.logins == 2


def test_a_second_401_is_handed_over_as_it_is(caller: Open, server: StandInServer, clock: ManualClock, me: str) -> None:
    """J1: sent again exactly once."""
    client = caller()
    client.get(me)
    server.forget()
    server.fail_requests(2, status=401, body={"detail": "no"})
    clock.advance(1)
    answer = client.get(me)
    assert (answer.status, answer.history, answer.body) == (401, [401], b'{"detail":"no"}')
    assert len(server.api_requests) == 2
    assert server.logins == 1


BODIES: dict[str, tuple[dict[str, Any], bytes]] = {
    "bytes": ({"content": b"\0\1raw"}, b"\0\1raw"),
    "text": ({"content": "text"}, b"text"),
    "form": ({"data": {"a": "1", "b": "2"}}, b"a=1&b=2"),
    "json": ({"json": [1]}, b"[1]"),
    "nothing": ({}, b""),
    "multipart": ({"files": {"f": ("name.txt", b"content of the file")}}, b"content of the file"),
    "multipart from a file": ({"files": {"f": ("name.txt", io.BytesIO(b"from a file"))}}, b"from a file"),
}


@pytest.mark.parametrize("body", BODIES)
def test_a_refused_body_is_sent_again_byte_for_byte(
    caller: Open, server: StandInServer, clock: ManualClock, body: str
) -> None:
    """J2."""
    how, expected = BODIES[body]
    client = caller()
    client.ask("token")
    server.revoke_all()
    clock.advance(1)
    answer = client.call("POST", f"{server.url}/api/v2.2/echo/", **how)
    assert (answer.status, answer.history) == (200, [401])
    first, second = server.api_requests
    assert first.body == second.body == answer.body
    assert expected in second.body


def test_a_body_that_cannot_be_sent_again_hands_the_401_over(
    caller: Open, server: StandInServer, clock: ManualClock
) -> None:
    """J2: never an empty or half body; the token is dropped, and the next request logs in."""
    client = caller()
    client.get(f"{server.url}/api/v2.2/me/")
    server.revoke_all()
    clock.advance(1)
    server.forget()

    def sync() -> Iterator[bytes]:
        yield b"one"
        yield b"two"

    async def asynchronous() -> Any:
        yield b"one"
        yield b"two"

    url = f"{server.url}/api/v2.2/echo/"
    parts = asynchronous if hasattr(client, "portal") else sync
    answer = client.call("POST", url, content=parts())
    assert (answer.status, answer.history) == (401, [])
    assert [request.body for request in server.requests] == [b"onetwo"]
    assert client.call("POST", url, content=parts()).body == b"onetwo"
    assert server.logins == 1


def test_a_403_never_logs_in(caller: Open, server: StandInServer, me: str) -> None:
    """J3: a parallel-login restriction, or a permission."""
    client = caller()
    client.get(me)
    server.parallel_limit = True
    answer = client.get(me)
    assert answer.status == 403
    assert json.loads(answer.body)["error_code"] == "parallel_login_restriction"
    assert server.logins == 1


def test_a_server_that_refuses_everything_gets_no_login_per_request(
    caller: Open, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """J4: a token never once accepted is replaced at most once per `min_interval`, 5 seconds."""
    server.fail_requests(100, status=401)
    client = caller(_clock=clock.local)
    assert {client.get(me).status for _ in range(10)} == {401}
    assert server.logins == 2
    clock.advance(5)
    assert {client.get(me).status for _ in range(10)} == {401}
    assert server.logins == 3


def test_a_redirect_that_comes_home_without_its_token_gets_it_again(
    caller: Open, server: StandInServer, elsewhere: StandInServer, me: str
) -> None:
    """J5: from us to another host, which is shown nothing, and back."""
    client = caller()
    client.get(me)
    server.forget()
    server.fail_requests(1, status=302, headers={"Location": f"{elsewhere.url}/away/"})
    elsewhere.fail_requests(1, status=302, headers={"Location": me})
    answer = client.get(f"{server.url}/start/", **client.redirects)
    assert answer.status == 200
    assert [(r.path, r.status) for r in server.api_requests] == [
        ("/start/", 302),
        ("/api/v2.2/me/", 401),
        ("/api/v2.2/me/", 200),
    ]
    assert server.logins == 0
    assert [request.header("Authorization") for request in elsewhere.requests] == [None]


def test_a_redirect_to_a_host_that_answers_401_shows_it_nothing(
    caller: Open, server: StandInServer, elsewhere: StandInServer, me: str
) -> None:
    """J3: in requests, hooks travel along redirects."""
    client = caller()
    server.fail_requests(1, status=302, headers={"Location": f"{elsewhere.url}/api/v2.2/me/"})
    assert client.get(me, **client.redirects).status == 401
    assert [request.header("Authorization") for request in elsewhere.requests] == [None]
    assert (server.logins, elsewhere.logins) == (1, 0)


# --- where the token may go


def test_another_host_gets_no_token_and_keeps_the_callers_header(
    caller: Open, elsewhere: StandInServer, server: StandInServer, caplog: pytest.LogCaptureFixture
) -> None:
    """O1: signed links go on working; the first such request is logged."""
    caplog.set_level(logging.INFO, logger="testpress_auth")
    client = caller()
    there = f"{elsewhere.url}/file?signature=abc"
    client.get(there, headers={"Authorization": "AWS4 signed"})
    client.get(there)
    assert [request.header("Authorization") for request in elsewhere.requests] == ["AWS4 signed", None]
    assert (server.logins, elsewhere.logins) == (0, 0)
    (record,) = [record for record in caplog.records if "no token for requests" in record.message]
    assert record.levelno == logging.INFO
    assert elsewhere.url in record.message
    assert server.url in record.message
    assert "signature" not in record.message


def test_further_origins_can_be_named(caller: Open, elsewhere: StandInServer, server: StandInServer, me: str) -> None:
    """O1."""
    client = caller(also_send_to=[elsewhere.url])
    client.get(f"{elsewhere.url}/file")
    assert elsewhere.requests[0].header("Authorization") == client.ask("header")["Authorization"]
    assert server.logins == 1


def test_a_base_url_with_a_path_logs_in_under_it(caller: Open, server: StandInServer) -> None:
    """A 404 from the stand-in, which has no /portal: the login went where it should."""
    with pytest.raises(UnexpectedLoginResponse, match="404"):
        caller(base_url=f"{server.url}/portal/").ask("token")
    assert server.requests[0].path == "/portal/api/v2.2/auth-token/"


# --- sharing


def test_objects_with_one_store_share_one_token_and_one_login(caller: Open, server: StandInServer, me: str) -> None:
    """S1, S5."""
    store = MemoryStore()
    clients = [caller(store=store, api_version=version) for version in ("v2.2", "v2.3")]
    assert [client.get(me).status for client in clients] == [200, 200]
    assert server.logins == 1
    clients[0].ask("invalidate")
    clients[1].get(me)
    assert server.logins == 2


def test_different_accounts_share_nothing(
    caller: Open, server: StandInServer, elsewhere: StandInServer, me: str
) -> None:
    """S5: another user, another password, another origin."""
    store = MemoryStore()
    server.users["other"] = "demo"
    names = ["testpress", "other"]
    tokens = {caller(name, store=store).ask("token").raw for name in names}
    assert len(tokens) == 2
    with pytest.raises(InvalidCredentials):
        caller(password="wrong", store=store).get(me)
    caller(base_url=elsewhere.url, store=store).ask("token")
    assert (server.logins, elsewhere.logins) == (3, 1)
    assert repr(store) == "<MemoryStore of 4 accounts>"


def test_settings_are_each_objects_own(caller: Open, server: StandInServer, clock: ManualClock, me: str) -> None:
    """S1: token and failures are shared, the refresh policy is not."""
    store = MemoryStore()
    server.enforce_exp = False
    patient = caller(store=store, _clock=clock.local, refresh=RefreshPolicy.on_rejection())
    careful = caller(store=store, _clock=clock.local)
    patient.get(me)
    clock.advance(1000)
    patient.get(me)
    assert server.logins == 1
    careful.get(me)
    assert server.logins == 2


# --- what is seen of it


def test_events_tell_what_happened(caller: Open, server: StandInServer, clock: ManualClock, me: str) -> None:
    seen: list[Any] = []
    client = caller(on_event=seen.append, _clock=clock.local)
    client.get(me)
    server.revoke_all()
    clock.advance(1)
    client.get(me)
    kinds = [type(event) for event in seen]
    assert kinds == [LoginStarted, LoginSucceeded, TokenRejected, LoginStarted, LoginSucceeded]
    assert len({event.account for event in seen}) == 1
    assert seen[1].lifetime == pytest.approx(300, abs=1)
    assert seen[2].accepted


def test_a_failed_login_is_told_once(caller: Open, server: StandInServer, me: str) -> None:
    seen: list[Any] = []
    client = caller(password="wrong", on_event=seen.append)
    for _ in range(2):
        with pytest.raises(InvalidCredentials):
            client.get(me)
    assert [type(event) for event in seen] == [LoginStarted, LoginFailed]
    assert (seen[1].error, seen[1].status) == ("InvalidCredentials", 400)


def test_nothing_secret_shows(
    caller: Open, server: StandInServer, clock: ManualClock, me: str, caplog: pytest.LogCaptureFixture
) -> None:
    """X1: not in a repr, a log record, an event or an error, whatever the server echoes."""
    caplog.set_level(logging.DEBUG, logger="testpress_auth")
    secret = "s3cret pässword"
    server.users["testpress"] = secret
    seen: list[Any] = []
    client = caller(password=secret, on_event=seen.append, _clock=clock.local)
    client.get(me)
    token = client.ask("token")
    server.revoke_all()
    clock.advance(1)
    errors: list[BaseException] = []
    echo = {"password": [f"{secret} is not it"]}
    for status, body in ((400, echo), (302, b""), (200, json.dumps({"token": secret})), (404, echo)):
        server.fail_logins(
            1, status=status, body=body, headers={"Location": f"/?p={secret}".encode().decode("latin-1")}
        )
        with pytest.raises(TestpressAuthError) as caught:
            client.get(me)
        errors.append(caught.value)
        client.ask("invalidate")
    shown = [repr(client.auth), repr(token), str(token), *map(repr, seen), caplog.text]
    for error in errors:
        for each in (error, error.__cause__, error.__context__):
            shown += [repr(each), str(each), repr(vars(each) if each is not None else None)]
        request: Any = getattr(error, "request", None)
        if request is not None:
            shown += [repr(dict(request.headers)), repr(getattr(request, "body", getattr(request, "_content", None)))]
    for text in shown:
        assert "s3cret" not in text
        assert token.raw not in text
        assert "JWT ey" not in text


def test_an_error_pickles_and_copies(caller: Open, server: StandInServer, me: str) -> None:
    import copy
    import pickle

    client = caller(password="wrong")
    with pytest.raises(InvalidCredentials) as caught:
        client.get(me)
    for twin in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value)):  # noqa: S301
        assert type(twin) is type(caught.value)
        assert (str(twin), twin.status, twin.detail) == (str(caught.value), 400, caught.value.detail)


def test_a_renewal_ahead_happens_while_the_token_is_good(
    caller: Open, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """F2: from 80 % of the lifetime; on requests in the background."""
    seen: list[Any] = []
    client = caller(_clock=clock.local, on_event=seen.append, refresh=RefreshPolicy(jitter=0))
    client.get(me)
    clock.advance(239)
    client.get(me)
    assert server.logins == 1
    clock.advance(2)
    assert client.get(me).status == 200
    if client.__class__ is Requests:
        _wait_for_renewal()
    assert server.logins == 2
    assert RefreshScheduled in map(type, seen)
    client.get(me)
    assert server.logins == 2


def _wait_for_renewal() -> None:
    import threading

    for thread in threading.enumerate():
        if thread.name == "testpress-auth renewal":
            thread.join()


def test_it_can_be_made_from_the_environment(
    kind: type[Caller], server: StandInServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"USERNAME": "testpress", "PASSWORD": "demo", "BASE_URL": server.url}.items():
        monkeypatch.setenv(f"TESTPRESS_{name}", value)
    assert kind.page.TestpressJWTAuth.from_env(api_version="v2.3").token().raw
    assert server.login_requests[0].path == "/api/v2.3/auth-token/"
