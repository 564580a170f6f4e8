"""What a request presents to a Testpress server: the fields of a login, and a token, which it also makes.

It knows neither sockets nor which users and sessions there are; every function here is pure.
"""

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Mapping
from email import message_from_bytes, policy
from typing import Any
from urllib.parse import parse_qsl

from testpress_auth.testing.answers import Refused, detail, login_failed, of_json, unauthorized


def credentials(content_type: str, body: bytes) -> tuple[str, str]:
    """Read the user name and the password of a login, trimmed as DRF's CharField trims them.

    Raises:
        Refused: with 400 or 415, in DRF's words; a body with two bad fields names both.
    """
    fields = _fields(content_type, body)
    errors: dict[str, list[str]] = {}
    values: list[str] = []
    for name in ("username", "password"):
        value = fields.get(name)
        if name not in fields:
            errors[name] = ["This field is required."]
        elif value is None:
            errors[name] = ["This field may not be null."]
        elif isinstance(value, bool) or not isinstance(value, (str, int, float)):
            errors[name] = ["Not a valid string."]
        elif not str(value).strip():
            errors[name] = ["This field may not be blank."]
        values.append(str(value).strip())
    if errors:
        raise Refused(of_json(400, errors))
    return values[0], values[1]


def _fields(content_type: str, body: bytes) -> Mapping[str, Any]:
    media_type = content_type.partition(";")[0].strip().lower()
    if not body:
        # DRF looks for no parser when there is nothing to parse, whatever the content type.
        return {}
    if media_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    if media_type == "multipart/form-data":
        head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
        parts = message_from_bytes(head + body, policy=policy.HTTP).iter_parts()
        texts = ((part, part.get_payload(decode=True)) for part in parts if part.get_filename() is None)
        return {
            str(part.get_param("name", header="content-disposition")): text.decode("utf-8", "replace")
            for part, text in texts
            if isinstance(text, bytes)
        }
    if media_type != "application/json":
        raise Refused(detail(415, f'Unsupported media type "{content_type}" in request.'))
    try:
        data = json.loads(body.decode())
    except ValueError as error:
        raise Refused(detail(400, f"JSON parse error - {error}")) from error
    if data is None:
        raise Refused(login_failed("No data provided"))
    if not isinstance(data, dict):
        kind = type(data).__name__
        raise Refused(login_failed(f"Invalid data. Expected a dictionary, but got {kind}."))
    return data


def token_in(authorization: str | None) -> str:
    """Read the token of an `Authorization` header as django-rest-framework-jwt does.

    Raises:
        Refused: with 401, for no header, another scheme, no token or a token with blanks.
    """
    words = (authorization or "").split()
    if not words or words[0].lower() != "jwt":
        raise Refused(unauthorized("Authentication credentials were not provided."))
    if len(words) == 1:
        raise Refused(unauthorized("Invalid Authorization header. No credentials provided."))
    if len(words) > 2:
        text = "Invalid Authorization header. Credentials string should not contain spaces."
        raise Refused(unauthorized(text))
    return words[1]


def sign(claims: Mapping[str, Any], secret: bytes) -> str:
    """Make an HS256 token (RFC 7519); the same claims give the same string."""
    pair = ({"alg": "HS256", "typ": "JWT"}, claims)
    signed = ".".join(_base64url(json.dumps(part, separators=(",", ":")).encode()) for part in pair)
    return f"{signed}.{_signature(signed, secret)}"


def claims_of(token: str, secret: bytes, now: float | None) -> Mapping[str, Any]:
    """Return the claims of a token.

    Args:
        token: the token, without the word `JWT`.
        secret: the key that must have signed it.
        now: Unix seconds against which `exp` is held, or None where the server does not look at `exp`.

    Raises:
        Refused: with 401, in the words of django-rest-framework-jwt.
    """
    signed, _, signature = token.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(signed, secret).encode()):
        raise Refused(unauthorized("Error decoding signature."))
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
    exp = claims.get("exp", math.inf)
    if not isinstance(exp, (int, float)):
        raise Refused(unauthorized("Error decoding signature."))
    if now is not None and exp <= now:
        raise Refused(unauthorized("Signature has expired."))
    if not claims.get("username"):
        raise Refused(unauthorized("Invalid payload."))
    return claims


def _signature(signed: str, secret: bytes) -> str:
    return _base64url(hmac.new(secret, signed.encode(), hashlib.sha256).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
