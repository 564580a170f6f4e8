"""What a user sees of a server, or a network, that misbehaves: one table, run against every client.

Rules L3 to L7, T2 to T4, J1 to J5 and O1 where the stand-in server is too polite to show them; over raw sockets.
"""

from __future__ import annotations

import gzip
import io
import json
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import certifi
import httpx
import pytest

from testpress_auth import (
    InvalidCredentials,
    LoginThrottled,
    LoginTimeout,
    LoginUnavailable,
    MemoryStore,
    RefreshPolicy,
    TestpressAuthError,
    UnexpectedLoginResponse,
)
from testpress_auth._policy import Clock
from testpress_auth.testing import StandInServer

from .clients import CALLERS, Answer, AsyncHttpx, Caller, Open, Requests, opener
from .clock import ManualClock
from .hostile import (
    CHUNKED,
    HostileServer,
    Script,
    answer,
    chunk,
    close,
    drip,
    head,
    jwt_of,
    once,
    reset,
    silence,
    without_end,
)

PASSWORD: Final = "correct horse battery"
SHORT: Final = 0.2  # seconds: the login's timeout where the server lets it pass


@pytest.fixture
def hostile() -> Iterator[HostileServer]:
    with HostileServer() as running:
        yield running


@pytest.fixture
def foreign() -> Iterator[HostileServer]:
    """Another host."""
    with HostileServer() as running:
        yield running


@pytest.fixture
def calling(kind: type[Caller], hostile: HostileServer) -> Iterator[Open]:
    """Open a client of this kind against the hostile server."""
    yield from opener(kind, hostile.url)


@pytest.fixture(scope="session")
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("certificates") / "one.pem"
    end = "-----END CERTIFICATE-----\n"
    path.write_text(Path(certifi.where()).read_text("utf-8").partition(end)[0] + end, "utf-8")
    return path


@pytest.fixture(autouse=True)
def _no_time_is_spent_on_certificates(one_certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login by httpx's page opens a client of its own, and that reads all of certifi's, 50 ms each time."""
    monkeypatch.setenv("SSL_CERT_FILE", str(one_certificate))


class HurriedClock:
    """The machine's clock, on which a pause takes no time."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.local = Clock(wall=time.time, monotonic=time.monotonic, sleep=self.pauses.append)


#: Each client, for what an event loop makes no difference to: trio, and httpx2, come with the slow tests.
every_client = pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.slow if "trio" in kind or "httpx2" in kind else []) for kind in CALLERS],
    indirect=True,
)


# --- the table: what comes back to a login


class Sees(NamedTuple):
    """What a caller sees: an error and a part of its text, or the answer to the call; and how many logins that took."""

    error: type[Exception] | None
    says: str = ""
    logins: int = 1


class Row(NamedTuple):
    """What the first logins are answered (any later one gets a token), and what a caller sees of it."""

    answers: list[Script]
    sees: Sees
    on_requests: Sees | None = None  # where http.client reads what h11 does not, or the other way round
    through_client: Sees | None = None  # where the login travels through the caller's own httpx client (L2)
    why: str = ""  # they differ
    timeout: float = 10.0
    is_slow: bool = False


TOKEN: Final = jwt_of('{"user_id": 1}')
GRANT: Final = json.dumps({"token": TOKEN}).encode()
OK: Final = "200 OK"
SIZED: Final = head(OK, f"Content-Length: {len(GRANT)}")
BOMB: Final = gzip.compress(b" " * 10_000_000)
GRANTED: Final = Sees(None)
THRICE: Final = Sees(LoginUnavailable, "failed: ", logins=3)
LATE: Final = Sees(LoginTimeout, f"did not end within {SHORT} seconds")
BEFORE_THE_ANSWER: Final = (
    "httpx closes the flow when sending fails: the error is httpx's own, as of any request, and nothing is sent again"
)
IN_THE_BODY: Final = (
    "the flow itself reads the body, so that the error is ours; but after it httpx would send nothing more"
)
BY_H11: Final = f"h11 reads HTTP more strictly than http.client; and {BEFORE_THE_ANSWER}"


def broken(*script: Any, own: type[Exception] = httpx.RemoteProtocolError) -> Row:
    """A login that fails before its answer stands."""
    return Row([script] * 3, THRICE, through_client=Sees(own), why=BEFORE_THE_ANSWER)


def torn(*script: Any) -> Row:
    """A login whose answer breaks off in its body."""
    return Row([script] * 3, THRICE, through_client=Sees(LoginUnavailable, "failed: "), why=IN_THE_BODY)


def lax(*script: Any, on_requests: Sees = GRANTED) -> Row:
    """What http.client takes and h11 does not."""
    return broken(*script)._replace(on_requests=on_requests, why=BY_H11)


def answered(*script: Any, sees: Sees = GRANTED) -> Row:
    return Row([script], sees)


def unusable(reason: str, *script: Any) -> Row:
    return Row([script], Sees(UnexpectedLoginResponse, reason))


def late(*script: Any, own: type[Exception] | None = None) -> Row:
    """A login that its deadline ends (L4)."""
    through = None if own is None else Sees(own)
    return Row([script], LATE, through_client=through, why=BEFORE_THE_ANSWER if own else "", timeout=SHORT)


TABLE: Final[dict[str, Row]] = {
    # Several failures in a row, L6.
    "500, then a token": answered(answer(500, b"<html>"), sees=Sees(None, logins=2)),
    "500, 502, then a token": Row([[answer(500)], [answer(502)]], Sees(None, logins=3)),
    "500, then a 400": Row(
        [[answer(500)], [answer(400, {"non_field_errors": ["no"]})]], Sees(InvalidCredentials, "no", logins=2)
    ),
    "500, then reset": Row(
        [[answer(500)], [reset]],
        Sees(None, logins=3),
        through_client=Sees(httpx.ReadError, logins=2),
        why=BEFORE_THE_ANSWER,
    ),
    "429 for ever, try at once": Row(
        [[answer(429, headers={"Retry-After": "0"})]] * 3, Sees(LoginThrottled, "too many logins", logins=3)
    ),
    # Connections that end too soon, L6.
    "closed before a word": broken(close),
    "reset before a word": broken(reset, own=httpx.ReadError),
    "closed in the status line": broken(b"HTTP/1.1 20", close),
    "closed in the headers": lax(
        b"HTTP/1.1 200 OK\r\nContent-Le", close, on_requests=Sees(UnexpectedLoginResponse, "not JSON")
    ),
    "reset in the headers": broken(b"HTTP/1.1 200 OK\r\nContent-Le", reset, own=httpx.ReadError),
    "closed in the body": torn(SIZED, GRANT[:30], close),
    "closed after a token, but Content-Length said more": torn(head(OK, "Content-Length: 9999"), GRANT, close),
    "reset in the body": torn(SIZED, GRANT[:30], reset),
    "reset after a body without length": torn(head(OK), GRANT, reset),
    "closed in a chunk": torn(head(OK, CHUNKED), b"ff\r\n" + GRANT, close),
    "closed before the last chunk": torn(head(OK, CHUNKED), chunk(GRANT), close),
    "a chunk without a size": torn(head(OK, CHUNKED), b"zz\r\n", GRANT, close),
    # Silence and drips, L4.
    "silence": late(silence, own=httpx.TimeoutException),
    "silence in the headers": late(b"HTTP/1.1 200 OK\r\nContent-Le", silence, own=httpx.TimeoutException)._replace(
        is_slow=True
    ),
    "silence in the body": late(SIZED, GRANT[:30], silence),
    "silence in a chunk": late(head(OK, CHUNKED), b"ff\r\n" + GRANT, silence)._replace(is_slow=True),
    "a body that drips": late(SIZED, without_end(b" ", every=0.03)),
    "chunks that drip": late(head(OK, CHUNKED), without_end(chunk(b" "), every=0.03))._replace(is_slow=True),
    # Beyond both clients, which hand over nothing before a line stands; what others wait is bounded (S2).
    "headers that drip": late(drip(SIZED, every=0.008), GRANT)._replace(is_slow=True),
    "a chunk's size that drips": late(
        head(OK, CHUNKED), drip(b"1" + b";" * 30, every=0.01), b"\r\n \r\n", silence
    )._replace(is_slow=True),
    # Bodies without end or measure, L4, L5.
    "10 MB": unusable("more than 64 KiB", answer(200, b" " * 10_000_000)),
    "10 MB in chunks": unusable("more than 64 KiB", head(OK, CHUNKED), chunk(b" " * 1_000_000) * 10, b"0\r\n\r\n"),
    "a body that never ends": unusable("more than 64 KiB", head(OK), without_end(b" " * 65536)),
    "chunks that never end": unusable("more than 64 KiB", head(OK, CHUNKED), without_end(chunk(b" " * 4096))),
    "a token of 100 KB": unusable("more than 64 KiB", answer(200, {"token": "e" * 100_000})),
    "100,000 brackets deep": unusable("more than 64 KiB", answer(200, b"[" * 100_000)),
    "10,000 objects deep": unusable("not JSON", answer(200, b'{"a":' * 10_000)),
    "a gzip bomb": unusable("an encoded body", answer(200, BOMB, {"Content-Encoding": "gzip"})),
    "a gzip bomb in chunks": unusable("an encoded body", head(OK, CHUNKED, "Content-Encoding: gzip"), chunk(BOMB)),
    "a gzip bomb that is not said to be one": unusable("not JSON", answer(200, BOMB)),
    "a token in gzip": unusable("an encoded", answer(200, gzip.compress(GRANT), {"Content-Encoding": "GZip"})),
    "204": unusable("not JSON", head("204 No Content")),
    # HTTP that is none, or hardly.
    "a status that is no number": broken(b"HTTP/1.1 TWO HUNDRED\r\n\r\n"),
    "a status below 100": broken(b"HTTP/1.1 099 OK\r\n\r\n"),
    "a status of 999": answered(answer(999, GRANT), sees=Sees(LoginUnavailable, "answered 999")),
    "another protocol": broken(b"220 mail.example.com ESMTP\r\n\r\n"),
    "a TLS alert": broken(b"\x15\x03\x01\x00\x02\x02\x50", close),
    "a status line without end": broken(b"HTTP/1.1 200 ", without_end(b"x" * 8192)),
    "a header without end": broken(b"HTTP/1.1 200 OK\r\nX: ", without_end(b"x" * 8192)),
    "headers without end": broken(b"HTTP/1.1 200 OK\r\n", without_end(b"X: y\r\n" * 999)),
    "two Content-Lengths": broken(head(OK, f"Content-Length: {len(GRANT)}", "Content-Length: 5"), GRANT),
    "the same Content-Length twice": answered(head(OK, *[f"Content-Length: {len(GRANT)}"] * 2), GRANT),
    "a Content-Length that is no number": lax(head(OK, "Content-Length: many"), GRANT, close),
    "a Content-Length below 0": lax(head(OK, "Content-Length: -5"), GRANT, close),
    "Content-Length and chunks": answered(head(OK, CHUNKED, "Content-Length: 3"), chunk(GRANT), b"0\r\n\r\n"),
    "no length, until it closes": answered(head(OK), GRANT, close),
    "HTTP/1.0": answered(b"HTTP/1.0 200 OK\r\n\r\n", GRANT, close),
    "a header with a NUL": lax(head(OK, f"Content-Length: {len(GRANT)}", "X: a\0b"), GRANT),
    "a header without a colon": lax(head(OK, f"Content-Length: {len(GRANT)}", "Xyz"), GRANT),
    "gzip as Transfer-Encoding": lax(
        head(OK, "Transfer-Encoding: gzip, chunked"),
        chunk(GRANT),
        close,
        on_requests=Sees(UnexpectedLoginResponse, "not JSON"),
    ),
    "100 Continue, three times": answered(head("100 Continue") * 3, answer(200, GRANT)),
    "103 Early Hints": Row(
        [[head("103 Early Hints", "Link: </style.css>"), answer(200, GRANT)]],
        GRANTED,
        on_requests=Sees(UnexpectedLoginResponse, "status 103"),
        why="http.client takes any 1xx but 100 for the answer",
    ),
    "101 Switching Protocols": lax(
        head("101 Switching Protocols", "Upgrade: h2c"), on_requests=Sees(UnexpectedLoginResponse, "status 101")
    ),
    # Tokens that would break a header line, L5.
    **{
        f"a token with {name}": unusable("not printable ASCII", answer(200, {"token": f"{before}{TOKEN}{after}"}))
        for name, before, after in (
            ("a line break behind it", "", "\r\n"),
            ("a header behind it", "", "\r\nX-Evil: 1"),
            ("a lone line feed", "", "\n"),
            ("a line break before it", "\r\n", ""),
            ("a NUL", "", "\0"),
            ("a blank", "", " "),
            ("a tab", "\t", ""),
            ("a line separator", "", "\u2028"),
            ("half a surrogate pair", "", "\ud800"),
        )
    },
}


def every_row() -> Iterator[Any]:
    """Each row for each client; where it matters how the login travels, also as `token()`, which sends it itself."""
    for name, row in TABLE.items():
        for kind in CALLERS:
            differs = row.through_client is not None and kind != "requests"
            for verb in ("get", "token") if differs else ("get",):
                is_new = kind in ("requests", "httpx") or (differs and verb == "get")
                is_telling = is_new and not kind.startswith("httpx2")  # not the same once more
                marks = [] if is_telling and not row.is_slow else [pytest.mark.slow]
                yield pytest.param(kind, verb, row, id=f"{kind}-{name}" + "-token()" * (verb == "token"), marks=marks)


@pytest.mark.parametrize(("kind", "verb", "row"), list(every_row()), indirect=["kind"])
def test_what_comes_back_to_a_login_is_told(calling: Open, hostile: HostileServer, verb: str, row: Row) -> None:
    """L3 to L7: an error of ours says what it was, or the call succeeds; the password goes to the login alone."""
    hostile.accept(TOKEN)
    for script in row.answers:
        hostile.next_login(*script)
    store = MemoryStore()
    client = calling(password=PASSWORD, store=store, timeout=row.timeout, _clock=HurriedClock().local)
    sees = row.sees
    if isinstance(client, Requests):
        sees = row.on_requests or sees
    elif verb == "get":
        sees = row.through_client or sees

    if sees.error is None:
        if verb == "get":
            assert client.get(hostile.me).status == 200
        else:
            assert client.ask("token").raw in hostile.tokens
    else:
        with pytest.raises(client.own(sees.error)) as caught:
            client.get(hostile.me) if verb == "get" else client.ask("token")
        assert sees.says in str(caught.value), row.why
        assert isinstance(caught.value, client.error)
        assert_nothing_secret(caught.value)

    assert hostile.saw(logins=sees.logins)
    assert len(hostile.logins) == sees.logins, row.why
    hostile.relent()
    assert hostile.is_quiet(), "the client hangs up on an answer that it does not want"
    for login in hostile.logins:
        assert (login.method, login.path) == ("POST", "/api/v2.2/auth-token/")
        assert json.loads(login.body) == {"username": "testpress", "password": PASSWORD}
        assert login.header("Authorization") is None
    calls = [call.header("Authorization") for call in hostile.calls]
    assert calls == ([f"JWT {hostile.tokens[-1]}"] if sees.error is None and verb == "get" else [])

    if sees.error not in (InvalidCredentials, LoginThrottled):
        patient = calling(password=PASSWORD, store=store) if row.timeout == SHORT else client
        assert patient.get(hostile.me).status == 200, "nothing is remembered"


def assert_nothing_secret(error: BaseException) -> None:
    """X1: whatever the server sent or echoed."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and each not in seen:
            seen.append(each)
            waiting += [each.__cause__, each.__context__]
    shown: list[object] = []
    for each in seen:
        request = vars(each).get("request") or vars(each).get("_request")
        shown += [each, each.args, vars(each)]
        shown += [vars(request), dict(request.headers), getattr(request, "content", b"")] if request else []
    text = " ".join(f"{each!r} {each!s}" for each in shown)
    assert PASSWORD not in text
    assert TOKEN not in text


# --- 429


class Throttled(NamedTuple):
    headers: tuple[str, ...]
    wait: float | None  # seconds that the server asks for, None if it does not say
    body: bytes = b""


DATED: Final = "Date: Tue, 24 Nov 2026 06:00:00 GMT"
THROTTLES: Final[dict[str, Throttled]] = {
    "a fraction": Throttled(("Retry-After: 2.5",), 2.5),
    "blanks around it": Throttled(("Retry-After:   4  ",), 4),
    "a date soon": Throttled((DATED, "Retry-After: Tue, 24 Nov 2026 06:00:05 GMT"), 5),
    "a date in the past": Throttled((DATED, "Retry-After: Tue, 24 Nov 2026 05:00:00 GMT"), 0),
    "a date in an hour": Throttled((DATED, "Retry-After: Tue, 24 Nov 2026 07:00:00 GMT"), 3600),
    "a date in another zone": Throttled((DATED, "Retry-After: Tue, 24 Nov 2026 12:30:00 +0530"), 3600),
    "an old form of date": Throttled((DATED, "Retry-After: Tue Nov 24 07:00:00 2026"), 3600),
    "the last of all dates": Throttled((DATED, "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"), 251_606_800_799),
    "a date after that": Throttled((DATED, "Retry-After: Fri, 31 Dec 99999 23:59:59 GMT"), None),
    "a date that is none": Throttled((DATED, "Retry-After: Tue, 99 Nov 2026 06:00:05 GMT"), None),
    "a negative number": Throttled(("Retry-After: -5",), None),
    "no number": Throttled(("Retry-After: NaN",), None),
    "infinity": Throttled(("Retry-After: Infinity",), None),
    "too many digits": Throttled(("Retry-After: " + "9" * 400,), None),
    "eleven digits": Throttled(("Retry-After: 99999999999",), 99_999_999_999),
    "nothing": Throttled(("Retry-After:",), None),
    "two of them": Throttled(("Retry-After: 1", "Retry-After: 2"), None),
    "not even ASCII": Throttled(("Retry-After: \xff\xfe",), None),
    "the text of Testpress": Throttled((), 7, b'{"detail": "Expected available in 7 seconds."}'),
    "a text without a number": Throttled((), None, b'{"detail": "Expected available in 1.2.3 seconds."}'),
    "10 MB of text": Throttled((), None, b"in 7 second" * 1_000_000),
}


@every_client
@pytest.mark.parametrize("name", THROTTLES)
def test_a_throttled_login_obeys_each_kind_of_retry_after(calling: Open, hostile: HostileServer, name: str) -> None:
    """L6, L7: waited for where it fits in the deadline, else told and remembered; nonsense counts as none."""
    headers, wait, body = THROTTLES[name]
    hostile.next_login(head("429 Too Many", *headers, f"Content-Length: {len(body)}"), body)
    clock = HurriedClock()
    client = calling(_clock=clock.local)
    if wait is not None and wait < 9:
        assert client.get(hostile.me).status == 200
        assert wait < clock.pauses[0] <= wait + 0.5
        assert len(hostile.logins) == 2
        return
    for _ in range(3):
        with pytest.raises(LoginThrottled) as caught:
            client.get(hostile.me)
        assert caught.value.retry_after == wait
    assert (len(hostile.logins), clock.pauses) == (1, [])


# --- what a token says of itself


LATER: Final = 4_000_000_000
EXPIRIES: Final[dict[str, tuple[str, float | None]]] = {
    "a number": (f"{LATER}", LATER),
    "a float": (f"{LATER}.5", LATER + 0.5),
    "an exponent": ("4e9", LATER),
    "huge": ("1e300", 1e300),
    "too huge for a float": ("1" + "0" * 400, None),
    "infinite": ("1e999", None),
    "NaN": ("NaN", None),
    "a string": (f'"{LATER}"', None),
    "a bool": ("true", None),
    "null": ("null", None),
    "a list": (f"[{LATER}]", None),
    "an object": ("{}", None),
    "zero": ("0", 0),
    "past": ("1000000000", 1_000_000_000),
    "negative": ("-1", -1),
    "hugely negative": ("-1e300", -1e300),
}


@every_client
@pytest.mark.parametrize("name", [*EXPIRIES, "missing", "huge, and so is iat", "a number, and iat nonsense"])
def test_an_expiry_of_any_kind_makes_a_token_that_works(calling: Open, hostile: HostileServer, name: str) -> None:
    """T2, T4: what does not count, or is past, means used until refused; never a login per call."""
    text, expires_at = EXPIRIES.get(name.partition(",")[0], ("", None))
    iat = {"huge, and so is iat": ', "iat": -1e308', "a number, and iat nonsense": ', "iat": "today"'}.get(name, "")
    token = hostile.accept(jwt_of(f'{{"user_id": 1, "exp": {text}{iat}}}' if text else '{"user_id": 1}'))
    hostile.next_login(answer(200, {"token": token}))
    client = calling()
    assert [client.get(hostile.me).status for _ in range(3)] == [200] * 3
    assert client.ask("token").expires_at == expires_at
    assert len(hostile.logins) == 1
    hostile.revoke()
    assert client.get(hostile.me).history == [401]
    assert len(hostile.logins) == 2


@every_client
@pytest.mark.parametrize("payload", ["[]", "5", "null", '{"exp":' + "1" * 5000 + "}", '{"exp": 1'])
def test_a_payload_that_is_no_json_object_is_told(calling: Open, hostile: HostileServer, payload: str) -> None:
    """L5."""
    hostile.next_login(answer(200, {"token": jwt_of(payload)}))
    with pytest.raises(UnexpectedLoginResponse, match="not a JWT"):
        calling().get(hostile.me)


@every_client
@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize(
    ("date", "iat", "known"),
    [
        ({}, True, True),
        ({"Date": "yesterday"}, True, True),
        ({"Date": "Tue, 24 Nov 1970 06:00:00 GMT"}, True, True),
        ({}, False, False),
        ({"Date": ""}, False, False),
        ({"Date": "yesterday"}, False, False),
        ({"Date": "Fri, 31 Dec 99999 23:59:59 GMT"}, False, False),
    ],
)
def test_a_clock_an_hour_off_never_fails_a_call(
    calling: Open,
    hostile: HostileServer,
    clock: ManualClock,
    hours: int,
    date: Mapping[str, str],
    iat: bool,
    known: bool,
) -> None:
    """T3, T4: `iat` tells the server's clock; where nothing does, the token is used until refused."""
    clock.wrong_by = hours * 3600

    def grant() -> bytes:
        now = int(clock.wall)
        return hostile.granting(date, exp=now + 300, **({"iat": now} if iat else {}))

    hostile.next_login(grant())
    client = calling(_clock=clock.local, refresh=RefreshPolicy(ahead=1))
    assert client.get(hostile.me).status == 200
    clock.advance(287)
    assert client.get(hostile.me).history == []
    assert len(hostile.logins) == 1
    clock.advance(3)
    hostile.next_login(grant())
    if not known:
        assert client.get(hostile.me).history == []
        assert len(hostile.logins) == 1
        hostile.revoke()
        hostile.accept(hostile.tokens[-1])
    answered = client.get(hostile.me)
    assert (answered.status, answered.history) == (200, [] if known else [401])
    assert len(hostile.logins) == 2


# --- what comes back to a call


NO: Final = "401 Unauthorized"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([answer(401, b"x" * 10_000_000)], id="10 MB"),
        pytest.param([answer(401, BOMB, {"Content-Encoding": "gzip"})], id="a gzip bomb"),
        pytest.param([head(NO), b"no", close], id="until it closes"),
        pytest.param([answer(401, b"no", {"Connection": "close"}), close], id="the last on its connection"),
        pytest.param([head("100 Continue"), answer(401)], id="100 Continue before it"),
    ],
)
def test_a_refused_token_is_replaced_however_the_401_comes(
    calling: Open, hostile: HostileServer, script: Script
) -> None:
    """J1: its connection is of no further use, or is; the call succeeds."""
    client = calling()
    client.get(hostile.me)
    hostile.revoke()
    hostile.next_call(*script)
    replayed = client.get(hostile.me)
    assert (replayed.status, replayed.history) == (200, [401])
    assert (len(hostile.logins), len(hostile.calls)) == (2, 3)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([head(NO, "Content-Length: 99"), b"no", close], id="closed in its body"),
        pytest.param([head(NO, "Content-Length: 99"), b"no", reset], id="reset in its body"),
        pytest.param(
            [answer(401, b"nonsense", {"Content-Encoding": "gzip"})],
            id="encoded badly",
            marks=pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),  # httpx on trio, without us too
        ),
        pytest.param([head(NO, "Content-Length: 99"), b"no", silence], id="silent in its body"),
    ],
)
def test_a_401_that_breaks_off_still_tells_that_the_token_is_refused(
    calling: Open, hostile: HostileServer, script: Script
) -> None:
    """J1: on requests the call succeeds; httpx itself reads a refused answer, and fails as it would without us."""
    client = calling()
    client.get(hostile.me)
    hostile.revoke()
    hostile.next_call(*script)
    if isinstance(client, Requests):
        assert client.get(hostile.me, timeout=SHORT).history == [401]
    else:
        with pytest.raises(client.error) as caught:
            client.get(hostile.me, timeout=SHORT)
        assert not isinstance(caught.value, TestpressAuthError)
        assert len(hostile.logins) == 1
    recovered = client.get(hostile.me)
    assert (recovered.status, recovered.history) == (200, [])
    assert len(hostile.logins) == 2
    assert hostile.is_quiet()


@pytest.mark.parametrize("script", [[close], [reset], [b"HTTP/1.1 2", close], [b"nonsense\r\n\r\n"], [silence]])
def test_a_call_that_fails_is_the_clients_own_error_and_costs_no_login(
    calling: Open, hostile: HostileServer, script: Script
) -> None:
    """The same as without us: the client's error, nothing sent again; the token stays."""
    client = calling()
    client.get(hostile.me)
    hostile.next_call(*script)
    with pytest.raises(client.error) as caught:
        client.get(hostile.me, timeout=SHORT / 2)
    assert not isinstance(caught.value, TestpressAuthError)
    assert client.get(hostile.me).status == 200
    assert (len(hostile.logins), len(hostile.calls)) == (1, 3)


@every_client
@pytest.mark.parametrize("status", [400, 403, 404, 407, 429, 500, 503])
def test_any_other_status_is_handed_over_and_nothing_is_sent_again(
    calling: Open, hostile: HostileServer, status: int
) -> None:
    """J3."""
    hostile.every_call(answer(status, {"detail": "no"}, {"Retry-After": "0"}))
    client = calling()
    for _ in range(3):
        handed = client.get(hostile.me)
        assert (handed.status, handed.history, handed.body) == (status, [], b'{"detail": "no"}')
    assert (len(hostile.logins), len(hostile.calls)) == (1, 3)


def test_a_kept_connection_that_closes_between_two_calls_is_no_matter(calling: Open, hostile: HostileServer) -> None:
    """As without us; and a login finds another, too."""
    client = calling()
    for _ in range(3):
        hostile.next_call(answer(200), close)
        assert client.get(hostile.me).status == 200
        assert hostile.is_quiet()
    assert len(hostile.logins) == 1
    client.ask("invalidate")
    assert client.get(hostile.me).status == 200
    assert len(hostile.logins) == 2


def test_a_kept_connection_that_closes_under_a_login(calling: Open, hostile: HostileServer) -> None:
    """L6: sent again; through the caller's httpx client it is httpx's own error, as for any call (L2)."""
    client = calling(_clock=HurriedClock().local)
    client.get(hostile.me)
    client.ask("invalidate")
    hostile.next_login(close)
    if not isinstance(client, Requests):
        with pytest.raises(client.own(httpx.RemoteProtocolError)):
            client.get(hostile.me)
    assert client.get(hostile.me).status == 200
    assert len(hostile.logins) == 3


# --- a token that is refused, for ever or in a storm


def statuses(found: list[Answer | BaseException]) -> Counter[Any]:
    return Counter(each.status if isinstance(each, Answer) else repr(each) for each in found)


#: Threads or tasks at once. (200 tasks are 8 seconds' work for httpx's connection pool.)
crowds = pytest.mark.parametrize(
    ("kind", "crowd"),
    [
        *[(kind, 20 if "-" in kind else 50) for kind in CALLERS],
        *[pytest.param(kind, 200, marks=pytest.mark.slow) for kind in CALLERS],
    ],
    indirect=["kind"],
)


@crowds
def test_a_storm_on_a_server_that_refuses_everything_costs_two_logins(
    calling: Open, hostile: HostileServer, clock: ManualClock, crowd: int
) -> None:
    """J4: one to begin with, and one for the token that was never accepted; the next after `min_interval`."""
    hostile.every_call(answer(401, {"detail": "no"}))
    client = calling(_clock=clock.local)
    assert statuses(client.many(crowd, hostile.me)) == {401: crowd}
    assert len(hostile.logins) == 2
    clock.advance(4.9)
    assert statuses(client.many(10, hostile.me)) == {401: 10}
    assert len(hostile.logins) == 2
    clock.advance(0.2)
    assert statuses(client.many(10, hostile.me)) == {401: 10}
    assert len(hostile.logins) == 3


def test_a_storm_of_403s_costs_no_login(calling: Open, hostile: HostileServer) -> None:
    """J3."""
    hostile.every_call(answer(403, {"error_code": "parallel_login_restriction"}))
    client = calling()
    assert statuses(client.many(20, hostile.me)) == {403: 20}
    assert (len(hostile.logins), len(hostile.calls)) == (1, 20)


def test_401s_that_arrive_after_the_new_login_cost_no_other(calling: Open, hostile: HostileServer) -> None:
    """J1: requests in flight with the old token use the later one."""
    client = calling()
    client.get(hostile.me)
    held = threading.Event()
    for _ in range(5):
        hostile.next_call(once(held), answer(401))
    found: list[Answer | BaseException] = []
    crowd_of_five = threading.Thread(target=lambda: found.extend(client.many(5, hostile.me)))
    crowd_of_five.start()
    assert hostile.saw(calls=6)
    hostile.revoke()
    assert client.get(hostile.me).history == [401]
    assert len(hostile.logins) == 2
    held.set()
    crowd_of_five.join(20)
    assert statuses(found) == {200: 5}
    assert [each.history for each in found if isinstance(each, Answer)] == [[401]] * 5
    assert len(hostile.logins) == 2


@crowds
@pytest.mark.parametrize("same_token", [True, False])
def test_a_crowd_with_a_revoked_token_costs_one_login_and_sees_no_401(
    caller: Open, server: StandInServer, clock: ManualClock, me: str, same_token: bool, crowd: int
) -> None:
    """J1, S1: also where the new login brings the same string (a frozen clock)."""
    client = caller()
    before = client.ask("token")
    assert client.get(me).status == 200
    server.revoke_all()
    if not same_token:
        clock.advance(1)
    server.forget()
    server.latency = server.login_latency = 0.02
    assert statuses(client.many(crowd, me)) == {200: crowd}
    assert server.logins == 1
    assert (client.ask("token") == before) is same_token


# --- hooks, redirects, and a client whose own auth sends the login


def hook(client: Caller, look: Callable[[Any], object]) -> None:
    """Have the client call this for each answer."""

    async def awaited(response: Any) -> None:
        look(response)

    if isinstance(client, Requests):
        client.session.hooks["response"].append(lambda response, **_: look(response) and None)
    else:
        chosen = awaited if isinstance(client, AsyncHttpx) else look
        client.client.event_hooks = {"response": [chosen]}  # type: ignore[attr-defined]


def raise_for_status(response: Any) -> None:
    response.raise_for_status()


def test_a_token_refused_under_a_raise_for_status_hook_is_replaced_in_the_end(
    calling: Open, hostile: HostileServer
) -> None:
    """L2, J1: on requests ours comes first, and nothing is seen; on httpx one call fails, and the next logs in."""
    client = calling()
    hook(client, raise_for_status)
    client.get(hostile.me)
    hostile.revoke()
    if not isinstance(client, Requests):
        with pytest.raises(client.own(httpx.HTTPStatusError), match="401"):
            client.get(hostile.me)
    assert client.get(hostile.me).status == 200
    assert len(hostile.logins) == 2


def test_a_refusal_under_a_raise_for_status_hook_is_remembered(calling: Open, hostile: HostileServer) -> None:
    """L2, L7: a wrong password is sent once; on httpx the first to hear of it hears the hook."""
    hostile.every_login(answer(400, {"non_field_errors": ["Unable to log in."]}))
    client = calling()
    hook(client, raise_for_status)
    with pytest.raises(InvalidCredentials if isinstance(client, Requests) else client.own(httpx.HTTPStatusError)):
        client.get(hostile.me)
    for _ in range(3):
        with pytest.raises(InvalidCredentials, match="400"):
            client.get(hostile.me)
    assert len(hostile.logins) == 1


@pytest.mark.parametrize("status", [404, 500])
def test_a_raise_for_status_hook_raises_on_calls_and_costs_no_login(
    calling: Open, hostile: HostileServer, status: int
) -> None:
    client = calling()
    hook(client, raise_for_status)
    client.get(hostile.me)
    for _ in range(3):
        hostile.next_call(answer(status))
        with pytest.raises(client.error, match=str(status)):
            client.get(hostile.me)
    assert client.get(hostile.me).status == 200
    assert len(hostile.logins) == 1


def test_a_redirect_to_a_host_that_answers_401_shows_it_nothing_whatever_hooks_there_are(
    calling: Open, hostile: HostileServer, foreign: HostileServer
) -> None:
    """J3, O1: hooks, ours and the caller's, travel along redirects, also after a replay."""
    foreign.every_call(answer(401, {"detail": "log in, will you"}))
    client = calling()
    seen: list[int] = []
    hook(client, lambda response: seen.append(response.status_code))
    client.get(hostile.me)
    hostile.revoke()
    hostile.next_call(answer(401))
    hostile.next_call(answer(302, headers={"Location": foreign.me}))
    assert client.get(hostile.me, **client.redirects).status == 401
    assert [call.header("Authorization") for call in foreign.calls] == [None]
    assert (len(hostile.logins), len(foreign.logins)) == (2, 0)
    assert seen[-2:] == [302, 401]


@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_a_client_whose_own_auth_sends_its_logins_through_it_goes_round_no_circle(
    calling: Open, hostile: HostileServer, status: int
) -> None:
    """L2: `session=` or `client=` with this very object as its auth; also when the login is answered 401."""
    client = calling()
    way = client.session if isinstance(client, Requests) else client.client  # type: ignore[attr-defined]
    options = {"session" if isinstance(client, Requests) else "client": way, "base_url": hostile.url}
    way.auth = client.auth = client.page.TestpressJWTAuth("testpress", "demo", **options)
    if status != 200:
        hostile.every_login(answer(status, {"detail": "no"}))
        for _ in range(2):
            with pytest.raises(InvalidCredentials):
                client.get(hostile.me)
        assert (len(hostile.logins), len(hostile.calls)) == (1, 0)
        return
    client.get(hostile.me)
    hostile.revoke()
    assert client.get(hostile.me).history == [401]
    assert [login.header("Authorization") for login in hostile.logins] == [None, None]


# --- bodies


class Upload(NamedTuple):
    """A body, and what of it the server must see, twice."""

    how: dict[str, Any]
    holds: bytes


MEGABYTE: Final = bytes(range(256)) * 4096


def at_3(content: bytes) -> io.BytesIO:
    file = io.BytesIO(content)
    file.seek(3)
    return file


UPLOADS: Final[dict[str, Callable[[], Upload]]] = {
    "empty": lambda: Upload({"content": b""}, b""),
    "1 MB": lambda: Upload({"content": MEGABYTE}, MEGABYTE),
    "1 MB of text": lambda: Upload({"content": "text" * 250_000}, b"text" * 250_000),
    "1 MB of JSON": lambda: Upload({"json": ["a" * 1_000_000]}, b"a" * 1_000_000),
    "a multipart file of 1 MB": lambda: Upload({"files": {"f": ("name", io.BytesIO(MEGABYTE))}}, MEGABYTE),
    # requests sends it from there; httpx from its beginning, the first time already.
    "a multipart file that stands at 3": lambda: Upload({"files": {"f": ("name", at_3(b"0123456789"))}}, b"3456789"),
    "two multipart files and a form": lambda: Upload(
        {"data": {"a": "b"}, "files": [("f", ("1", at_3(b"0123456789"))), ("f", ("2", io.BytesIO(b"second")))]},
        b"second",
    ),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_a_large_or_peculiar_body_is_sent_again_byte_for_byte(
    caller: Open, server: StandInServer, clock: ManualClock, name: str
) -> None:
    """J2."""
    client = caller()
    client.ask("token")
    server.revoke_all()
    clock.advance(1)
    how, holds = UPLOADS[name]()
    sent = client.call("POST", f"{server.url}/api/v2.2/echo/", **how)
    assert (sent.status, sent.history) == (200, [401])
    first, second = server.api_requests
    assert first.body == second.body == sent.body
    assert holds in second.body


class Parts(httpx.SyncByteStream):
    """A stream of the caller's own."""

    def __iter__(self) -> Iterator[bytes]:
        yield from (b"one", b"two")


class AsyncParts(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in (b"one", b"two"):
            yield part


def encoded() -> Any:
    toolbelt = pytest.importorskip("requests_toolbelt")
    return toolbelt.MultipartEncoder({"f": ("name", io.BytesIO(b"onetwo"), "text/plain")}, boundary="b")


def plain_file() -> Iterator[bytes]:
    file = io.BytesIO(b"onetwo")
    return iter(lambda: file.read(4), b"")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("requests", encoded),
        ("requests", plain_file),
        ("httpx", plain_file),
        ("httpx", lambda: io.BytesIO(b"onetwo")),  # one that stands elsewhere httpx itself cannot send
        ("httpx", Parts),
        ("httpx-asyncio", AsyncParts),
        ("httpx-trio", AsyncParts),
    ],
    indirect=["kind"],
)
def test_a_body_that_can_be_read_once_is_never_sent_empty_or_half(
    caller: Open, server: StandInServer, clock: ManualClock, body: Callable[[], Any]
) -> None:
    """J2: the 401 is handed over; the token is dropped, and the next request logs in."""
    client = caller()
    client.get(f"{server.url}/api/v2.2/me/")
    server.revoke_all()
    clock.advance(1)
    server.forget()
    url = f"{server.url}/api/v2.2/echo/"
    handed = client.call("POST", url, content=body())
    assert (handed.status, handed.history) == (401, [])
    assert client.call("POST", url, content=body()).status == 200
    first, second = server.api_requests
    assert first.body == second.body
    assert b"onetwo" in first.body
    assert server.logins == 1


# --- answers that are streamed


def streamed(client: Caller, url: str, after_the_first: Callable[[], object]) -> tuple[int, bytes, bytes]:
    """Stream an answer: its status, what it begins with, and what comes once `after_the_first` was called."""
    if isinstance(client, Requests):
        with client.session.get(url, stream=True, timeout=5) as response:
            chunks = response.iter_content(None)
            first = next(chunks)
            after_the_first()
            return response.status_code, first, b"".join(chunks)
    if isinstance(client, AsyncHttpx):
        opened: Any = client.client

        async def run() -> tuple[int, bytes, bytes]:
            async with opened.stream("GET", url, timeout=5) as response:
                chunks = response.aiter_raw()
                first = await anext_of(chunks)
                after_the_first()
                return response.status_code, first, b"".join([chunk async for chunk in chunks])

        result: tuple[int, bytes, bytes] = client.portal.call(run)
        return result
    with client.client.stream("GET", url, timeout=5) as response:  # type: ignore[attr-defined]
        chunks = response.iter_raw()
        first = next(chunks)
        after_the_first()
        return response.status_code, first, b"".join(chunks)


async def anext_of(chunks: AsyncIterator[bytes]) -> bytes:
    return await chunks.__anext__()


@pytest.mark.parametrize("revoked", [False, True])
def test_nothing_is_read_ahead_of_a_streamed_answer(calling: Open, hostile: HostileServer, revoked: bool) -> None:
    """Its beginning is there before its end exists; also after a 401."""
    opened = threading.Event()
    client = calling()
    client.get(hostile.me)
    if revoked:
        hostile.revoke()
        hostile.next_call(answer(401))
    hostile.next_call(head(OK, CHUNKED), chunk(b"first"), once(opened), chunk(b"rest"), b"0\r\n\r\n")
    assert streamed(client, hostile.me, opened.set) == (200, b"first", b"rest")
    assert len(hostile.logins) == 1 + revoked


@pytest.mark.slow
def test_a_401_that_never_ends_holds_up_no_streamed_call(calling: Open, hostile: HostileServer) -> None:
    """J1: nobody wants its body; without us the caller would have had its head at once."""
    opened = threading.Event()
    client = calling()
    client.get(hostile.me)
    hostile.revoke()
    hostile.next_call(head(NO, CHUNKED), chunk(b"x" * 65536) * 20, once(opened), b"0\r\n\r\n")
    hostile.next_call(answer(200, b"all"))
    found: list[tuple[int, bytes, bytes]] = []
    call = threading.Thread(target=lambda: found.append(streamed(client, hostile.me, lambda: None)))
    call.start()
    call.join(10)
    in_time = not call.is_alive()
    opened.set()
    call.join(20)
    assert found == [(200, b"all", b"")]
    assert in_time
