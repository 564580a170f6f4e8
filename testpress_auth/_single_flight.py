"""One at a time, for whoever asks at once: threads, tasks, several event loops, sync and async together.

The first to `join` leads and must `settle`; all others hold the same flight and are called back when it is settled,
each in its own way (a lock released, `call_soon_threadsafe`, `run_sync_soon`). A waiter then reads `outcome`, looks
again at what it wanted, and joins anew if that is still missing. So a cancelled leader costs itself alone.
A flight whose leader has vanished is settled by the first that comes after its deadline; one that a fork copied is
nobody's. The one lock below guards assignments, is never held over a call, and is fresh after a fork.

Knows neither logins nor clients, starts no thread and no event loop.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any, Final

GRACE: Final = 0.5  # seconds past its deadline that a flight is left alone (S2)

# Re-entrant, for the garbage collector or a signal handler may close an abandoned flow while this thread holds it.
lock = threading.RLock()


def _renew_lock() -> None:
    global lock
    lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class Unsettled(Enum):
    """How a flight can end without an answer (S3)."""

    HANDED_OVER = "its leader was cancelled, or vanished: the next waiter takes over, without limit"
    UNANSWERED = "its leader failed in a way that tells the others nothing: after two of these a waiter gives up"


class Flight:
    """One login under way. `outcome` is None until it is settled, and never changes after."""

    __slots__ = ("_waiters", "deadline", "outcome", "pid", "thread")

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.pid = os.getpid()
        self.thread = threading.get_ident()
        self.outcome: Any = None
        self._waiters: list[Callable[[], object]] = []

    def call_back(self, waiter: Callable[[], object]) -> bool:
        """Have `waiter` called once this flight is settled; False if it is already."""
        with lock:
            if self.outcome is not None:
                return False
            self._waiters.append(waiter)
            return True

    def leads_here(self) -> bool:
        """Whether its leader is in this very thread: then to block is to wait for oneself."""
        return self.thread == threading.get_ident()

    def wait(self, seconds: float) -> None:
        """Block this thread until the flight is settled, or for so many seconds."""
        landed = threading.Lock()
        landed.acquire()
        if self.call_back(landed.release):
            landed.acquire(timeout=max(seconds, 0))


class SingleFlight:
    """The place where at most one flight at a time is under way."""

    __slots__ = ("_flight",)

    def __init__(self) -> None:
        self._flight: Flight | None = None

    def join(self, now: float, deadline: float) -> tuple[Flight, bool]:
        """Return the flight under way and False, or a new one and True: then the caller leads it.

        One whose leader has vanished is over: past its deadline and half a second, or led by another process.
        """
        with lock:
            flight = self._flight
            if flight is not None and flight.pid == os.getpid() and now < flight.deadline + GRACE:
                return flight, False
            self._flight = new = Flight(deadline)
        if flight is not None:
            self.settle(flight, Unsettled.HANDED_OVER)
        return new, True

    def settle(self, flight: Flight, outcome: Any) -> None:
        """Give a flight its outcome and call every waiter back. Only the first outcome counts."""
        with lock:
            if self._flight is flight:
                self._flight = None
            if flight.outcome is not None:
                return
            flight.outcome = outcome
            waiters, flight._waiters = flight._waiters, []
        for waiter in waiters:
            with suppress(Exception):  # one that cannot be woken must not keep the others waiting
                waiter()
