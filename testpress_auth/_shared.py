"""What a source knows of the store that it shares with other processes: what is written there, and what is believed.

Sends nothing and decides nothing about when. A value is JSON with a version and a random login id; what comes out of a
store is checked like a login's answer (L5), without jwt.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from contextlib import suppress
from math import inf
from random import random
from typing import Any, Final

from ._origin import Origin
from ._token import Login, Token, seconds
from .stores.shared import TokenStore

_VERSION: Final = 1
_LARGEST: Final = 16 * 1024  # characters of a value
_FIRST_REST, _LONGEST_REST = 1.0, 60.0  # seconds that a store which failed is left alone


class Shared:
    """One account's place in a store."""

    __slots__ = ("_rest", "_rests_until", "key", "store")

    def __init__(self, store: TokenStore, origin: Origin, username: str) -> None:
        self.store = store
        self.key = hashlib.sha256(f"{origin}\n{username}".encode()).hexdigest()[:32]
        self._rest = 0.0
        self._rests_until = -inf

    def rests(self, now: float) -> bool:
        """Whether the store failed a moment ago and is left alone."""
        return now < self._rests_until

    def failed(self, now: float) -> float:
        """Leave the store alone for a while, twice as long each time, with jitter; return the seconds."""
        self._rest = min(max(2 * self._rest, _FIRST_REST), _LONGEST_REST)
        pause = self._rest * (0.5 + random() / 2)  # noqa: S311 (jitter, not a secret)
        self._rests_until = now + pause
        return pause

    def answered(self) -> None:
        self._rest = 0.0

    def let_go(self, holder: str) -> None:
        """Release a lease from a thread: whoever held it has been cancelled, and can ask for nothing more."""

        def release() -> None:
            with suppress(Exception):  # then it ends by itself
                self.store.release(self.key, holder)

        with suppress(RuntimeError):  # no more threads: the interpreter is ending
            threading.Thread(target=release, name="testpress-auth release", daemon=True).start()


def to_value(login: Login, *, now: float, wall: float) -> str:
    """Write a login down; `now` on its own clock, `wall` in Unix seconds. It gets its id here."""
    login.id = login.id or os.urandom(8).hex()
    ends = login.expires < inf
    return json.dumps(
        {
            "v": _VERSION,
            "id": login.id,
            "token": login.token.raw,
            "exp": login.token.expires_at,
            "lifetime": login.lifetime if ends else None,
            "until": wall + login.expires - now if ends else None,
        }
    )


def from_value(value: Any, left: Any, *, now: float, wall: float) -> Login | None:
    """Read a login; None if it is not one of this version's, or not fit for a header line, or over.

    Args:
        value: what the store gave.
        left: the seconds that the store says it has left, None where it cannot tell.
        now: monotonic seconds, from before the store was asked.
        wall: Unix seconds of this machine; counts only where the store cannot tell.
    """
    if not isinstance(value, str) or len(value) > _LARGEST:
        return None
    try:
        data = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.get("v") != _VERSION or not _is_id(data.get("id")):
        return None
    raw, lifetime = data.get("token"), seconds(data.get("lifetime"))
    if not isinstance(raw, str) or not re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]*", raw, re.ASCII):
        return None
    if lifetime is None:
        left = lifetime = inf
    else:
        until = seconds(data.get("until"))
        left = seconds(left) if left is not None else None if until is None else until - wall
        if left is None or left <= 0 or lifetime <= 0:
            return None
        left = min(left, lifetime)
    try:
        token = Token(raw, expires_at=seconds(data.get("exp")))
    except ValueError:
        return None
    sent_at = now if lifetime == inf else now + left - lifetime
    login = Login(token, sent_at=sent_at, lifetime=lifetime)
    login.id = data["id"]
    return login


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 64
