"""The login's request (L1), and what each answer to it means: a token, or an error by whose fault (L3 to L7).

The answers are those of section 3 of `testpress-wire.md`. Nothing is sent here, and no clock runs.
"""

from __future__ import annotations

import errno
import json
import math
import os
import socket
import ssl
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

import httpx
import jwt
import pytest
import requests
import urllib3.exceptions

from testpress_auth import (
    InvalidCredentials,
    LoginThrottled,
    LoginTimeout,
    LoginUnavailable,
    TestpressAuthError,
    Token,
    UnexpectedLoginResponse,
    __version__,
)
from testpress_auth._credentials import Secret
from testpress_auth._failure import Failure, timed_out, unexpected, unreachable
from testpress_auth._login import login_request, read_reply
from testpress_auth._reply import LARGEST_BODY, Intake, Reply, http_date, retry_after

URL = "https://lms.example.com/api/v2.2/auth-token/"
NOW = 1_800_000_000.0
PASSWORD = "p\u00e4ss w\u00f6rd/&'<=>"
TOKEN = jwt.encode({"username": "testpress", "exp": 1_800_000_300}, "a key of 32 bytes or more, as it is", "HS256")
JSON = {"content-type": "application/json"}


def reply(
    status: int = 200, body: object = b"", headers: Mapping[str, str] | None = None, *, trouble: str | None = None
) -> Reply:
    """An answer; a body that is not bytes is sent as JSON."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, headers=headers or {}, body=content, trouble=trouble, late=False, last=False)


def read(answer: Reply, password: str = PASSWORD, *, now: float = NOW) -> Token | Failure:
    return read_reply(answer, URL, Secret(password), now=now, timeout=10.0)


def failed(answer: Reply, error: type[TestpressAuthError], password: str = PASSWORD) -> Failure:
    """Read an answer that means this error, and check that the error can be made of what was recorded."""
    failure = read(answer, password)
    assert isinstance(failure, Failure)
    assert failure.error is error
    assert URL in failure.message
    made = failure.error(failure.message, **failure.fields)
    assert str(made) == failure.message
    return failure


# L1: what is sent


def test_the_login_is_json_in_utf8_with_our_headers_and_no_others() -> None:
    """L1."""
    request = login_request(URL, "j\u00fcrgen \U0001f600", Secret(PASSWORD), {})
    assert request.url == URL
    assert request.headers == {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": f"testpress-auth/{__version__}",
    }
    body = request.body.reveal()
    assert body == f'{{"username": "jürgen 😀", "password": "{PASSWORD}"}}'
    assert json.loads(body.encode()) == {"username": "jürgen 😀", "password": PASSWORD}


@pytest.mark.parametrize("odd", ['"', "\\", "\n", "\0", "\u2028", '"}, "admin": {"', "\x7f", "\U0010ffff"])
def test_no_character_of_a_password_breaks_out_of_its_string(odd: str) -> None:
    """L1."""
    body = login_request(URL, odd, Secret(odd), {}).body.reveal()
    assert json.loads(body.encode()) == {"username": odd, "password": odd}


@pytest.mark.parametrize("name", ["User-Agent", "user-agent", "USER-AGENT", "uSeR-aGeNt"])
def test_extra_headers_win_over_ours_in_any_case(name: str) -> None:
    """L1."""
    headers = login_request(URL, "testpress", Secret(PASSWORD), {name: "ours/1", "X-Device-UID": "abc"}).headers
    assert headers == {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        name: "ours/1",
        "X-Device-UID": "abc",
    }


def test_the_request_shows_neither_password_nor_headers() -> None:
    """X1."""
    request = login_request(URL, "testpress", Secret("hunter2"), {"X-Key": "s3cret"})
    for shown in (repr(request), str(request), f"{request}", repr([request]), repr(request.body)):
        assert "hunter2" not in shown
        assert "s3cret" not in shown
    assert repr(request) == f"LoginRequest(body=<secret>, url={URL!r})"


# L5: success


@pytest.mark.parametrize("status", [200, 201, 202, 203, 299])
def test_any_2xx_with_a_token_is_success_whatever_its_content_type(status: int) -> None:
    """L5."""
    for headers in (JSON, {"content-type": "text/html"}, {"content-type": "text/plain; charset=x"}, {}):
        assert read(reply(status, {"token": TOKEN}, headers)) == Token.parse(TOKEN)


def test_further_keys_are_no_matter() -> None:
    """L5: the OTP login has one."""
    assert read(reply(200, {"is_new_user": False, "token": TOKEN, "detail": "x"})) == Token.parse(TOKEN)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_in_any_of_its_encodings_is_read(encoding: str) -> None:
    """L5 (RFC 8259)."""
    assert read(reply(200, json.dumps({"token": TOKEN}).encode(encoding))) == Token.parse(TOKEN)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", "a body that is not JSON", id="nothing"),
        pytest.param(None, "a body that is not JSON", id="a body that cannot be read any more"),
        pytest.param(b"<html><title>Welcome</title></html>", "a body that is not JSON", id="HTML"),
        pytest.param(TOKEN.encode(), "a body that is not JSON", id="the token alone"),
        pytest.param(b"{'token': 'x'}", "a body that is not JSON", id="Python"),
        pytest.param(b'{"token": "x"', "a body that is not JSON", id="half of it"),
        pytest.param(b"\xff\xfe\xff", "a body that is not JSON", id="no text"),
        pytest.param(b"[" * 100_000, "a body that is not JSON", id="100,000 opening brackets"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, "a body that is not JSON", id="100,000 brackets"),
        pytest.param(b'{"token":' * 100_000, "a body that is not JSON", id="100,000 objects"),
        pytest.param(b'{"x":' + b"9" * 5_000 + b"}", "a body that is not JSON", id="5,000 digits"),
        pytest.param([], "JSON that is not an object", id="array"),
        pytest.param([{"token": TOKEN}], "JSON that is not an object", id="the object in an array"),
        pytest.param(b"null", "JSON that is not an object", id="null"),
        pytest.param(TOKEN, "JSON that is not an object", id="a string"),
        pytest.param(5, "JSON that is not an object", id="a number"),
        pytest.param(True, "JSON that is not an object", id="a bool"),
        pytest.param({}, "an object without a string 'token'", id="an empty object"),
        pytest.param({"Token": TOKEN}, "an object without a string 'token'", id="another key"),
        pytest.param({"data": {"token": TOKEN}}, "an object without a string 'token'", id="deeper down"),
        pytest.param({"token": None}, "an object without a string 'token'", id="a token that is null"),
        pytest.param({"token": 5}, "an object without a string 'token'", id="a token that is a number"),
        pytest.param({"token": True}, "an object without a string 'token'", id="a token that is a bool"),
        pytest.param({"token": [TOKEN]}, "an object without a string 'token'", id="a token in an array"),
        pytest.param({"token": {"access": TOKEN}}, "an object without a string 'token'", id="a token in an object"),
        pytest.param({"token": ""}, "no usable token: the token is not a JWT", id="an empty token"),
        pytest.param({"token": "opaque"}, "no usable token: the token is not a JWT", id="not a JWT"),
        pytest.param({"token": TOKEN + "\r\nX: 1"}, "no usable token: the token is not printable ASCII", id="CR/LF"),
        pytest.param({"token": TOKEN + " "}, "no usable token: the token is not printable ASCII", id="a blank"),
        pytest.param(
            {"token": TOKEN + "\ud800"}, "no usable token: the token is not printable ASCII", id="a lone surrogate"
        ),
        pytest.param({"token": TOKEN * 99}, "no usable token: the token is longer than 8 KiB", id="too long"),
        pytest.param(
            {"error_code": "max_login_exceeded"}, "an object without a string 'token'", id="an error, as a 200"
        ),
    ],
)
def test_a_2xx_without_a_usable_token_says_what_it_was(body: object, reason: str) -> None:
    """L5 and X1."""
    failure = failed(reply(200, body), UnexpectedLoginResponse)
    assert failure.fields["reason"].partition(" (")[0] == reason
    assert failure.fields["status"] == 200
    assert failure.message == f"login at {URL} answered {failure.fields['reason']}"
    assert failure.pause is None
    assert TOKEN not in repr(failure)


@pytest.mark.parametrize("trouble", ["a body of more than 64 KiB", "an encoded body, though identity was asked for"])
def test_a_body_that_was_not_taken_is_refused_even_with_a_token_in_it(trouble: str) -> None:
    """L4."""
    failure = failed(reply(200, {"token": TOKEN}, trouble=trouble), UnexpectedLoginResponse)
    assert failure.fields == {"status": 200, "reason": trouble}


@pytest.mark.parametrize("status", [200, 302, 400, 429, 503])
def test_an_answer_that_the_deadline_cut_is_a_timeout(status: int) -> None:
    """L4."""
    late = Reply(status=status, headers={}, body=b"", trouble=None, late=True, last=False)
    failure = failed(late, LoginTimeout)
    assert failure.message == f"login at {URL} did not end within 10 seconds"
    assert failure.fields == {"timeout": 10.0}
    assert failure.pause is None


# L3: redirects


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
def test_no_redirect_is_followed(status: int) -> None:
    """L3."""
    failure = failed(reply(status, b"", {"location": "https://demo.testpress.in/login/"}), UnexpectedLoginResponse)
    assert failure.fields == {
        "status": status,
        "reason": "a redirect to https://demo.testpress.in/login/, which is not followed",
    }


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://other.example/a/b?next=/x&sig=abc", "https://other.example/a/b"),
        ("https://other.example/a#frag", "https://other.example/a"),
        ("https://user:secret@other.example/a", "https://other.example/a"),
        ("http://lms.example.com/api/v2.2/auth-token/", "http://lms.example.com/api/v2.2/auth-token/"),
        ("/settings/force/profile/?next=/", "/settings/force/profile/"),
        ("settings/force", "settings/force"),
        ("http://[bad", "an unreadable address"),
        ("", "nowhere"),
        ("https://other.example/\x1b[31mred", "https://other.example/ [31mred"),
        ("https://other.example/" + "x" * 1000, "https://other.example/" + "x" * 277 + "…"),
    ],
)
def test_a_redirect_s_error_names_where_it_pointed_but_not_the_query(location: str, shown: str) -> None:
    """L3 and X1."""
    failure = failed(reply(302, b"<html>", {"location": location}), UnexpectedLoginResponse)
    assert failure.fields["reason"] == f"a redirect to {shown}, which is not followed"


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        pytest.param("https://lms.example.com:8443/a", "https://lms.example.com:8443/a", id="a port"),
        pytest.param("https://[2001:db8::1]/a", "https://[2001:db8::1]/a", id="IPv6"),
        pytest.param("//other.example/a?b", "//other.example/a", id="no scheme"),
    ],
)
def test_a_redirect_s_error_names_all_of_where_it_pointed(location: str, shown: str) -> None:
    """L3."""
    failure = failed(reply(302, b"", {"location": location}), UnexpectedLoginResponse)
    assert failure.fields["reason"] == f"a redirect to {shown}, which is not followed"


def test_a_redirect_without_a_location_points_nowhere() -> None:
    """L3."""
    assert "a redirect to nowhere" in failed(reply(304), UnexpectedLoginResponse).message


# L7: refusals, and what only looks like one


REFUSALS = [
    pytest.param(
        400,
        {"non_field_errors": ["Unable to log in with provided credentials."]},
        "Unable to log in with provided credentials.",
        id="wrong password",
    ),
    pytest.param(
        400,
        {"non_field_errors": "Unable to login with provided credentials"},
        "Unable to login with provided credentials",
        id="wrong password, as a string",
    ),
    pytest.param(
        400, {"password": ["This field is required."]}, "password: This field is required.", id="a missing field"
    ),
    pytest.param(
        400,
        {"username": ["This field may not be blank."], "password": ["This field may not be blank.", "Really."]},
        "username: This field may not be blank. password: This field may not be blank. Really.",
        id="two blank fields",
    ),
    pytest.param(400, {"username": ["Not a valid string."]}, "username: Not a valid string.", id="a wrong type"),
    pytest.param(
        400, {"non_field_errors": ["User account is disabled."]}, "User account is disabled.", id="an inactive user"
    ),
    pytest.param(
        400, {"detail": "JSON parse error - Expecting value"}, "JSON parse error - Expecting value", id="malformed JSON"
    ),
    pytest.param(
        401,
        {"detail": "Authentication credentials were not provided."},
        "Authentication credentials were not provided.",
        id="401",
    ),
    pytest.param(401, {"message": "Please Login and try again."}, "Please Login and try again.", id="session ended"),
    pytest.param(
        403,
        {"error_code": "parallel_login_restriction", "detail": "Too many devices"},
        "error_code: parallel_login_restriction Too many devices",
        id="parallel limit",
    ),
    pytest.param(
        400,
        {"error_code": "max_login_exceeded", "detail": "Locked", "title": "Account", "cooloff_time": 2},
        "error_code: max_login_exceeded Locked title: Account",
        id="device lockout, flat",
    ),
    pytest.param(
        400,
        {"detail": {"error_code": "max_login_exceeded", "message": "Locked"}},
        "error_code: max_login_exceeded Locked",
        id="device lockout, nested",
    ),
    pytest.param(401, {"error": "Bad credentials"}, "Bad credentials", id="as other servers say it"),
    pytest.param(403, {"error_code": "unauthorized_device"}, "error_code: unauthorized_device", id="wrong device"),
    pytest.param(400, {"errors": {"user": [{"code": "x"}]}}, "errors: user: code: x", id="nested lists and objects"),
    pytest.param(400, {"detail": [[["x"]]]}, "x", id="lists in lists"),
    pytest.param(400, {"detail": ["", None, 5, "x", {}]}, "x", id="what is no text is passed over"),
]


@pytest.mark.parametrize(("status", "body", "detail"), REFUSALS)
@pytest.mark.parametrize("headers", [JSON, {"content-type": "text/html"}], ids=["JSON", "said to be HTML"])
def test_a_refusal_carries_the_server_s_own_words(
    status: int, body: object, detail: str, headers: dict[str, str]
) -> None:
    """L7."""
    failure = failed(reply(status, body, headers), InvalidCredentials)
    assert failure.fields == {"status": status, "detail": detail}
    assert failure.message == f"login at {URL}: the server refused the user name and password ({status}): {detail}"
    assert failure.pause is None


def test_a_refusal_whose_body_a_hook_has_used_up_is_still_one() -> None:
    """L7 and L2: `raise_for_status` as a response hook."""
    failure = failed(reply(400, None), InvalidCredentials)
    assert failure.fields == {"status": 400, "detail": ""}
    assert failure.message.endswith("(400)")


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html><h1>Bad Request</h1></html>", id="HTML"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"Bad Request", id="text"),
        pytest.param({}, id="an empty object"),
        pytest.param({"code": 400, "ok": False}, id="an object without a word"),
        pytest.param(["Bad Request"], id="array"),
        pytest.param("Bad Request", id="a string"),
        pytest.param(b"[" * 100_000, id="100,000 brackets"),
        pytest.param({"a": {"b": {"c": {"d": {"e": "too deep to be ours"}}}}}, id="nested without end"),
        pytest.param({"detail": [[[["too deep to be ours"]]]]}, id="lists nested without end"),
    ],
)
def test_what_a_proxy_might_say_is_no_refusal(status: int, body: object) -> None:
    """L7: else a broken gateway would lock the account out for half a minute, and blame the user."""
    failure = failed(reply(status, body), UnexpectedLoginResponse)
    assert failure.fields == {"status": status, "reason": f"status {status}: is this Testpress's base_url?"}


@pytest.mark.parametrize("status", [100, 402, 404, 405, 406, 409, 410, 415, 418, 423, 451, 499])
def test_another_status_asks_whether_this_is_testpress_at_all(status: int) -> None:
    """L6: and is never sent again."""
    for body in (b"<html>", {"detail": 'Method "GET" not allowed.'}, {"detail": "Unsupported media type"}):
        failure = failed(reply(status, body), UnexpectedLoginResponse)
        assert failure.fields["status"] == status
        assert "is this Testpress's base_url?" in failure.message
        assert failure.pause is None


# X1: the server's text is not ours to trust


@pytest.mark.parametrize("password", [PASSWORD, " p\u00e4ss ", "a", "%41", "x" * 500, ".*", "\\", "tab\there"])
def test_a_server_that_echoes_the_password_is_not_quoted(password: str) -> None:
    """X1."""
    body = {"password": [f"No such password: {password}!"], "non_field_errors": [password, f"again {password}"]}
    failure = failed(reply(400, body), InvalidCredentials, password)
    detail = failure.fields["detail"]
    assert "***" in detail
    assert password.strip() not in detail.replace("***", "")
    assert failure.message.endswith(detail)


def test_a_server_that_echoes_the_password_trimmed_is_not_quoted_either() -> None:
    """X1: Testpress's own library trims it."""
    failure = failed(reply(400, {"detail": "not 'hunter2'"}), InvalidCredentials, "  hunter2 ")
    assert failure.fields["detail"] == "not '***'"


def test_a_password_as_a_key_is_not_quoted() -> None:
    """X1."""
    failure = failed(reply(400, {"hunter2": ["unknown"]}), InvalidCredentials, "hunter2")
    assert failure.fields["detail"] == "***: unknown"


@pytest.mark.parametrize(
    "echo",
    [
        pytest.param("p%C3%A4ss%20w%C3%B6rd%2F%26%27%3C%3D%3E", id="percent-encoded"),
        pytest.param("p%C3%A4ss%20w%C3%B6rd/%26%27%3C%3D%3E", id="percent-encoded but for the slash"),
        pytest.param("p\u00e4ss w\u00f6rd/&'<=>", id="as it is"),
        pytest.param(
            "p%c3%a4ss%20w%c3%b6rd%2f%26%27%3c%3d%3e",
            id="percent-encoded in lower case",
        ),
        pytest.param(
            "p%C3%A4ss+w%C3%B6rd%2F%26%27%3C%3D%3E",
            id="form-encoded",
        ),
    ],
)
def test_a_redirect_that_holds_the_password_is_not_quoted(echo: str) -> None:
    """X1 and L3."""
    failure = failed(reply(302, b"", {"location": f"https://other.example/{echo}/x"}), UnexpectedLoginResponse)
    hidden = ("https://other.example/***/x", "(a text that repeats the password)")
    assert failure.fields["reason"] in [f"a redirect to {target}, which is not followed" for target in hidden]


def test_a_password_escaped_for_html_is_not_quoted() -> None:
    """X1."""
    body = {"detail": "No account with p\u00e4ss w\u00f6rd/&amp;&#x27;&lt;=&gt;"}
    assert failed(reply(400, body), InvalidCredentials).fields["detail"] == "No account with ***"


@pytest.mark.parametrize(
    ("password", "echo"),
    [
        pytest.param("caf\u00e9", r"caf\u00e9", id="in ASCII"),
        pytest.param('caf\u00e9 "noir"', 'caf\u00e9 \\"noir\\"', id="in UTF-8"),
        pytest.param('caf\u00e9 "noir"', r"caf\u00e9 \"noir\"", id="in ASCII, with quotes"),
    ],
)
def test_a_password_escaped_for_json_is_not_quoted(password: str, echo: str) -> None:
    """X1: an error may quote the body that was sent."""
    failure = failed(reply(400, {"detail": f'JSON parse error at "{echo}"'}), InvalidCredentials, password)
    assert failure.fields["detail"] == 'JSON parse error at "***"'


@pytest.mark.parametrize(
    "odd", ["\r\n", "\n", "\x1b[2J", "\0", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "\ud800"], ids=ascii
)
def test_nothing_that_a_log_or_a_terminal_would_obey_gets_into_a_message(odd: str) -> None:
    """X1."""
    failure = failed(reply(400, {"detail": f"a{odd}b"}), InvalidCredentials)
    assert failure.fields["detail"].isprintable()
    assert failure.message.isprintable()
    assert failure.fields["detail"] == f"a{odd.translate({ord(each): ' ' for each in odd if not each.isprintable()})}b"
    failure.message.encode()


def test_a_long_text_is_cut() -> None:
    detail = failed(reply(400, {"detail": "x" * 60_000}), InvalidCredentials).fields["detail"]
    assert detail == "x" * 299 + "…"
    assert failed(reply(400, {"detail": "x" * 300}), InvalidCredentials).fields["detail"] == "x" * 300
    assert failed(reply(400, {"detail": "x" * 301}), InvalidCredentials).fields["detail"] == detail


# L6: what is worth another try


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_5xx_is_unavailable_and_may_be_sent_again(status: int) -> None:
    """L6."""
    for body in (b"", b"<html>Server Error</html>", {"detail": "A server error occurred."}, {"token": TOKEN}):
        failure = failed(reply(status, body), LoginUnavailable)
        assert failure.fields == {"status": status}
        assert failure.message == f"login at {URL}: the server answered {status}"
        assert failure.pause == 0.0


@pytest.mark.parametrize("status", [501, 505, 507, 520, 599])
def test_another_5xx_is_unavailable_and_is_not_sent_again(status: int) -> None:
    """L6."""
    failure = failed(reply(status), LoginUnavailable)
    assert failure.fields == {"status": status}
    assert failure.pause is None


THROTTLED = "Request was throttled. Expected available in {} seconds."
DATE = {"date": formatdate(NOW - 3600, usegmt=True)}  # a server whose clock is an hour behind ours


@pytest.mark.parametrize(
    ("headers", "text", "wait"),
    [
        pytest.param({"retry-after": "30"}, "", 30.0, id="seconds"),
        pytest.param({"retry-after": " 30 "}, "", 30.0, id="seconds with blanks"),
        pytest.param({"retry-after": "0"}, "", 0.0, id="0 seconds"),
        pytest.param({"retry-after": "1.5"}, "", 1.5, id="a fraction of seconds"),
        pytest.param({"retry-after": "99999999999999"}, "", 99999999999999.0, id="three million years"),
        pytest.param({"retry-after": formatdate(NOW + 60, usegmt=True)}, "", 60.0, id="a date"),
        pytest.param({"retry-after": formatdate(NOW + 60)}, "", 60.0, id="a date with -0000"),
        pytest.param({"retry-after": "Fri, 15 Jan 2027 13:31:00 +0530"}, "", 60.0, id="a date in India"),
        pytest.param({"retry-after": formatdate(NOW - 60, usegmt=True)}, "", 0.0, id="a date that is past"),
        pytest.param(
            {"retry-after": formatdate(NOW - 3540, usegmt=True), **DATE}, "", 60.0, id="a date relative to Date"
        ),
        pytest.param({"retry-after": formatdate(NOW + 60, usegmt=True), "date": "nonsense"}, "", 60.0, id="no Date"),
        pytest.param({}, THROTTLED.format(30), 30.0, id="the text"),
        pytest.param({}, THROTTLED.format("59.0"), 59.0, id="the text with a decimal"),
        pytest.param({}, "Expected available in 1 second.", 1.0, id="the text with one second"),
        pytest.param({"retry-after": "30"}, THROTTLED.format(59), 30.0, id="the header before the text"),
        pytest.param({"retry-after": "soon"}, THROTTLED.format(59), 59.0, id="nonsense, then the text"),
        pytest.param({"retry-after": "-5"}, THROTTLED.format(59), 59.0, id="negative, then the text"),
        pytest.param({"retry-after": "-5"}, "", None, id="negative"),
        pytest.param({"retry-after": "inf"}, "", None, id="inf"),
        pytest.param({"retry-after": "nan"}, "", None, id="NaN"),
        pytest.param({"retry-after": "1e999"}, "", None, id="beyond float"),
        pytest.param({"retry-after": "9" * 5000}, "", None, id="5,000 digits"),
        pytest.param({"retry-after": "soon"}, "", None, id="nonsense"),
        pytest.param({"retry-after": ""}, "", None, id="empty"),
        pytest.param({"retry-after": "Fri, 32 Jan 2027 08:01:00 GMT"}, "", None, id="a day that never comes"),
        pytest.param({"retry-after": "Fri, 15 Jan 99999 08:01:00 GMT"}, "", None, id="a year that never comes"),
        pytest.param({"retry-after": "Fri, 15 Jan 2027 08:01:00 +9999"}, "", None, id="a zone that is nowhere"),
        pytest.param({}, "Too many requests.", None, id="no time at all"),
        pytest.param({}, "Expected available in 1.2.3 seconds.", None, id="a number that is none"),
        pytest.param({}, "Expected available in . seconds.", None, id="a dot"),
        pytest.param({}, "Expected available in -5 seconds.", None, id="a negative number in the text"),
        pytest.param({}, f"Expected available in {'9' * 99} seconds.", None, id="99 digits in the text"),
        pytest.param({}, "It began 5 seconds ago.", None, id="other seconds"),
    ],
)
def test_a_429_says_how_long_to_wait(headers: dict[str, str], text: str, wait: float | None) -> None:
    """L6 and L7."""
    failure = failed(reply(429, {"detail": text}, headers), LoginThrottled)
    assert failure.fields == {"retry_after": wait}
    assert failure.pause == wait
    hint = "" if wait is None else f"; try again in {math.ceil(wait)} seconds"
    assert failure.message == f"login at {URL}: too many logins{hint}"


@pytest.mark.parametrize("body", [b"", None, b"<html>in 7 seconds</html>", b"\xff in 7 seconds", b"[" * 60_000])
def test_a_429_needs_no_json(body: bytes | None) -> None:
    """L6: the text counts, wherever it stands."""
    assert retry_after(reply(429, body), NOW) == (7.0 if body and b"7" in body else None)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Fri, 15 Jan 2027 08:00:00 GMT", NOW),
        ("Friday, 15-Jan-27 08:00:00 GMT", NOW),
        ("Fri Jan 15 08:00:00 2027", NOW),
        ("Fri, 15 Jan 2027 13:30:00 +0530", NOW),
        ("Fri, 15 Jan 2027 08:00:00 -0000", NOW),
        (None, None),
        ("", None),
        ("now", None),
        ("30", None),
        ("Fri, 15 Jan 2027", None),
        ("Fri, 15 Jan 2027 25:00:00 GMT", None),
        (", , , ,", None),
        ("Fri, 15 Jan 2027 08:00:00 GMT" + " " * 99, None),
    ],
)
def test_http_dates_of_all_three_forms_are_read_and_nonsense_is_none(text: str | None, moment: float | None) -> None:
    """T3 (RFC 9110 section 5.6.7): no date that a server sends can break a login."""
    assert http_date(text) == moment


# L4: how much of an answer is read


def intake(encoding: str | None = None, *, deadline: float = 10.0, now: float = 0.0) -> Intake:
    headers = {} if encoding is None else {"content-encoding": encoding}
    return Intake(headers, deadline=deadline, now=lambda: now)


@pytest.mark.parametrize("chunks", [[LARGEST_BODY], [1, LARGEST_BODY - 1], [LARGEST_BODY, 0, 0], [16] * 4096])
def test_a_body_of_64_kib_is_taken(chunks: list[int]) -> None:
    """L4."""
    it = intake()
    assert all([it.takes(b"x" * size) for size in chunks])
    assert it.trouble is None
    assert it.has_taken


@pytest.mark.parametrize("chunks", [[LARGEST_BODY + 1], [LARGEST_BODY, 1], [LARGEST_BODY, 0, 1]])
def test_one_byte_more_is_not(chunks: list[int]) -> None:
    """L4."""
    it = intake()
    assert [it.takes(b"x" * size) for size in chunks] == [True] * (len(chunks) - 1) + [False]
    assert it.trouble == "a body of more than 64 KiB"
    assert not it.takes(b"")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "GZIP", "identity, gzip", "x"])
def test_an_encoded_body_is_not_taken(encoding: str) -> None:
    """L4: it could unpack to any size."""
    it = intake(encoding)
    assert it.trouble == "an encoded body, though identity was asked for"
    assert not it.takes(b"x")


@pytest.mark.parametrize("encoding", [None, "", "identity", "Identity"])
def test_a_body_as_it_was_asked_for_is_taken(encoding: str | None) -> None:
    """L4."""
    it = intake(encoding)
    assert not it.has_taken
    assert it.takes(b"")
    assert not it.has_taken
    assert it.takes(b"x")
    assert it.has_taken
    assert not it.late


def test_the_deadline_ends_a_body() -> None:
    """L4."""
    assert intake(now=10.0, deadline=10.0).takes(b"x")
    late = intake(now=10.1, deadline=10.0)
    assert not late.takes(b"x")
    assert late.late
    assert late.trouble is None


# X1: of a client's exception only type names and the system's own words are kept


def chained(outer: BaseException, *, cause: BaseException | None = None, context: BaseException | None = None) -> Any:
    outer.__cause__, outer.__context__ = cause, context
    return outer


REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
POOL: Any = urllib3.HTTPSConnectionPool("lms.example.com")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        pytest.param(REFUSED, "ConnectionRefusedError: Connection refused", id="the system's own"),
        pytest.param(
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "gaierror: Name or service not known",
            id="no such name",
        ),
        pytest.param(
            FileNotFoundError(errno.ENOENT, "No such file or directory", "/home/hunter2/ca.pem"),
            "FileNotFoundError: No such file or directory",
            id="a file, without its name",
        ),
        pytest.param(
            ssl.SSLCertVerificationError(1, "certificate verify failed"),
            "SSLCertVerificationError: certificate verify failed",
            id="a certificate",
        ),
        pytest.param(
            chained(httpx.ConnectError("hunter2"), cause=REFUSED), "ConnectError: Connection refused", id="as a cause"
        ),
        pytest.param(
            chained(httpx.ConnectError("hunter2"), context=REFUSED),
            "ConnectError: Connection refused",
            id="as a context",
        ),
        pytest.param(
            chained(httpx.ConnectError("hunter2"), cause=chained(OSError("hunter2"), cause=REFUSED)),
            "ConnectError: Connection refused",
            id="two causes down",
        ),
        pytest.param(
            requests.ConnectionError(
                urllib3.exceptions.MaxRetryError(
                    POOL, "/?hunter2", chained(urllib3.exceptions.NewConnectionError(POOL, "hunter2"), cause=REFUSED)
                )
            ),
            "ConnectionError: Connection refused",
            id="as the cause of the reason of an argument, on requests",
        ),
        pytest.param(httpx.ReadError("hunter2"), "ReadError", id="a text that is not the system's"),
        pytest.param(OSError("hunter2"), "OSError", id="an OSError without errno"),
        pytest.param(OSError(), "OSError", id="an OSError without anything"),
        pytest.param(OSError(5, ""), "OSError", id="an errno without words"),
        pytest.param(requests.ConnectionError("hunter2"), "ConnectionError", id="requests' own words"),
        pytest.param(requests.ConnectionError(), "ConnectionError", id="no words"),
    ],
)
def test_a_network_failure_tells_what_the_system_said_and_nothing_else(error: BaseException, why: str) -> None:
    """X1 and L6."""
    failure = unreachable(URL, error)
    assert failure.error is LoginUnavailable
    assert failure.message == f"login at {URL} failed: {why}"
    assert failure.cause == why
    assert failure.pause == 0.0
    assert "hunter2" not in repr(failure)
    assert unreachable(URL, error, pause=None).pause is None


@pytest.mark.parametrize("kind", [OSError, requests.ConnectionError])
def test_two_words_of_a_client_are_not_the_system_s(kind: type[OSError]) -> None:
    """X1: a client's, mock's or hook's `ConnectionError("cannot connect", "… hunter2 …")` is an OSError as well."""
    assert "hunter2" not in unreachable(URL, kind("cannot connect", "while sending hunter2")).message


def test_the_system_s_words_are_not_looked_for_without_end() -> None:
    error: BaseException = REFUSED
    for _ in range(8):
        error = chained(RuntimeError(), cause=error)
    assert unreachable(URL, error).cause == "RuntimeError: Connection refused"
    assert unreachable(URL, chained(RuntimeError(), cause=error)).cause == "RuntimeError"
    circle = RuntimeError()
    circle.__cause__ = circle
    assert unreachable(URL, circle).cause == "RuntimeError"


def test_the_other_failures_say_what_happened() -> None:
    assert timed_out(URL, 2.5).message == f"login at {URL} did not end within 2.5 seconds"
    assert timed_out(URL, 2.5).fields == {"timeout": 2.5}
    assert unexpected(URL, "nonsense", 418).fields == {"status": 418, "reason": "nonsense"}
    assert unexpected(URL, "nonsense").message == f"login at {URL} answered nonsense"


def test_an_answer_shows_neither_its_body_nor_its_headers() -> None:
    """X1."""
    shown = repr(reply(200, {"token": TOKEN}, {"set-cookie": "session=hunter2"}))
    assert TOKEN not in shown
    assert "hunter2" not in shown
    assert shown == "Reply(last=False, late=False, status=200, trouble=None)"
