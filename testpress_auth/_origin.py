"""May this URL carry the token? Pure: text in, an answer out (RFC 6454, and rule O1 to O3).

Knows no client and no token. What is in doubt is foreign: a miss costs a 401, a wrong hit costs the token.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}


class Origin(NamedTuple):
    """Scheme, host in lower case, and port: what a token is bound to (RFC 6454 section 4)."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS.get(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine by its very name: localhost, 127.0.0.0/8 or ::1."""
        if self.host in ("localhost", "::1"):
            return True
        parts = self.host.split(".")
        return (
            len(parts) == 4
            and parts[0] == "127"
            and all(len(part) <= 3 and part.isascii() and part.isdigit() and int(part) < 256 for part in parts)
        )


def origin_of(url: str) -> Origin | None:
    """Return the origin of an http(s) URL, or None if there is the least doubt what a client would make of it."""
    if "\\" in url or not url.isascii() or not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        return None
    if scheme not in _DEFAULT_PORTS or not host or port == 0:
        return None
    authority = parts.netloc.rpartition("@")[2]
    if "[" in parts.netloc and not re.fullmatch(r"\[[0-9A-Fa-f:.]+\](:[0-9]*)?", authority):
        return None  # what urlsplit makes of brackets differs between Pythons
    return Origin(scheme, host, _DEFAULT_PORTS[scheme] if port is None else port)


def belongs_on_https(origin: Origin, allowed: tuple[Origin, ...]) -> bool:
    """Whether a plain http URL is meant for an https origin that may see the token (O2).

    Testpress's older `next` links are http. As with HSTS (RFC 6797 section 8.3), only port 80 or none is rewritten.
    """
    return origin.scheme == "http" and origin.port == 80 and Origin("https", origin.host, 443) in allowed
