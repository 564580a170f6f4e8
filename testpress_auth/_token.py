"""What a JWT says, decoded and unverified (the key is the server's), and the login it came from.

Knows no clock, no client and no store. Nothing that could break a header line ever becomes a `Token`.
"""

from __future__ import annotations

from math import inf, isfinite
from typing import Any, Final

from ._value import Value

_LONGEST: Final = 8 * 1024


class Token(Value):
    """A Testpress token: its text and what it says of itself. Its repr and str never show the text.

    Attributes:
        raw (str): the JWT as the server gave it: printable ASCII, at most 8 KiB.
        expires_at (float | None): its `exp` in Unix seconds, None if it has none that counts (RFC 7519 section 4.1.4).
        issued_at (float | None): the same of its `iat`; Testpress's tokens have none.

    Raises:
        ValueError: it could not stand in a header line. The message holds none of it.
    """

    __slots__ = ("expires_at", "issued_at", "raw")
    _hidden = ("raw", "issued_at")

    raw: str
    expires_at: float | None
    issued_at: float | None

    def __init__(self, raw: str, *, expires_at: float | None = None, issued_at: float | None = None) -> None:
        if len(raw) > _LONGEST:
            raise ValueError("the token is longer than 8 KiB")
        if not raw.isascii() or not raw.isprintable() or " " in raw:
            raise ValueError("the token is not printable ASCII")
        super().__init__(raw=raw, expires_at=expires_at, issued_at=issued_at)

    @classmethod
    def parse(cls, raw: str) -> Token:
        """Read a JWT.

        Raises:
            ValueError: it is no JWT, or could not stand in a header line. The message holds none of it.
        """
        claims = _decode(cls(raw).raw)
        return cls(raw, expires_at=seconds(claims.get("exp")), issued_at=seconds(claims.get("iat")))

    @property
    def claims(self) -> dict[str, Any]:
        """The payload, decoded anew at each call: a copy of the caller's own."""
        return _decode(self.raw)


def seconds(claim: object) -> float | None:
    """Return a NumericDate as a float; None unless it is a finite JSON number (T2)."""
    if isinstance(claim, bool) or not isinstance(claim, (int, float)):
        return None
    try:
        number = float(claim)
    except OverflowError:
        return None
    return number if isfinite(number) else None


def _decode(raw: str) -> dict[str, Any]:
    import jwt  # at the first login, not before: it loads cryptography (T1)

    claims: dict[str, Any] = {}
    trouble = None
    try:
        claims = jwt.decode(raw, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        trouble = type(error).__name__
    if trouble is not None:
        raise ValueError(f"the token is not a JWT ({trouble})")  # outside the except: its context holds the text
    return claims


class Login:
    """One login's result: the token, the header line it makes, and when it runs out on a clock nobody can set.

    `header` is a new string for each login. Which login a request carried shows in that string's identity: two
    logins in one second give equal tokens.
    """

    __slots__ = ("accepted", "draw", "expires", "header", "id", "lifetime", "number", "sent_at", "token")

    def __init__(self, token: Token, *, sent_at: float, lifetime: float = inf, draw: float = 0.0) -> None:
        self.token = token
        self.header = f"JWT {token.raw}"
        self.sent_at = sent_at
        self.lifetime = lifetime
        self.expires = sent_at + lifetime
        self.draw = draw
        self.number = 0
        self.accepted = False
        self.id = ""  # random, once it is in a store

    def __repr__(self) -> str:
        return f"<login {self.number}: {self.token!r}>"
