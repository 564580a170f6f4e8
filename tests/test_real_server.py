"""Against a real server: a site of Django, Django REST framework and drf-jwt, in a process of its own.

First the flows that matter, on every client; then every answer of the stand-in, beside that of the real server.
"""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import jwt
import pytest

from testpress_auth import InvalidCredentials, LoginThrottled, RefreshPolicy
from testpress_auth.testing import StandInServer

from .clients import CALLERS, Answer, Caller, Open, opener
from .clock import ManualClock
from .real.process import RealServer

pytestmark = pytest.mark.slow  # a process of Django's own, and as many requests again


@pytest.fixture(scope="session")
def site() -> Iterator[RealServer]:
    """The server, started once. At the end it must have made no mistake of its own, and leave nothing behind."""
    with RealServer() as running:
        yield running
        assert running.errors == ""
    assert running.process.returncode is not None
    assert not running.folder.exists()
    with pytest.raises(ConnectionRefusedError):
        running.tell()


@pytest.fixture
def real(site: RealServer) -> RealServer:
    """The server as at its start."""
    site.tell(reset=True)
    return site


@pytest.fixture
def caller(kind: type[Caller], real: RealServer) -> Iterator[Open]:
    yield from opener(kind, real.url)


@pytest.fixture
def me(real: RealServer) -> str:
    return f"{real.url}/api/v2.2/me/"


def open_caller(stack: ExitStack, name: str, url: str, **options: Any) -> Caller:
    kind = CALLERS[name]
    return stack.enter_context(kind(kind.page.TestpressJWTAuth("testpress", "demo", base_url=url, **options)))


def statuses(answers: list[Answer | BaseException]) -> Counter[Any]:
    return Counter(answer.status if isinstance(answer, Answer) else repr(answer) for answer in answers)


# --- every day


@pytest.mark.parametrize("version", ["v2.2", "v2.3", "v2.5"])
def test_every_day(caller: Open, real: RealServer, version: str) -> None:
    """A profile, all pages of a list by their links, and something posted: one login."""
    client = caller(api_version=version)
    api = f"{real.url}/api/{version}"
    profile = {"id": 1, "username": "testpress", "email": "testpress@example.com"}
    assert json.loads(client.get(f"{api}/me/").body) == profile
    seen, url = [], f"{api}/exams/"
    while url:
        page = json.loads(client.get(url).body)
        seen += [exam["id"] for exam in page["results"]]
        url = page["next"]
    assert seen == list(range(1, 46))
    assert client.call("POST", f"{api}/echo/", content=b"\0raw").body == b"\0raw"
    assert real.logins == [f"/api/{version}/auth-token/"]
    claims = dict(client.ask("token").claims)
    assert isinstance(claims.pop("exp"), int)
    assert claims == {"username": 1, "user_id": 1, "email": "testpress@example.com"}


def test_two_users_are_two(caller: Open, me: str) -> None:
    found = [json.loads(caller(*who).get(me).body)["username"] for who in (("testpress", "demo"), ("other", "pass"))]
    assert found == ["testpress", "other"]


def test_logout_ends_the_session_there_and_the_next_call_logs_in(caller: Open, real: RealServer, me: str) -> None:
    client = caller()
    client.get(me)
    header = client.ask("header")
    client.ask("logout")
    reply = exchange(real.url, Case("GET", ME, None, header))
    assert (reply["status"], reply["body"]) == ("401", '{"detail":"Please Login and try again."}')
    answer = client.get(me)
    assert (answer.status, answer.history, len(real.logins)) == (200, [], 2)


# --- tokens that run out


def test_a_token_is_renewed_before_it_runs_out(caller: Open, real: RealServer, clock: ManualClock, me: str) -> None:
    client = caller(_clock=clock.local, refresh=RefreshPolicy(ahead=1))
    client.get(me)
    clock.advance(285)
    client.get(me)
    assert len(real.logins) == 1
    clock.advance(7)
    assert client.get(me).history == []
    assert len(real.logins) == 2


def test_a_token_that_the_server_calls_expired_is_replaced(caller: Open, real: RealServer, me: str) -> None:
    client = caller()
    client.get(me)
    # As if that server's clock went on by 301 seconds, which a new token outlives.
    real.tell(jwt={"LEEWAY": -301, "EXPIRATION_DELTA": 900})
    answer = client.get(me)
    assert (answer.status, answer.history, len(real.logins)) == (200, [401], 2)


def test_a_server_that_does_not_enforce_exp_is_asked_once(
    caller: Open, real: RealServer, clock: ManualClock, me: str
) -> None:
    """As Testpress itself seems to be, with the policy that is meant for it."""
    real.tell(jwt={"VERIFY_EXPIRATION": False, "LEEWAY": -301})
    client = caller(_clock=clock.local, refresh=RefreshPolicy.on_rejection())
    client.get(me)
    clock.advance(100_000)
    assert client.get(me).status == 200
    assert len(real.logins) == 1


def test_real_time_passes(real: RealServer, me: str) -> None:
    """With clocks that nobody moves, on all clients at once: only on rejection does a request meet an expired token."""
    real.tell(jwt={"EXPIRATION_DELTA": 2})  # of which one second at least is left: exp is cut to a whole one
    policies = {RefreshPolicy(ahead=1): [], RefreshPolicy.on_rejection(): [401]}
    with ExitStack() as stack:
        callers = {
            open_caller(stack, name, real.url, refresh=policy): history
            for name in CALLERS
            for policy, history in policies.items()
        }
        assert {client.get(me).status for client in callers} == {200}
        last = max(client.ask("token").claims["exp"] for client in callers)
        real.tell(jwt={"EXPIRATION_DELTA": 300})
        time.sleep(last - time.time() + 0.01)
        for client, history in callers.items():
            answer = client.get(me)
            assert (answer.status, answer.history) == (200, history)


# --- tokens that are taken back


@pytest.mark.parametrize("how", [{"end_sessions": True}, {"jwt": {"SECRET_KEY": "another key " * 9}}])
def test_a_revoked_token_costs_one_login_and_no_failed_request(
    caller: Open, real: RealServer, me: str, how: dict[str, Any]
) -> None:
    """The session ended by the server, or all of them by another key; also for a request with a body."""
    client = caller()
    client.get(me)
    real.tell(**how)
    answer = client.call("POST", f"{real.url}/api/v2.2/echo/", json=["again"])
    assert (answer.status, answer.history, json.loads(answer.body)) == (200, [401], ["again"])
    assert client.get(me).history == []
    assert len(real.logins) == 2


def test_a_parallel_login_limit_causes_no_login(caller: Open, real: RealServer, me: str) -> None:
    client = caller()
    real.tell(set={"parallel_limit": True})
    assert {client.get(me).status for _ in range(3)} == {403}
    real.tell(set={"parallel_limit": False})
    assert client.get(me).status == 200
    assert len(real.logins) == 1


# --- logins that are refused


@pytest.mark.parametrize("who", [("testpress", "wrong"), ("nobody", "demo")])
def test_a_wrong_password_is_asked_once(caller: Open, real: RealServer, me: str, who: tuple[str, str]) -> None:
    client = caller(*who)
    for _ in range(3):
        with pytest.raises(InvalidCredentials) as caught:
            client.get(me)
        assert isinstance(caught.value, client.error)
        assert caught.value.status == 400
        assert caught.value.detail == "Unable to log in with provided credentials."
    assert len(real.logins) == 1


def test_another_password_is_tried_at_once(caller: Open, real: RealServer, me: str) -> None:
    passwords = ["wrong", "demo"]
    client = caller(password=lambda: passwords.pop(0))
    with pytest.raises(InvalidCredentials):
        client.get(me)
    assert client.get(me).status == 200
    assert len(real.logins) == 2


def test_a_disabled_user_is_refused(caller: Open, real: RealServer, me: str) -> None:
    real.tell(deactivate="testpress")
    with pytest.raises(InvalidCredentials, match="Unable to log in"):
        caller().get(me)
    assert caller("other", "pass").get(me).status == 200


@pytest.mark.parametrize("how", ["deactivate", "delete"])
def test_a_user_disabled_or_deleted_later_is_refused_once(caller: Open, real: RealServer, me: str, how: str) -> None:
    client = caller()
    client.get(me)
    real.tell(**{how: "testpress"})
    for _ in range(3):
        with pytest.raises(InvalidCredentials, match="Unable to log in"):
            client.get(me)
    assert len(real.logins) == 2


# --- throttling


def test_a_throttled_login_is_an_error_that_says_how_long(caller: Open, real: RealServer, me: str) -> None:
    real.tell(set={"rates": {"login": "1/min", "me": None}})
    client = caller()
    client.get(me)
    client.ask("invalidate")
    for _ in range(3):
        with pytest.raises(LoginThrottled) as caught:
            client.get(me)
        assert isinstance(caught.value, client.error)
        assert caught.value.retry_after in range(50, 61)
    assert len(real.logins) == 2


def test_a_short_throttling_of_the_login_is_waited_out(caller: Open, real: RealServer, me: str) -> None:
    class Patience(ManualClock):
        """To sleep ends the throttling."""

        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            real.tell(set={"rates": {"login": None, "me": None}})

    clock = Patience()
    real.tell(set={"rates": {"login": "0/sec", "me": None}})
    assert caller(_clock=clock.local).get(me).status == 200
    assert [1 < seconds < 2 for seconds in clock.slept] == [True]
    assert len(real.logins) == 2


def test_a_throttled_call_is_handed_over(caller: Open, real: RealServer, me: str) -> None:
    real.tell(set={"rates": {"login": None, "me": "1/min"}})
    client = caller()
    answers = [client.get(me) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 429, 429]
    assert int(answers[1].response.headers["Retry-After"]) in range(50, 61)
    assert len(real.logins) == 1


# --- storms


def test_a_cold_storm_costs_one_login(caller: Open, real: RealServer, me: str) -> None:
    real.tell(set={"login_seconds": 0.05})
    assert statuses(caller().many(20, me)) == {200: 20}
    assert len(real.logins) == 1


def test_a_storm_of_401s_costs_one_login(caller: Open, real: RealServer, me: str) -> None:
    client = caller()
    client.get(me)
    real.tell(end_sessions=True, set={"login_seconds": 0.05})
    assert statuses(client.many(20, me)) == {200: 20}
    assert len(real.logins) == 2


def test_a_storm_with_a_wrong_password_is_one_refusal(caller: Open, real: RealServer, me: str) -> None:
    real.tell(set={"login_seconds": 0.05})
    found = caller(password="wrong").many(10, me)
    assert all(isinstance(error, InvalidCredentials) for error in found)
    assert len(real.logins) == 1


# --- every answer of the stand-in, beside that of the real server

LOGIN = "/api/v2.2/auth-token/"
ME = "/api/v2.5/me/"
EXAMS = "/api/v2.3/exams/"
ECHO = "/api/v2.2/echo/"
LOGOUT = "/api/v2.4/auth/logout/"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PARTS = "".join(
    f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    for name, value in {"username": "testpress", "password": "demo"}.items()
)
KEY = "a key that both servers sign their tokens with, and this test too"
HEADERS = ("Content-Type", "Allow", "Vary", "WWW-Authenticate", "Retry-After", "Location")


class Case(NamedTuple):
    """One request, and what has happened before; "{}" in a header stands for a token of that server's."""

    method: str
    path: str
    body: str | bytes | None = None
    headers: dict[str, str] = {}  # noqa: RUF012
    situation: str = "nothing"


def login(body: str | bytes | None, headers: dict[str, str] = JSON, situation: str = "nothing") -> Case:
    return Case("POST", LOGIN, body, headers, situation)


def fields(**values: Any) -> Case:
    """A login with these fields besides, or instead of, the right ones; None leaves one out."""
    right = {"username": "testpress", "password": "demo", **values}
    return login(json.dumps({name: value for name, value in right.items() if value is not None}))


def api(method: str, path: str, authorization: str = "JWT {}", situation: str = "nothing", **more: Any) -> Case:
    return Case(method, path, more.get("body"), {"Authorization": authorization, **more.get("headers", {})}, situation)


def me_with(authorization: str) -> Case:
    return api("GET", ME, authorization)


def signed(**claims: Any) -> str:
    return f"JWT {jwt.encode(claims, KEY, 'HS256')}"


class Situation(NamedTuple):
    """What has happened before a request arrives: to the stand-in, and as commands to the real site."""

    stand_in: Callable[[StandInServer], object]
    real: dict[str, Any]


def five_minutes_on(server: StandInServer) -> None:
    server.clock = lambda: time.time() + 301


def five_minutes_on_unseen(server: StandInServer) -> None:
    five_minutes_on(server)
    server.enforce_exp = False


SITUATIONS = {
    "nothing": Situation(lambda stand_in: None, {}),
    "expired": Situation(five_minutes_on, {"jwt": {"LEEWAY": -301}}),
    "expired, not enforced": Situation(five_minutes_on_unseen, {"jwt": {"LEEWAY": -301, "VERIFY_EXPIRATION": False}}),
    "revoked": Situation(StandInServer.revoke_all, {"end_sessions": True}),
    "another key": Situation(
        lambda stand_in: setattr(stand_in, "secret", b"b" * 32), {"jwt": {"SECRET_KEY": "b" * 32}}
    ),
    "deactivated": Situation(lambda stand_in: stand_in.disabled.add("testpress"), {"deactivate": "testpress"}),
    "deleted": Situation(lambda stand_in: stand_in.users.clear(), {"delete": "testpress"}),
    "parallel limit": Situation(
        lambda stand_in: setattr(stand_in, "parallel_limit", True), {"set": {"parallel_limit": True}}
    ),
    "throttled": Situation(
        lambda stand_in: stand_in.throttle(1, 60), {"set": {"rates": {"me": "0/min", "login": None}}}
    ),
    "throttled for 1 second": Situation(
        lambda stand_in: stand_in.throttle(1, 1), {"set": {"rates": {"me": "0/sec", "login": None}}}
    ),
}

CASES = {
    # Logins that succeed.
    "login": fields(),
    "login at v2.3": fields()._replace(path="/api/v2.3/auth-token/"),
    "login at v2.5": fields()._replace(path="/api/v2.5/auth-token/"),
    "login as a form": login("username=testpress&password=demo", FORM),
    "login in parts": login(f"{PARTS}--x--\r\n", {"Content-Type": "multipart/form-data; boundary=x"}),
    "login with outer blanks": fields(username=" testpress ", password="\tdemo "),
    "login with more fields": fields(more=[1]),
    "login with a charset": fields()._replace(headers={"Content-Type": "application/json; charset=utf-8"}),
    "login with an old token": fields()._replace(headers={**JSON, "Authorization": "JWT old"}),
    "login, field twice": login("username=a&username=testpress&password=demo", FORM),
    "login at the parallel limit": fields()._replace(situation="parallel limit"),
    # Logins that do not.
    "wrong password": fields(password="x"),
    "unknown user": fields(username="x"),
    "numbers": fields(username=1, password=1.5),
    "nothing sent": login(None, {}),
    "empty object": login("{}"),
    "no password": fields(password=None),
    "no user name": fields(username=None),
    "no password in a form": login("username=testpress", FORM),
    "blank user name": fields(username=" "),
    "blank password in a form": login("username=testpress&password=", FORM),
    "user name null": login('{"username": null, "password": "x"}'),
    "password a list": fields(password=[]),
    "user name null, password a list": login('{"username": null, "password": []}'),
    "user name true": fields(username=True),
    "user name with NUL": fields(username="a\0b"),
    "user name with half a character": fields(username="a\ud800b"),
    "user name NaN": login('{"username": NaN, "password": "x"}'),
    "a list": login("[1]"),
    "a string": login('"x"'),
    "a number": login("1.5"),
    "null": login("null"),
    "broken JSON": login("{"),
    "blank JSON": login(" "),
    "not UTF-8": login(b'{"username": "\xff"}'),
    "plain text": login("x", {"Content-Type": "text/plain; charset=utf-8"}),
    "no content type": login(b"x", {}),
    "parts without boundary": login("x", {"Content-Type": "multipart/form-data"}),
    "login, deactivated": fields()._replace(situation="deactivated"),
    "login, deleted": fields()._replace(situation="deleted"),
    "login by GET": Case("GET", LOGIN),
    "login by HEAD": Case("HEAD", LOGIN),
    "login by PUT": fields()._replace(method="PUT"),
    "login by OPTIONS": Case("OPTIONS", LOGIN),
    "login without the last slash": fields()._replace(path=LOGIN.rstrip("/")),
    # What a request presents.
    "profile": me_with("JWT {}"),
    "profile at v2.2": api("GET", "/api/v2.2/me/"),
    "profile by HEAD": api("HEAD", ME),
    "any case of the scheme": me_with("jwt {}"),
    "no header": Case("GET", ME),
    "no header, HEAD": Case("HEAD", ME),
    "empty header": me_with(""),
    "another scheme": me_with("Bearer {}"),
    "scheme alone": me_with("JWT"),
    "blank inside": me_with("JWT {} x"),
    "two blanks": me_with("JWT  {}"),
    "garbage": me_with("JWT x"),
    "spoilt signature": me_with("JWT {}x"),
    "not ASCII": me_with("JWT é.é.é"),
    "another algorithm": me_with(f"JWT {jwt.encode({'username': 1}, '', 'none')}"),
    "token without exp": me_with(signed(username=1)),
    "token without user name": me_with(signed(user_id=1)),
    "token of nobody": me_with(signed(username=999)),
    # What has happened.
    **{f"profile, {situation}": api("GET", ME, situation=situation) for situation in SITUATIONS},
    # The other addresses, and methods they do not have.
    "wrong method": api("PUT", ME),
    "wrong method, anonymous": Case("PUT", ME),
    "profile by OPTIONS": api("OPTIONS", ME),
    "logout": api("POST", LOGOUT),
    "logout, anonymous": Case("POST", LOGOUT),
    "logout by GET": api("GET", LOGOUT),
    "exams": api("GET", EXAMS),
    "exams by HEAD": api("HEAD", EXAMS),
    "exams by POST": api("POST", EXAMS),
    **{
        f"page {page}": api("GET", f"{EXAMS}?page={page}") for page in ("", 1, 2, 3, 4, 0, -1, "x", "2.0", "02", "last")
    },
    "page 2 of a query": api("GET", f"{EXAMS}?b=1&page=2&a=%20%C3%A4%26"),
    "page 2 of a query with a field twice": api("GET", f"{EXAMS}?a=1&page=2&a=2"),
    "page 2 of a query with an empty field": api("GET", f"{EXAMS}?a=&page=2"),
    "page size": api("GET", f"{EXAMS}?page_size=5"),
    "echo": api("POST", ECHO, body=b"\0\xff"),
    "echo of a type": api("POST", ECHO, body=b"\0\xff", headers={"Content-Type": "image/x-test; a=b"}),
    "echo of nothing": api("POST", ECHO),
    "echo by GET": api("GET", ECHO),
    "unknown path": api("GET", "/api/v2.4/me/"),
}

# --- where they differ: by part of the answer, a piece of the stand-in's and of the real server's ("" for none at all)

HEADER = "the fork takes any malformed header for none; the wire page has the words of the original"
WORDS = "the fork's words; the wire page has the original's"
ORDER = "the fork reads the password first; the original, as the wire page quotes it, the user name"
QUEUED = "the stand-in's queued answers come from no view, whose headers these are"
SIMPLER = "the stand-in is simpler here: nothing that this package sends comes to it"
NOT_PROVIDED = "Authentication credentials were not provided."
REQUIRED = '["This field is required."]'
FROM_VIEW = {"Allow": ("", "GET, HEAD, OPTIONS"), "Vary": ("", "Accept")}
NO_OPTIONS = {"status": ("501", "200"), "Content-Type": ("text/html", "application/json"), "Vary": ("", "Accept")}

EXPECTED_DIFFERENCES: dict[str, tuple[dict[str, tuple[str, str]], str]] = {
    "nothing sent": ({"body": (f'{{"username":{REQUIRED}', f'{{"password":{REQUIRED}')}, ORDER),
    "empty object": ({"body": (f'{{"username":{REQUIRED}', f'{{"password":{REQUIRED}')}, ORDER),
    "user name null, password a list": ({"body": ('{"username":', '{"password":')}, ORDER),
    "user name with NUL": ({"body": ("Unable to log in", "Null characters are not allowed.")}, SIMPLER),
    "user name with half a character": ({"body": ("Unable to log in", "Surrogate characters are not")}, SIMPLER),
    "user name NaN": ({"body": ("Unable to log in", "JSON parse error - Out of range float")}, SIMPLER),
    "parts without boundary": ({"body": (REQUIRED, "Multipart form parse error - Invalid boundary")}, SIMPLER),
    "login, deactivated": (
        {"body": ("User account is disabled.", "Unable to log in with provided credentials.")},
        "with Django's own backend a disabled user fails like a wrong password; the original's text is the wire page's",
    ),
    "login by OPTIONS": ({**NO_OPTIONS, "Allow": ("", "POST, OPTIONS"), "body": ("501", '{"name":')}, SIMPLER),
    "profile by OPTIONS": ({**NO_OPTIONS, **FROM_VIEW, "body": ("501", '{"name":')}, SIMPLER),
    "login without the last slash": (
        {"status": ("404", "301"), "Location": ("", LOGIN), "body": ("Not Found", "")},
        SIMPLER,
    ),
    "scheme alone": ({"body": ("No credentials provided.", NOT_PROVIDED)}, HEADER),
    "blank inside": ({"body": ("Credentials string should not contain spaces.", NOT_PROVIDED)}, HEADER),
    "two blanks": (
        {"status": ("200", "401"), "WWW-Authenticate": ("", "JWT"), "body": ("testpress", NOT_PROVIDED)},
        HEADER,
    ),
    "garbage": ({"body": ("Error decoding signature.", "Error decoding token.")}, WORDS),
    "spoilt signature": ({"body": ("Error decoding signature.", "Error decoding token.")}, WORDS),
    "not ASCII": ({"body": ("Error decoding signature.", "Error decoding token.")}, WORDS),
    "another algorithm": ({"body": ("Error decoding signature.", "Invalid token.")}, WORDS),
    "token of nobody": ({"body": ("Invalid signature.", "Invalid token.")}, WORDS),
    "profile, expired": ({"body": ("Signature has expired.", "Token has expired.")}, WORDS),
    "profile, another key": ({"body": ("Error decoding signature.", "Error decoding token.")}, WORDS),
    "profile, deleted": ({"body": ("Invalid signature.", "Invalid token.")}, WORDS),
    "profile, parallel limit": (
        {"Content-Type": ("text/html", "application/json")},
        "the wire page: Testpress labels this JSON text/html",
    ),
    "profile, throttled": (FROM_VIEW, QUEUED),
    "profile, throttled for 1 second": (FROM_VIEW, QUEUED),
    "page last": ({"status": ("404", "200"), "body": ("Invalid page.", '"next":null')}, SIMPLER),
    "page size": ({"body": ('"per_page":20', '"per_page":5')}, SIMPLER),
}


def exchange(url: str, case: Case, token: str = "") -> dict[str, str]:
    """Send a case's request, and return the parts of the answer that are compared; a missing header is ""."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    try:
        headers = {name: value.replace("{}", token).encode() for name, value in case.headers.items()}
        connection.request(case.method, case.path, case.body, headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    assert case.method == "HEAD" or int(response.headers.get("Content-Length", len(body))) == len(body)
    assert "Date" in response.headers
    found = {name: response.headers[name] or "" for name in HEADERS}
    found |= {"status": str(response.status), "body": body.decode("latin-1").replace(url, "http://here")}
    if case.method == "HEAD":
        found["Content-Length"] = response.headers["Content-Length"]
    return found


def token_in(answer: dict[str, str]) -> str:
    token: str = json.loads(answer["body"])["token"]
    return token


@pytest.mark.parametrize("name", CASES)
def test_the_stand_in_answers_as_the_real_server(site: RealServer, name: str) -> None:
    """Status, headers and body, but for the differences that are listed, each of which must still be one."""
    case = CASES[name]
    situation = SITUATIONS[case.situation]
    site.tell(reset=True, jwt={"SECRET_KEY": KEY})
    with StandInServer() as stand_in:
        stand_in.secret = KEY.encode()
        urls = (stand_in.url, site.url)
        tokens = ["", ""]
        if "Authorization" in case.headers:
            tokens = [token_in(exchange(url, CASES["login"])) for url in urls]
        situation.stand_in(stand_in)
        if situation.real:
            site.tell(**situation.real)
        ours, theirs = (exchange(url, case, token) for url, token in zip(urls, tokens, strict=True))
    for answer in (ours, theirs):
        if case.path.endswith("auth-token/") and answer["status"] == "200" and case.method == "POST":
            token = token_in(answer)
            claims = jwt.decode(token, KEY, ["HS256"])
            assert claims.pop("exp") - time.time() == pytest.approx(300, abs=30)
            answer["token"] = json.dumps([jwt.get_unverified_header(token), claims])
            answer["body"] = answer["body"].replace(token, "TOKEN")
    expected, _reason = EXPECTED_DIFFERENCES.get(name, ({}, ""))
    assert {part for part in ours.keys() | theirs.keys() if ours.get(part) != theirs.get(part)} == set(expected)
    for part, (our, their) in expected.items():
        assert shows(our, ours[part], theirs[part]), (part, ours[part])
        assert shows(their, theirs[part], ours[part]), (part, theirs[part])


def shows(piece: str, text: str, other: str) -> bool:
    """Whether a piece is in this text and not in the other; "" stands for no text at all."""
    return piece in text and piece not in other if piece else not text


def test_only_cases_are_expected_to_differ() -> None:
    assert EXPECTED_DIFFERENCES.keys() <= CASES.keys()
