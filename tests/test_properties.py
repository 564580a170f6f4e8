"""What holds for any answer, any token, any clock and any URL, not only for those somebody thought of.

Each property is tried on a few dozen examples, the same ones each time; `-m slow` tries thousands.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from math import floor, inf, isfinite, nan
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import httpcore
import httpx
import pytest
import requests
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from requests.utils import check_header_validity
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

import testpress_auth.httpx
import testpress_auth.requests
from testpress_auth import ConfigurationError, RefreshPolicy, Token
from testpress_auth._address import checked_url
from testpress_auth._credentials import Credentials, Secret
from testpress_auth._failure import Failure
from testpress_auth._login import login_request, read_reply
from testpress_auth._origin import Origin, origin_of
from testpress_auth._policy import time_left
from testpress_auth._reply import Reply, http_date, retry_after
from testpress_auth._settings import Settings
from testpress_auth._steps import Send
from testpress_auth._token import Login

Check = Callable[..., None]
URL = "https://lms.example.com/api/v2.2/auth-token/"
NOW = 1_800_000_000.25


def holds(*examples: dict[str, Any], few: int = 60, many: int = 600, **drawn: Any) -> Callable[[Check], Check]:
    """Make a property a test of few examples, and a slow one of many; `examples` are always among them."""

    def decorate(check: Check) -> Check:
        @pytest.mark.parametrize(
            "number",
            [
                pytest.param(few, id="few"),
                pytest.param(many, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
            ],
        )
        def test(number: int) -> None:
            property_ = given(**drawn)(check)
            for each in examples:
                property_ = example(**each)(property_)
            settings(
                max_examples=number,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            )(property_)()

        test.__doc__ = check.__doc__
        return test

    return decorate


def tried(make: Callable[[], Any], *errors: type[Exception]) -> Any:
    """Return what is made, or the error of one of these kinds."""
    try:
        return make()
    except errors as error:
        return error


# What is drawn: JSON of any kind, JWTs of any kind, and what is almost one of them

numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.integers(min_value=10**300, max_value=10**320),
    st.integers(min_value=1_700_000_000, max_value=1_900_000_000),
)
known_keys = st.sampled_from(["token", "detail", "message", "error", "non_field_errors", "error_code", "exp", "iat"])
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=20), st.just("\ud800")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(known_keys, st.text(max_size=5)), inner, max_size=3)
    ),
    max_leaves=8,
)


def _segment(value: object, padded: bool = False) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    text = base64.urlsafe_b64encode(content).decode()
    return text if padded else text.rstrip("=")


@st.composite
def almost_tokens(draw: st.DrawFn) -> str:
    """A JWT whose header and payload are anything, and now and then something that is none."""
    anything = st.one_of(json_values, st.binary(max_size=30))
    header = draw(
        st.one_of(
            st.just({"alg": "HS256", "typ": "JWT"}),
            st.dictionaries(st.sampled_from(["alg", "typ", "crit", "kid", "b64", "zip", "cty"]), json_values),
            anything,
        )
    )
    payload = draw(st.one_of(st.dictionaries(known_keys, json_values, max_size=4), anything))
    padded = draw(st.booleans())
    segments = [_segment(header, padded), _segment(payload, padded), _segment(draw(st.binary(max_size=40)), padded)]
    around = st.sampled_from(["", "", "", "\r\n", "\n", " ", "\0", ".", "=", "\u00e9", "\x7f", "\t", "a" * 9000])
    return draw(around) + ".".join(segments[: draw(st.sampled_from([3, 3, 3, 3, 2, 1]))]) + draw(around)


JWT = ".".join([_segment({"alg": "HS256", "typ": "JWT"}), _segment({"exp": 1_800_000_300}), "c2ln"])
ODD_TOKENS = [
    JWT,
    *[JWT + odd for odd in ["\r\n", "\n", "\r", " ", "\t", "\0", "\x7f", "\u00e9", "=", ".", ".x"]],
    *[odd + JWT for odd in ["\r\n", " ", "\t", "=", "."]],
    JWT.replace(".", ".\n", 1),
    JWT + "a" * 8192,
    "",
    "..",
    *[
        f"{_segment({'alg': 'HS256'})}.{_segment(payload)}.c2ln"
        for payload in [b"1" * 5000, b"\xff", b"[" * 5000, b"{}", b"[]"]
    ],
    *[
        f"{_segment(header)}.{_segment({})}.c2ln"
        for header in [b"1" * 3000, b"\xff", b"[" * 3000, {"b64": False}, {"kid": 5}]
    ],
]


@st.composite
def tokens_with_something_odd(draw: st.DrawFn) -> str:
    at = draw(st.integers(0, len(JWT)))
    return JWT[:at] + draw(st.one_of(st.text(max_size=2), st.sampled_from(["\r\n", "\n", " ", "\0"]))) + JWT[at:]


@st.composite
def tokens_saying(draw: st.DrawFn, claims: st.SearchStrategy[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    said = draw(claims)
    return ".".join([_segment({"alg": "HS256", "typ": "JWT"}), _segment(said), "c2ln"]), said


# Headers: a date, something like a date, a number, or anything

moments = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2068, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=timezone.utc)
)
DATE_FORMATS = {
    "IMF-fixdate": "%a, %d %b %Y %H:%M:%S GMT",
    "RFC 850": "%A, %d-%b-%y %H:%M:%S GMT",
    "asctime": "%a %b %d %H:%M:%S %Y",
}


@st.composite
def almost_dates(draw: st.DrawFn) -> str:
    written = draw(moments).strftime(draw(st.sampled_from(list(DATE_FORMATS.values()))))
    words = written.split(" ")
    odd = st.one_of(
        st.text(max_size=8), st.sampled_from(["+9999", "-0000", "+0530", ":", "::", "-", ",", "0", "99999"])
    )
    for _ in range(draw(st.integers(0, 2))):
        words[draw(st.integers(0, len(words) - 1))] = draw(odd)
    return draw(st.sampled_from([" ", "-", ":", ",", "  "])).join(words) if draw(st.booleans()) else " ".join(words)


waits = st.one_of(
    numbers.map(str),
    almost_dates(),
    st.text(max_size=20),
    st.sampled_from(["1e400", "nan", "-0", "1_0", " 5 ", "", "٣"]),
)
header_maps = st.fixed_dictionaries(
    {},
    optional={
        "location": st.one_of(
            st.text(max_size=40), st.sampled_from(["https://[", "//[x]/", "http://a:b:c@d/", "?", ""])
        ),
        "retry-after": waits,
        "date": waits,
        "content-type": st.text(max_size=20),
    },
)
texts_of_waiting = st.one_of(waits, st.text(st.sampled_from("0123456789."), max_size=14)).map(
    lambda wait: json.dumps({"detail": f"Expected available in {wait} seconds."}).encode()
)
bodies = st.one_of(
    st.none(),
    st.binary(max_size=40),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.builds(
        lambda value, as_: json.dumps(value).encode(as_),
        json_values,
        st.sampled_from(["utf-16", "utf-32", "utf-8-sig"]),
    ),
    st.one_of(almost_tokens(), tokens_with_something_odd()).map(lambda raw: json.dumps({"token": raw}).encode()),
    tokens_saying(st.dictionaries(known_keys, json_values, max_size=3)).map(
        lambda made: json.dumps({"token": made[0]}).encode()
    ),
    texts_of_waiting,
    st.sampled_from([b"[" * 100_000, b'{"detail":' * 50_000, b"1" * 5_000, b'{"token": ' + b"1" * 5_000 + b"}"]),
)
statuses = st.one_of(st.sampled_from([200, 201, 302, 307, 400, 401, 403, 429, 500, 503]), st.integers(0, 999))


def _reply(status: int, body: bytes | None, headers: dict[str, str], trouble: str | None = None) -> Reply:
    return Reply(status=status, headers=headers, body=body, trouble=trouble, late=False, last=False)


# L5, L6: the login's answer


def _stands_in_a_header(token: Token) -> bool:
    header = f"JWT {token.raw}"
    check_header_validity(("Authorization", header))
    assert httpx.Headers({"Authorization": header}).raw == [(b"Authorization", header.encode("ascii"))]
    return header.isascii() and header.isprintable() and " " not in token.raw and 0 < len(token.raw) <= 8 * 1024


@holds(
    *[
        {"status": status, "body": b"[" * 60_000, "headers": {}, "trouble": None, "late": False}
        for status in (200, 400, 429)
    ],
    few=80,
    status=statuses,
    body=bodies,
    headers=header_maps,
    trouble=st.sampled_from([None, None, "a body of more than 64 KiB"]),
    late=st.sampled_from([False, False, False, True]),
)
def test_any_answer_to_the_login_is_a_token_or_an_error_of_ours(
    status: int, body: bytes | None, headers: dict[str, str], trouble: str | None, late: bool
) -> None:
    """L5: and a token always stands in a header line."""
    answer = Reply(status=status, headers=headers, body=body, trouble=trouble, late=late, last=False)
    result = read_reply(answer, URL, Secret("open sesame"), now=NOW, timeout=10.0)
    if isinstance(result, Token):
        assert 200 <= status < 300
        assert _stands_in_a_header(result)
        assert isinstance(result.claims, dict)
        return
    assert isinstance(result, Failure)
    error = result.error(result.message, **result.fields)
    assert str(error) == result.message
    assert result.message.isprintable()
    assert result.pause is None or (isfinite(result.pause) and result.pause >= 0)
    assert result.pause is None or status == 429 or status >= 500  # L6


@holds(status=st.integers(200, 299), made=tokens_saying(st.dictionaries(known_keys, json_values)), more=json_values)
def test_a_jwt_in_a_2xx_is_read_whatever_stands_around_it(
    status: int, made: tuple[str, dict[str, Any]], more: Any
) -> None:
    """L5."""
    body = json.dumps({"more": more, "token": made[0]}).encode()
    assert read_reply(_reply(status, body, {}), URL, Secret("secret"), now=NOW, timeout=10.0) == Token.parse(made[0])


# X1: the password is in no message, whatever the server echoes

characters = st.one_of(
    st.sampled_from("aZ09&<>\"'%+ /\\?#@:;=*.\n\t\r\u00e4\u20ac\U0001f600\x7f\x00"),
    st.characters(exclude_categories=["Cs"]),
)
special = st.sampled_from(
    ["&", "<", '"', "'", "%", "+", " ", "/", "\\", "?", "\t", "\r\n", "\u00e4", "%41", "&amp;", "\x7f"]
)
passwords = st.one_of(
    st.text(characters, min_size=4, max_size=12),
    st.tuples(
        st.text(characters, max_size=4), special, st.text(characters, max_size=4), special, st.text(characters)
    ).map(lambda parts: "".join(parts)[:16]),
    st.tuples(
        st.sampled_from(["", " ", "\t"]), st.text(characters, min_size=4), st.sampled_from([" ", "\n", " \t"])
    ).map("".join),
).filter(lambda text: len(text.strip()) >= 4)
FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "stripped": str.strip,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "percent": lambda text: quote(text, safe=""),
    "percent with slashes": quote,
    "percent where it must": lambda text: quote(text, safe="/+:@&=,;$!*'()"),
    "form": quote_plus,
    "HTML": html.escape,
    "HTML as Django writes it": lambda text: html.escape(text).replace("&#x27;", "&#39;"),
}
AROUND: dict[str, Callable[[str], bytes]] = {
    "detail": lambda text: json.dumps({"detail": text}).encode(),
    "a list": lambda text: json.dumps({"non_field_errors": ["Unable.", text]}).encode(),
    "a field's error": lambda text: json.dumps({"password": [text]}, ensure_ascii=False).encode(),
    "a nested message": lambda text: json.dumps({"detail": {"error_code": "x", "message": text}}).encode(),
    "a key": lambda text: json.dumps({text: ["unknown field"]}).encode(),
    "a key of a key": lambda text: json.dumps({"detail": {text: text}}).encode(),
    "a token": lambda text: json.dumps({"token": text}).encode(),
    "a page": lambda text: f"<p>{text}</p>".encode(),
    "no JSON": lambda text: f'{{"detail": "{text}"}}'.encode(),
}
LOCATIONS = [
    "https://lms.example.com/{}",
    "https://u:{}@lms.example.com/",
    "//{}/x",
    "/x?p={}",
    "/x#{}",
    "{}",
    "{}://x/y",
]


@holds(
    {"status": 400, "password": "pa ss&wo<rd", "before": "", "after": "", "around": "detail", "location": "{}"},
    {"status": 301, "password": "\x08000", "before": "", "after": "", "around": "detail", "location": "{}"},
    {"status": 302, "password": " 100%\t+\u00e4 ", "before": "x", "after": "", "around": "a key", "location": "/x/{}"},
    few=60,
    status=st.sampled_from([200, 301, 302, 400, 401, 403, 404, 429, 500]),
    password=passwords,
    before=st.text(characters, max_size=4).filter(lambda text: "%" not in text),
    after=st.text(characters, max_size=4),
    around=st.sampled_from(list(AROUND)),
    location=st.sampled_from(LOCATIONS),
)
def test_no_message_and_no_field_repeats_the_password(
    status: int, password: str, before: str, after: str, around: str, location: str
) -> None:
    """X1: not as it is, nor in the form in which the server wrote it."""

    def shown(said: str) -> str:
        answer = _reply(status, AROUND[around](said), {"location": location.format(said)})
        result = read_reply(answer, URL, Secret(password), now=NOW, timeout=10.0)
        assert isinstance(result, Failure)
        assert "<secret>" not in result.message
        fields = [str(value) for value in result.fields.values()]
        return "\n".join([result.message, *fields, str(result.cause)])

    ours = shown(before + after)
    assume(password not in ours)
    visible = "".join(character if character.isprintable() else " " for character in password)
    for name, write in FORMS.items():
        form = write(password)
        for said in (before + form + after, form, form * 2):
            everything = shown(said)
            assert password not in everything
            assert name != "raw" or visible in ours or visible not in everything
            assert form in ours or form not in everything


@holds(password=passwords, username=passwords, callable_=st.booleans())
def test_no_object_shows_the_password(password: str, username: str, callable_: bool) -> None:
    """X1: in repr, str and format."""
    secret = Secret(password)
    given_password: Any = (lambda: password) if callable_ else password
    settings_ = Settings(username, given_password, subdomain="demo")
    request = login_request(URL, username, secret, {"X-Device-UID": "abc"})
    objects = [
        secret,
        {"password": secret},
        Credentials(username, given_password),
        settings_,
        settings_.credentials.password(),
        request,
        request.body,
        Send(request=request, deadline=1.0),
        testpress_auth.requests.TestpressJWTAuth(username, given_password, subdomain="demo"),
        testpress_auth.httpx.TestpressJWTAuth(username, given_password, subdomain="demo"),
    ]
    forms = (password, repr(password)[1:-1])
    ours = repr(
        [Secret("x"), login_request(URL, username, Secret("x"), {}), settings_, BY_HTTPX, BY_REQUESTS, username]
    )
    assume(
        not any(
            form in ours + "Credentials(username=Send(deadline=1.0, request= at https://demo.testpress.in"
            for form in forms
        )
    )
    for each in objects:
        for text in (repr(each), str(each), f"{each}", repr([each])):
            assert not any(form in text for form in forms)


# T1, T2: the token


@holds(
    *[{"raw": raw} for raw in ODD_TOKENS],
    few=60,
    raw=st.one_of(almost_tokens(), tokens_with_something_odd(), st.text(max_size=40)),
)
def test_any_text_is_a_token_or_a_value_error_that_does_not_show_it(raw: str) -> None:
    """L5, X1."""
    token = tried(lambda: Token.parse(raw), ValueError)
    if isinstance(token, ValueError):
        assert len(raw) < 12 or raw not in str(token)
        assert token.__context__ is None
        return
    assert token.raw == raw
    assert _stands_in_a_header(token)
    assert raw not in repr(token)
    assert raw not in str(token)


def _counts(claim: Any) -> bool:
    if isinstance(claim, bool) or not isinstance(claim, (int, float)):
        return False
    return isfinite(claim) if isinstance(claim, float) else abs(claim) < 2**1024 - 2**970


claims = st.one_of(
    st.booleans(),
    st.sampled_from([nan, inf, -inf]),
    st.floats(),
    numbers,
    st.text(max_size=3),
    numbers.map(str),
    st.none(),
    json_values,
)


@holds(
    few=100,
    made=tokens_saying(st.fixed_dictionaries({"exp": claims}, optional={"iat": claims})),
)
def test_an_exp_counts_only_as_a_finite_number(made: tuple[str, dict[str, Any]]) -> None:
    """T2."""
    raw, said = made
    token = Token.parse(raw)
    for name, found in (("exp", token.expires_at), ("iat", token.issued_at)):
        assert found == (float(said[name]) if _counts(said.get(name)) else None)
        assert found is None or isinstance(found, float)


# L6: Retry-After and dates


@holds(few=80, headers=header_maps, body=bodies, now=st.floats(-1e12, 1e12))
def test_what_a_429_asks_to_wait_is_a_number_of_seconds_or_nothing(
    headers: dict[str, str], body: bytes | None, now: float
) -> None:
    """L6."""
    wait = retry_after(_reply(429, body, headers), now)
    assert wait is None or (isinstance(wait, float) and isfinite(wait) and wait >= 0)


@holds(moment=moments, form=st.sampled_from(list(DATE_FORMATS)))
def test_a_date_is_read_in_each_of_its_three_forms(moment: datetime, form: str) -> None:
    """L6, T3 (RFC 9110 section 5.6.7)."""
    text = moment.strftime(DATE_FORMATS[form])
    assert http_date(text) == moment.timestamp()


@holds(
    seconds=st.integers(0, 10**6),
    as_date=st.booleans(),
    off=st.floats(-1e8, 1e8),
    moment=moments,
    body=bodies,
)
def test_a_retry_after_means_what_it_says_whatever_our_clock_says(
    seconds: int, as_date: bool, off: float, moment: datetime, body: bytes | None
) -> None:
    """L6: a date is compared with the server's own."""
    form = DATE_FORMATS["IMF-fixdate"]
    then = datetime.fromtimestamp(moment.timestamp() + seconds, timezone.utc)
    headers = {"retry-after": then.strftime(form) if as_date else str(seconds), "date": moment.strftime(form)}
    assert retry_after(_reply(429, body, headers), moment.timestamp() + off) == seconds


# T3, T4: what a fresh token has left

MOMENT = 1e-6  # seconds: what floats of Unix times are off by


@holds(
    few=80,
    sent=st.floats(1.7e9, 1.9e9),
    took=st.one_of(st.floats(0, 2), st.floats(0, 60)),
    lives=st.one_of(st.integers(1, 5), st.integers(1, 10**6)),
    off=st.one_of(st.floats(-3, 3), st.floats(-1e9, 1e9)),
    by_date=st.booleans(),
)
def test_a_wrong_clock_never_makes_a_token_last_longer_and_never_halves_it(
    sent: float, took: float, lives: int, off: float, by_date: bool
) -> None:
    """T3: by true clocks, `sent` is when the login was sent and `made` when the server made the token."""
    made = sent + took
    second = floor(made)
    token = Token("x", expires_at=float(second + lives), issued_at=None if by_date else float(second))
    left = time_left(token, date=float(second) if by_date else None, sent=sent + off)
    assert left is not None  # T4 is for those that are past already
    late = left - (second + lives - sent)
    agrees = floor(sent + off) == second
    # Late only where our clock falls in the server's second, or where half of what is left is more than its end.
    assert late <= (1 if agrees or lives < 2 else 0) + MOMENT
    # Early at most by the second's end and by what the login took.
    assert late >= -(took + 1) - MOMENT
    if not agrees:
        assert left >= (second + lives - made) / 2 - MOMENT
    assert 0 < left <= lives


@holds(
    exp=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    iat=st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    date=st.one_of(st.none(), st.floats(-1e11, 1e12)),
    sent=st.floats(-1e12, 1e12),
)
def test_what_is_left_is_nothing_known_or_more_than_nothing(
    exp: float | None, iat: float | None, date: float | None, sent: float
) -> None:
    """T4: no numbers of the server's break it or make a token that is due at once, again and again."""
    left = time_left(Token("x", expires_at=exp, issued_at=iat), date=date, sent=sent)
    assert left is None or left > 0


@holds(lives=st.integers(1, 10**6), sent=st.floats(1.7e9, 1.9e9), later=st.floats(0, 10**6))
def test_with_a_right_clock_and_a_quick_login_what_is_left_is_exact(lives: int, sent: float, later: float) -> None:
    """T3."""
    token = Token("x", expires_at=float(floor(sent) + lives), issued_at=float(floor(sent)))
    assert time_left(token, date=sent + later, sent=sent) == pytest.approx(floor(sent) + lives - sent, abs=MOMENT)


# F1, F2: when to log in again


@holds(
    few=80,
    leeway=st.floats(0, 1e12),
    ahead=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.8, 0.95, 1.0])),
    jitter=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.1, 1.0])),
    sent=st.floats(0, 1e9),
    lifetime=st.one_of(st.floats(1e-3, 1e9), st.just(inf)),
    draw=st.one_of(st.floats(0, 1, exclude_max=True), st.sampled_from([0.5, 0.999])),
)
def test_a_token_is_renewed_and_given_up_within_its_life(
    leeway: float, ahead: float, jitter: float, sent: float, lifetime: float, draw: float
) -> None:
    """F1: given up at most a tenth, and at most the leeway, before its end. F2: due within it, or never."""
    policy = RefreshPolicy(leeway, ahead, jitter)
    login = Login(Token("x"), sent_at=sent, lifetime=lifetime, draw=draw)
    stale, due = policy.stale_at(login), policy.due_at(login)
    if lifetime == inf:
        assert stale == due == inf
        return
    assert sent <= stale <= login.expires
    given_up = login.expires - stale
    assert given_up <= min(leeway, lifetime / 10) + MOMENT
    assert given_up == pytest.approx(min(leeway, lifetime / 10), abs=MOMENT)
    if ahead == 1:
        assert due == inf
    else:
        assert sent <= due <= login.expires
        assert due >= sent + lifetime * ahead - MOMENT
        assert due <= sent + lifetime * min(ahead + jitter, 1) + MOMENT


@holds(
    value=st.one_of(numbers, st.text(max_size=5), st.none(), st.booleans()),
    setting=st.sampled_from(["leeway", "ahead"]),
)
def test_a_refresh_setting_is_taken_as_it_is_or_refused_by_name(value: Any, setting: str) -> None:
    """F3."""
    policy = tried(lambda: RefreshPolicy(**{setting: value}), ConfigurationError)
    if isinstance(policy, ConfigurationError):
        assert policy.setting == setting
    else:
        assert 0 <= getattr(policy, setting) < inf
        assert getattr(policy, setting) == float(value)


# O1, O2: where the token may go. What decides is where the clients would connect to.

ALLOWED = {
    "https://demo.testpress.in": Origin("https", "demo.testpress.in", 443),
    "https://lms.example.com:8443": Origin("https", "lms.example.com", 8443),
    "http://127.0.0.1:8000": Origin("http", "127.0.0.1", 8000),
    "http://[::1]:8000": Origin("http", "::1", 8000),
    "https://[2001:db8::1]": Origin("https", "2001:db8::1", 443),
    "https://xn--bcher-kva.example": Origin("https", "xn--bcher-kva.example", 443),
}
HOSTS = [
    "demo.testpress.in",
    "Demo.TESTPRESS.in",
    "demo.testpress.in.",
    ".demo.testpress.in",
    "demo.testpress.in.evil.com",
    "evil.com",
    "other.testpress.in",
    "demo%2etestpress.in",
    "d%65mo.testpress.in",
    "demo.testpress.in%00.evil.com",
    "demo.testpress.in%2f",
    "demo\u3002testpress.in",
    "\uff44emo.testpress.in",
    "demo.testpress\u00ad.in",
    "demo.testpress.in\u200d",
    "d\u0435mo.testpress.in",
    "lms.example.com",
    "LMS.example.com",
    "127.0.0.1",
    "127.1",
    "0x7f.0.0.1",
    "2130706433",
    "\uff11\uff12\uff17.0.0.1",
    "[::1]",
    "[0:0::1]",
    "[::FFFF:127.0.0.1]",
    "[::1%25lo]",
    "[::1%lo]",
    "[127.0.0.1]",
    "::1",
    "[2001:db8::1]",
    "[2001:DB8::1]",
    "[2001:db8:0::1]",
    "[v1.x]",
    "b\u00fccher.example",
    "B\u00dcCHER.example",
    "xn--bcher-kva.example",
    "XN--bcher-kva.example",
    "xn--BCHER-KVA.example",
    "",
]
ODD = [
    "\\",
    "@",
    "/",
    "?",
    "#",
    ":",
    "[",
    "]",
    "%",
    "\t",
    "\n",
    "\r",
    " ",
    "\0",
    ".",
    "..",
    "//",
    ";",
    "\u2215",
    "\u2044",
    "%40",
]


ODD_URLS = [
    "https://demo.testpress.in/api/",
    "https://DEMO.testpress.in:443/",
    "https://demo.testpress.in.evil.com/",
    "https://demo.testpress.in@evil.com/",
    "https://evil.com\\@demo.testpress.in/",
    "https://demo.testpress.in\\@evil.com/",
    "https://demo.testpress.in/\\evil.com",
    "https://demo.testpress.in:0/",
    "https://demo.testpress.in:080/",
    "https://demo.testpress.in/../..//evil.com/",
    "http://demo.testpress.in/",
    "http://demo.testpress.in:80/",
    "http://demo.testpress.in:080/",
    "http://demo.testpress.in:/",
    "http://demo.testpress.in:8080/",
    "http://demo.testpress.in:443/",
    "http://:80@demo.testpress.in/",
    "https://[127.0.0.1]:8000/",
    "http://[127.0.0.1]:8000/",
    "http://[::1]:8000/",
    "http://[::1%25lo]:8000/",
    "https://b\u00fccher.example/",
    "https://\uff44emo.testpress.in/",
    "https://demo\u3002testpress.in/",
    "https://lms.example.com:8443/portal/",
    "https://lms.example.com:8443/portal//",
    "http://127.0.0.1:8000/./",
]


def at_odd_urls(**more: Any) -> list[dict[str, Any]]:
    return [{"url": url, **more} for url in ODD_URLS]


@st.composite
def urls(draw: st.DrawFn) -> str:
    """A URL of an allowed origin or of one that looks like it, and often with something odd in it."""
    scheme = draw(st.sampled_from(["https", "https", "https", "http", "http", "HTTPS", "hTTp", "ftp", ""]))
    colon = draw(st.sampled_from(["://", "://", "://", "://", "://", "://", ":/", ":", "//", ":///", ":\\\\", ":/\\"]))
    user = draw(
        st.sampled_from(
            [
                "",
                "",
                "",
                "",
                "u@",
                "u:p@",
                ":80@",
                "demo.testpress.in@",
                "evil.com:443@",
                "a@b@",
                "evil.com\\@",
                "evil.com/@",
            ]
        )
    )
    host = draw(st.sampled_from(HOSTS))
    port = draw(
        st.sampled_from(
            [
                "",
                "",
                "",
                ":443",
                ":80",
                ":",
                ":8000",
                ":8443",
                ":0443",
                ":080",
                ":0",
                ":65536",
                ":4 3",
                ":+443",
                ":\u0664",
            ]
        )
    )
    path = draw(
        st.sampled_from(
            [
                "",
                "/",
                "/api/v2.2/me/",
                "/./api",
                "/../..//evil.com",
                "//evil.com",
                "/\\evil.com",
                "/%2e%2e/",
                "\\evil.com",
                "/@evil.com",
            ]
        )
    )
    query = draw(
        st.sampled_from(["", "", "?page=2", "?next=https://evil.com/", "?@evil.com", "#x", "#@evil.com", "?\\"])
    )
    url = scheme + colon + user + host + port + path + query
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(url)))
        url = url[:at] + draw(st.sampled_from(ODD)) + url[at:]
    return url


ADAPTER = HTTPAdapter()


def _requests_connects_to(request: requests.PreparedRequest) -> Origin:
    """Where requests would open a connection for this request: its pool's own address."""
    if hasattr(ADAPTER, "get_connection_with_tls_context"):
        pool = ADAPTER.get_connection_with_tls_context(request, verify=True)
    else:  # requests before 2.32
        try:
            pool = ADAPTER.get_connection(request.url or "", None)
        except LocationParseError:  # older urllib3 connects nowhere with such a URL
            assume(False)
    return Origin(str(pool.scheme), str(pool.host).strip("[]").lower(), int(pool.port or 0))


def _httpx_connects_to(url: httpx.URL) -> Origin:
    """Where httpx would open a connection: the origin that its transport is asked for."""
    origin = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path).origin
    return Origin(origin.scheme.decode(), origin.host.decode().lower(), origin.port)


def _as_written(url: str) -> requests.PreparedRequest:
    """A request whose URL requests has not tidied: so it is after a redirect, and where a user sets `.url`."""
    request = requests.Request("GET", "https://nowhere.example/").prepare()
    request.url = url
    return request


@holds(*at_odd_urls(), few=80, many=3000, url=urls())
def test_what_counts_as_our_origin_is_where_each_client_connects(url: str) -> None:
    """O1: a difference in reading a URL would be a token at the wrong host."""
    origin = origin_of(url)
    if origin is None:
        return
    assert origin_of(f"{origin}/") == origin
    if origin not in ALLOWED.values():
        return
    parts = urlsplit(url)
    assert (parts.scheme, parts.hostname) == origin[:2]
    assert _requests_connects_to(_as_written(url)) == origin
    prepared = tried(requests.Request("GET", url).prepare, requests.RequestException, ValueError)
    if not isinstance(prepared, Exception):
        assert _requests_connects_to(prepared) == origin
        seen = parse_url(prepared.url or "")
        assert (seen.scheme, (seen.host or "").strip("[]"), seen.port or origin.port) == origin
    read = tried(lambda: httpx.URL(url), httpx.InvalidURL, ValueError)
    if not isinstance(read, Exception):
        assert _httpx_connects_to(read) == origin


def _with_token(page: Any, base_url: str) -> Any:
    others = [url for url in ALLOWED if url != base_url]
    auth = page("testpress", "demo", base_url=base_url, also_send_to=others)
    auth._source.install(Login(Token("aaa.bbb.ccc"), sent_at=0.0))
    return auth


BY_REQUESTS = _with_token(testpress_auth.requests.TestpressJWTAuth, "https://demo.testpress.in")
BY_HTTPX = _with_token(testpress_auth.httpx.TestpressJWTAuth, "https://demo.testpress.in")


@holds(*at_odd_urls(tidied=True), *at_odd_urls(tidied=False), few=80, many=3000, url=urls(), tidied=st.booleans())
def test_on_requests_the_token_travels_to_its_own_origins_alone(url: str, tidied: bool) -> None:
    """O1, O2."""
    prepare = requests.Request("GET", url).prepare if tidied else partial(_as_written, url)
    request = tried(prepare, requests.RequestException, ValueError)
    if isinstance(request, Exception):
        return
    before = request.url
    BY_REQUESTS(request)
    if request.headers.get("Authorization", "").startswith("JWT "):
        assert _requests_connects_to(request) in ALLOWED.values()
        if request.url != before:
            assert request.url.startswith("https://")
            assert origin_of(before) == Origin("http", urlsplit(before).hostname or "", 80)
    else:
        assert request.url == before


@holds(*at_odd_urls(), few=80, many=3000, url=urls())
def test_on_httpx_the_token_travels_to_its_own_origins_alone(url: str) -> None:
    """O1, O2."""
    request = tried(lambda: httpx.Request("GET", url), httpx.InvalidURL, ValueError)
    if isinstance(request, Exception):
        return
    sent = next(BY_HTTPX.sync_auth_flow(request))
    if sent.headers.get("Authorization", "").startswith("JWT "):
        assert _httpx_connects_to(sent.url) in ALLOWED.values()


# O3: base_url


@holds(
    *at_odd_urls(path=True, allow_http=True),
    few=80,
    many=2000,
    url=urls(),
    path=st.booleans(),
    allow_http=st.booleans(),
)
def test_an_address_is_taken_in_its_plainest_form_or_refused_with_what_to_write(
    url: str, path: bool, allow_http: bool
) -> None:
    """O3: the plain form of a plain form is itself, and it names the host that clients connect to."""
    plain = tried(lambda: checked_url("base_url", url, allow_http, path=path), ConfigurationError)
    if isinstance(plain, ConfigurationError):
        assert plain.setting == "base_url"
        return
    assert checked_url("base_url", plain, allow_http, path=path) == plain
    origin = origin_of(plain)
    assert origin is not None
    assert origin == origin_of(url.strip())
    assert allow_http or origin.scheme == "https" or origin.is_loopback
    assert "@" not in plain
    assert "?" not in plain
    assert "#" not in plain
    assert not plain.endswith("/")
    assert plain.startswith(str(origin))


@holds(*at_odd_urls(), few=60, many=2000, url=urls())
def test_a_page_takes_an_address_and_logs_in_there_or_names_the_setting(url: str) -> None:
    """O3, L3: no client's own error comes out of the constructor."""
    for page in (testpress_auth.requests.TestpressJWTAuth, testpress_auth.httpx.TestpressJWTAuth):
        auth = tried(partial(page, "testpress", "demo", base_url=url, allow_http=True), ConfigurationError)
        if isinstance(auth, ConfigurationError):
            assert auth.setting == "base_url"
            continue
        origin = auth._settings.origin
        assert origin_of(auth._settings.login_url) == origin
        if page is testpress_auth.httpx.TestpressJWTAuth:
            assert _httpx_connects_to(httpx.URL(auth._settings.login_url)) == origin
        else:
            assert _requests_connects_to(_as_written(auth._settings.login_url)) == origin


def refusals_of_user_info() -> list[str]:
    """Our own words, in which a short password may stand by chance."""
    found = []
    for more in (
        {"base_url": "https://@h"},
        {"subdomain": "@"},
        {"subdomain": "demo", "also_send_to": ("https://@h",)},
    ):
        with pytest.raises(ConfigurationError) as caught:
            Settings("testpress", "demo", **more)
        found.append(str(caught.value))
    return found


OUR_WORDS = refusals_of_user_info()


@holds(
    password=st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=4, max_size=10),
    url=st.sampled_from(
        [
            "https://u:{}@lms.example.com",
            "https://{}@lms.example.com/",
            "http://u:{}@h",
            "u:{}@lms.example.com",
            "//{}@h/?x#y",
        ]
    ),
    setting=st.sampled_from(["base_url", "subdomain", "also_send_to"]),
)
def test_user_info_in_an_address_is_refused_and_never_repeated(password: str, url: str, setting: str) -> None:
    """O3, X1."""
    written = url.format(password)
    more: dict[str, Any] = {setting: (written,) if setting == "also_send_to" else written}
    if setting == "also_send_to":
        more["subdomain"] = "demo"
    with pytest.raises(ConfigurationError) as caught:
        Settings("testpress", "demo", **more)
    assume(not any(password in own for own in OUR_WORDS))
    assert password not in str(caught.value)
