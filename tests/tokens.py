"""Tokens as Testpress makes them: HS256, `username user_id email exp`, no `iat`."""

from __future__ import annotations

import time
from typing import Any

import jwt

KEY = "a key that is the server's own, and long enough"


def make_token(lifetime: float = 300, *, user_id: int = 1, **claims: Any) -> str:
    payload = {
        "username": user_id,
        "user_id": user_id,
        "email": "",
        "exp": int(time.time() + lifetime),
        **claims,
    }
    return jwt.encode(payload, KEY, algorithm="HS256")
