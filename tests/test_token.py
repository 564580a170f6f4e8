"""What a token says of itself, what can never become one (L5), and that it keeps its text to itself (T1, T2, T5)."""

from __future__ import annotations

import base64
import copy
import pickle
import subprocess
import sys
from contextlib import suppress
from math import inf
from typing import Any

import jwt
import pytest

from testpress_auth import Token
from testpress_auth._token import Login, seconds

KEY = "a key that is long enough for HMAC with SHA-256"
# The token of Testpress's own documentation.
SAMPLE = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6InRlc3RwcmVzcyIsInVzZXJfaWQiOjE3LCJlbWFpbCI6"
    "InRlc3RwcmVzcy5pbkBnbWFpbC5jb20iLCJleHAiOjE0NDc4MzMyMjl9.Ik_yi4lHbNbrRGhqmRpsW82Nls_O9lgXakk_syV-vSw"
)
EIGHT_KIB = 8 * 1024


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def crafted(payload: bytes, header: bytes = b'{"alg":"HS256"}', signature: str = "AAAA") -> str:
    """Put a JWT together by hand, which may say what no JWT library would write."""
    return f"{encoded(header)}.{encoded(payload)}.{signature}"


def made(**claims: Any) -> str:
    return jwt.encode(claims, KEY, "HS256")


def of_length(length: int) -> str:
    """A JWT of exactly so many characters."""
    return crafted(b"{}", signature="A" * (length - len(crafted(b"{}", signature=""))))


# What a token says


def test_the_documented_sample_token_is_read_and_expired_in_2015() -> None:
    token = Token.parse(SAMPLE)
    assert token.raw == SAMPLE
    assert token.expires_at == 1_447_833_229.0
    assert token.claims == {
        "username": "testpress",
        "user_id": 17,
        "email": "testpress.in@gmail.com",
        "exp": 1_447_833_229,
    }


def test_a_token_signed_with_anybodys_key_is_read_since_the_key_is_the_servers() -> None:
    """T1."""
    assert Token.parse(made(exp=5, username=38)).claims == {"exp": 5, "username": 38}


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"nbf": 99_999_999_999}, id="not yet valid"),
        pytest.param({"aud": "someone else"}, id="for another audience"),
        pytest.param({"iat": 99_999_999_999}, id="issued in the future"),
        pytest.param({"iat": "yesterday", "nbf": "today", "sub": 7, "jti": 7}, id="registered claims of wrong types"),
        pytest.param({}, id="no claims"),
    ],
)
def test_claims_that_are_not_ours_to_check_are_left_alone(claims: dict[str, Any]) -> None:
    """T1: decoded, unverified."""
    assert Token.parse(made(**claims)).claims == claims


def test_changing_the_claims_one_got_does_not_change_the_token() -> None:
    token = Token.parse(made(exp=5))
    token.claims["exp"] = 6
    assert token.claims == {"exp": 5}


def test_no_jwt_library_is_loaded_before_the_first_token_is_read() -> None:
    """T1: PyJWT loads cryptography, which takes its time."""
    script = (
        "import sys, testpress_auth._token as it, testpress_auth.requests, testpress_auth.httpx\n"
        "from testpress_auth import Token\n"
        "assert 'jwt' not in sys.modules\n"
        f"Token.parse({SAMPLE!r})\n"
        "assert 'jwt' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("exp", "counts"),
    [
        (b"1447833229", 1_447_833_229.0),
        (b"1447833229.5", 1_447_833_229.5),
        (b"0", 0.0),
        (b"-1", -1.0),
        (b"true", None),
        (b"false", None),
        (b'"1447833229"', None),
        (b"null", None),
        (b"[1447833229]", None),
        (b'{"at":1447833229}', None),
        (b"NaN", None),
        (b"Infinity", None),
        (b"-Infinity", None),
        (b"1e999", None),
        (b"9" * 400, None),
    ],
)
def test_exp_counts_only_as_a_finite_json_number(exp: bytes, counts: float | None) -> None:
    """T2."""
    assert Token.parse(crafted(b'{"exp":%s}' % exp)).expires_at == counts


def test_a_token_without_exp_has_no_known_expiry() -> None:
    """T2."""
    assert Token.parse(made(username="testpress")).expires_at is None


@pytest.mark.parametrize("claim", [None, "5", True, [], inf, -inf, float("nan"), 10**400])
def test_no_other_value_is_a_numeric_date(claim: object) -> None:
    """T2."""
    assert seconds(claim) is None


# What can never become one


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(SAMPLE + "\r\nX-Evil: 1", id="a header line behind it"),
        pytest.param(SAMPLE + "\r\n", id="CR/LF at its end"),
        pytest.param(SAMPLE + "\n", id="LF at its end"),
        pytest.param("\n" + SAMPLE, id="LF in front"),
        pytest.param(SAMPLE.replace(".", ".\r\n", 1), id="CR/LF inside"),
        pytest.param(SAMPLE + " ", id="a blank at its end"),
        pytest.param(SAMPLE.replace(".", ". ", 1), id="a blank inside"),
        pytest.param(SAMPLE + "\t", id="a tab"),
        pytest.param(SAMPLE + "\0", id="NUL"),
        pytest.param(SAMPLE + "\x7f", id="DEL"),
        pytest.param(SAMPLE + "\x85", id="a C1 control"),
        pytest.param(SAMPLE + "é", id="Latin-1"),
        pytest.param(SAMPLE + "\u2028", id="a line separator"),
        pytest.param(SAMPLE + "\ud800", id="a lone surrogate"),
    ],
)
def test_nothing_that_could_break_a_header_line_becomes_a_token(raw: str) -> None:
    """L5."""
    with pytest.raises(ValueError, match=r"^the token is not printable ASCII$"):
        Token.parse(raw)


def test_a_token_of_8_kib_is_the_longest() -> None:
    """L5."""
    longest = of_length(EIGHT_KIB)
    assert len(longest) == EIGHT_KIB
    assert Token.parse(longest).raw == longest
    with pytest.raises(ValueError, match=r"^the token is longer than 8 KiB$"):
        Token.parse(of_length(EIGHT_KIB + 1))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("", id="empty"),
        pytest.param("token", id="a word"),
        pytest.param("a.b", id="two parts"),
        pytest.param("..", id="three empty parts"),
        pytest.param("a.b.c.d.e", id="five parts (an encrypted JWT)"),
        pytest.param("." * EIGHT_KIB, id="dots"),
        pytest.param(crafted(b"[]"), id="a payload that is an array"),
        pytest.param(crafted(b'"text"'), id="a payload that is a string"),
        pytest.param(crafted(b"null"), id="a payload that is null"),
        pytest.param(crafted(b"{"), id="a payload that is not JSON"),
        pytest.param(crafted(b"\xff\xfe\xff"), id="a payload that is not UTF-8"),
        pytest.param(crafted(b"{}", header=b"[]"), id="a header that is an array"),
        pytest.param(crafted(b"{}", header=b"nonsense"), id="a header that is not JSON"),
        pytest.param(crafted(b"[" * 5_000), id="a payload of opening brackets"),
        pytest.param(crafted(b"{}", header=b"[" * 5_000), id="a header of opening brackets"),
        pytest.param(crafted(b'{"exp":%s}' % (b"9" * 4_400)), id="an exp of more digits than Python reads"),
        pytest.param(crafted(b"{}", signature="A"), id="a signature that is not base64"),
    ],
)
def test_what_is_no_jwt_is_refused_without_being_quoted(raw: str) -> None:
    """L5 and X1: neither in the message, nor in what the error came from."""
    with pytest.raises(ValueError, match="is not a JWT") as caught:
        Token.parse(raw)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert len(raw) < 10 or raw not in str(caught.value)


def test_a_deeply_nested_payload_is_read_or_refused_but_breaks_nothing() -> None:
    """L5: how deep JSON may nest is Python's business, which differs between its versions."""
    nested = crafted(b'{"a":' + b"[" * 2_900 + b"]" * 2_900 + b"}")
    assert len(nested) < EIGHT_KIB
    with suppress(ValueError):
        assert Token.parse(nested).expires_at is None


@pytest.mark.parametrize("trouble", [RecursionError("too deep"), ValueError("odd")])
def test_what_an_older_pyjwt_lets_through_is_refused_too(trouble: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """L5."""

    def decode(*_: object, **__: object) -> dict[str, Any]:
        raise trouble

    monkeypatch.setattr(jwt, "decode", decode)
    with pytest.raises(ValueError, match=rf"is not a JWT \({type(trouble).__name__}\)"):
        Token.parse(SAMPLE)


# That it keeps its text to itself


@pytest.mark.parametrize("show", [repr, str, format, "{:}".format, "%s".__mod__, "{0!a}".format, "{0!r}".format])
def test_no_way_to_print_a_token_shows_its_text(show: Any) -> None:
    """T5 and X1."""
    token = Token.parse(SAMPLE)
    assert show(token) == "Token(expires_at=1447833229.0)"
    assert show([token]) == "[Token(expires_at=1447833229.0)]"


def test_a_token_is_frozen() -> None:
    """T5."""
    token = Token.parse(SAMPLE)
    with pytest.raises(AttributeError, match="Token is frozen: 'raw' cannot be set"):
        token.raw = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="Token is frozen: 'expires_at' cannot be deleted"):
        del token.expires_at
    with pytest.raises(AttributeError):
        token.extra = 1
    assert token == Token.parse(SAMPLE)


def test_tokens_of_the_same_text_are_equal_and_hash_alike() -> None:
    """T5."""
    token, same, other = Token.parse(SAMPLE), Token.parse(SAMPLE), Token.parse(made(exp=1_447_833_229))
    assert token == same
    assert hash(token) == hash(same)
    assert token != other
    assert {token, same, other} == {token, other}
    assert token != SAMPLE
    assert token.__eq__(SAMPLE) is NotImplemented


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_token_pickles(protocol: int) -> None:
    """T5."""
    token = Token.parse(SAMPLE)
    arrived = pickle.loads(pickle.dumps(token, protocol))  # noqa: S301
    assert arrived == token
    assert arrived.raw == SAMPLE


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_token_copies(duplicate: Any) -> None:
    """T5."""
    assert duplicate(Token.parse(SAMPLE)) == Token.parse(SAMPLE)


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(TypeError, match="expires"):
        Token(raw=SAMPLE, expires_at=None, expires=5)  # type: ignore[call-arg]


# A login's result


def test_the_header_line_is_made_once_per_login() -> None:
    """J1: two logins in one second give equal tokens; which one a request carried shows in the line's identity."""
    token = Token.parse(SAMPLE)
    first, second = Login(token, sent_at=5.0), Login(token, sent_at=5.0)
    assert first.header == second.header == f"JWT {SAMPLE}"
    assert first.header is first.header
    assert first.header is not second.header


def test_a_login_shows_its_number_but_no_token() -> None:
    """X1."""
    login = Login(Token.parse(SAMPLE), sent_at=5.0, lifetime=300.0)
    assert repr(login) == "<login 0: Token(expires_at=1447833229.0)>"
    assert login.expires == 305.0
    assert (login.accepted, login.draw) == (False, 0.0)
    assert Login(login.token, sent_at=5.0).expires == inf
