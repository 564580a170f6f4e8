"""A token store in memory that several `Shelf` objects share, as processes would share a server: one per process.

Counts what it is asked, and fails as it is told. Its leases run on the test's clock.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from testpress_auth import TokenStore


class Room:
    """What all processes see."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.values: dict[str, tuple[str, float | None]] = {}  # and when each is over
        self.leases: dict[str, tuple[str, float]] = {}
        self.asked: list[str] = []
        self.broken: set[str] = set()
        self.tells_seconds = True

    def only(self) -> dict[str, object]:
        """Return the one value there is, read."""
        ((text, _),) = self.values.values()
        value: dict[str, object] = json.loads(text)
        return value

    def put(self, text: str, seconds: float | None) -> None:
        """Write under every key that was ever asked for."""
        over = None if seconds is None else self.now() + seconds
        self.values = dict.fromkeys(self.values or self.leases, (text, over))


class Shelf(TokenStore):
    def __init__(self, room: Room) -> None:
        self.room = room

    def _ask(self, verb: str) -> None:
        self.room.asked.append(verb)
        if verb in self.room.broken or "all" in self.room.broken:
            raise ConnectionError("secret: connection refused")

    def load(self, key: str) -> tuple[str, float | None] | None:
        self._ask("load")
        text, over = self.room.values.get(key, ("", None))
        if not text or (over is not None and self.room.now() >= over):
            return None
        return text, None if over is None or not self.room.tells_seconds else over - self.room.now()

    def save(self, key: str, value: str, seconds: float | None) -> None:
        self._ask("save")
        self.room.values[key] = value, None if seconds is None else self.room.now() + seconds

    def delete(self, key: str, login_id: str) -> None:
        self._ask("delete")
        if key in self.room.values and json.loads(self.room.values[key][0])["id"] == login_id:
            del self.room.values[key]

    def lease(self, key: str, holder: str, seconds: float) -> bool:
        self._ask("lease")
        has, until = self.room.leases.get(key, (holder, 0.0))
        if has != holder and self.room.now() < until:
            return False
        self.room.leases[key] = holder, self.room.now() + seconds
        return True

    def release(self, key: str, holder: str) -> None:
        self._ask("release")
        if self.room.leases.get(key, ("", 0.0))[0] == holder:
            del self.room.leases[key]
