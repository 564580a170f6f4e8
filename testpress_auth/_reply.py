"""What came back, of any client: the parts of an answer that a login looks at, and how much of its body is read.

Pure; knows HTTP (RFC 9110), not what a body means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Final

from ._value import Value

LARGEST_BODY: Final = 64 * 1024  # bytes of an answer that anyone reads (L4)


class Reply(Value):
    """What came back, of any client.

    `body` is None where it cannot be read any more; `trouble` says why it is not all there; `late` that the deadline
    cut it; `last` that nothing more can be sent in this flow.
    """

    __slots__ = ("body", "headers", "last", "late", "status", "trouble")
    _hidden = ("body", "headers")

    status: int
    headers: Mapping[str, str]
    body: bytes | None
    trouble: str | None
    late: bool
    last: bool


class Intake:
    """An answer's body as it comes in: refused when encoded, cut at 64 KiB, ended by the login's deadline (L4)."""

    __slots__ = ("_deadline", "_now", "_size", "late", "trouble")

    def __init__(self, headers: Mapping[str, str], *, deadline: float, now: Callable[[], float]) -> None:
        encoding = headers.get("content-encoding") or "identity"
        self.trouble = None if encoding.lower() == "identity" else "an encoded body, though identity was asked for"
        self.late = False
        self._deadline = deadline
        self._now = now
        self._size = 0

    @property
    def has_taken(self) -> bool:
        return self._size > 0

    def takes(self, chunk: bytes) -> bool:
        """Whether this chunk is still wanted, and so the next."""
        self._size += len(chunk)
        if self._size > LARGEST_BODY:
            self.trouble = "a body of more than 64 KiB"
        self.late = self._now() > self._deadline
        return self.trouble is None and not self.late


def http_date(text: str | None) -> float | None:
    """Return an HTTP date (RFC 9110 section 5.6.7) in Unix seconds, None if it is none."""
    if not text or len(text) > 64:
        return None
    from datetime import timezone
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def retry_after(reply: Reply, now: float) -> float | None:
    """Return the seconds a 429 asks to wait: its Retry-After (RFC 9110 section 10.2.3), else Testpress's own text."""
    header = (reply.headers.get("retry-after") or "").strip()
    moment = http_date(header)
    if moment is not None:
        server_now = http_date(reply.headers.get("date"))
        return max(0.0, moment - (now if server_now is None else server_now))
    in_text = re.search(r"\bin ([0-9.]{1,12}) seconds?\b", (reply.body or b"").decode("utf-8", "replace"))
    for number in (header, in_text[1] if in_text else ""):
        try:
            wait = float(number)
        except ValueError:
            continue
        if isfinite(wait) and wait >= 0:
            return wait
    return None
