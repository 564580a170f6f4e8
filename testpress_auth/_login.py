"""The login exchange: the request to send, and what its answer means. Pure; knows no client.

Answers are read as Testpress gives them: JSON whatever the Content-Type says, errors in several shapes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, unquote_plus, urlsplit

from ._credentials import Secret
from ._failure import Failure, timed_out, unexpected
from ._reply import Reply, retry_after
from ._token import Token
from ._value import Value
from ._version import __version__
from .errors import (
    InvalidCredentials,
    LoginThrottled,
    LoginUnavailable,
)

_WORTH_ANOTHER_SEND: Final = (500, 502, 503, 504)  # L6
_REFUSALS: Final = (400, 401, 403)
_PLAIN_KEYS: Final = ("non_field_errors", "detail", "message", "error")


class LoginRequest(Value):
    """What is sent, for a page to put into its client's own type. The body holds the password."""

    __slots__ = ("body", "headers", "url")
    _hidden = ("headers",)

    url: str
    headers: dict[str, str]
    body: Secret


def login_request(url: str, username: str, password: Secret, extra: Mapping[str, str]) -> LoginRequest:
    """Build the login (L1). `extra` headers win over our own."""
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": f"testpress-auth/{__version__}",
    }
    replaced = {name.lower() for name in extra}
    headers = {name: value for name, value in headers.items() if name.lower() not in replaced}
    body = json.dumps({"username": username, "password": password.reveal()}, ensure_ascii=False)
    return LoginRequest(url=url, headers={**headers, **extra}, body=Secret(body))


def read_reply(reply: Reply, url: str, password: Secret, *, now: float, timeout: float) -> Token | Failure:
    """Say what an answer to the login at `url` means: a token, or which error. `now` is in Unix seconds."""
    status = reply.status
    if reply.late:
        return timed_out(url, timeout)
    if 200 <= status < 300:
        return _read_token(reply, url)
    if 300 <= status < 400:
        target = _scrub(_without_query(reply.headers.get("location") or ""), password)
        return unexpected(url, f"a redirect to {target}, which is not followed", status)
    if status == 429:
        wait = retry_after(reply, now)
        hint = "" if wait is None else f"; try again in {math.ceil(wait)} seconds"
        return Failure(LoginThrottled, f"login at {url}: too many logins{hint}", pause=wait, retry_after=wait)
    if status >= 500:
        return Failure(
            LoginUnavailable,
            f"login at {url}: the server answered {status}",
            status=status,
            pause=0.0 if status in _WORTH_ANOTHER_SEND else None,
        )
    return _read_refusal(reply, url, password)


def _read_token(reply: Reply, url: str) -> Token | Failure:
    if reply.trouble is not None:
        return unexpected(url, reply.trouble, reply.status)
    data = _json(reply.body)
    if data is _NOT_JSON:
        return unexpected(url, "a body that is not JSON", reply.status)
    if not isinstance(data, dict):
        return unexpected(url, "JSON that is not an object", reply.status)
    raw = data.get("token")
    if not isinstance(raw, str):
        return unexpected(url, "an object without a string 'token'", reply.status)
    try:
        return Token.parse(raw)
    except ValueError as error:
        return unexpected(url, f"no usable token: {error}", reply.status)


def _read_refusal(reply: Reply, url: str, password: Secret) -> Failure:
    """A refusal has the server's error fields; a 400 of anything else in between (a proxy, say) has not (L7)."""
    data = _json(reply.body)
    words = _words(data) if isinstance(data, dict) else []
    if reply.status in _REFUSALS and (words or reply.body is None):
        detail = _scrub(" ".join(words), password)
        message = f"login at {url}: the server refused the user name and password ({reply.status})"
        return Failure(
            InvalidCredentials,
            f"{message}: {detail}" if detail else message,
            status=reply.status,
            detail=detail,
        )
    return unexpected(url, f"status {reply.status}: is this Testpress's base_url?", reply.status)


_NOT_JSON: Final = object()


def _json(body: bytes | None) -> Any:
    try:
        return json.loads(body or b"")
    except (ValueError, RecursionError):
        return _NOT_JSON


def _words(value: object, depth: int = 0) -> list[str]:
    """Flatten an error body, flat or nested, strings or lists, into its texts in order."""
    if isinstance(value, str):
        return [value] if value else []
    if depth > 3:
        return []
    if isinstance(value, list):
        return [word for item in value for word in _words(item, depth + 1)]
    if isinstance(value, dict):
        words = []
        for key, item in value.items():
            texts = _words(item, depth + 1)
            words += texts if key in _PLAIN_KEYS or not texts else [f"{key}: {' '.join(texts)}"]
        return words
    return []


def _scrub(text: str, password: Secret) -> str:
    """Make a server's text fit for a message: not the password, nor what a log line or terminal would obey."""
    from html import unescape  # here, for it is slow to import: Django's templates escape what they echo

    text = _printable(unescape(text))
    secret = password.reveal()
    visible = _printable(secret)
    plain = {secret, secret.strip(), visible, visible.strip()}
    escaped = {json.dumps(form, ensure_ascii=ascii)[1:-1] for form in plain for ascii in (True, False)}
    for form in plain | escaped:
        text = text.replace(form, "***")
        if form in unquote(text) or form in unquote_plus(text):
            return "(a text that repeats the password)"
    return text if len(text) <= 300 else text[:299] + "…"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _without_query(location: str) -> str:
    """Say where a redirect points, without its user info and query: there anything may stand."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return "an unreadable address"
    host = parts.netloc.rpartition("@")[2]
    scheme = f"{parts.scheme}:" if parts.scheme else ""
    return (f"{scheme}//{host}{parts.path}" if host else parts.path) or "nowhere"
