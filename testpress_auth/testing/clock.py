"""A clock that a test moves by hand: what sleeps on it moves it, so nothing ever waits.

Knows what a clock of this package is; must not look at the machine's.
"""

from __future__ import annotations

from .._policy import Clock


class ManualClock:
    """Wall and monotonic seconds that stand still until `advance`; `wrong_by` sets the local wall clock off.

    Args:
        wall: Unix seconds at the start.

    Attributes:
        wall (float): Unix seconds, those of the server.
        monotonic (float): seconds of a clock that only goes forward.
        wrong_by (float): seconds by which the machine under test is ahead of the server.
        slept (list[float]): the pauses asked for so far, in seconds; each moved the clock.
    """

    def __init__(self, wall: float = 1_800_000_000.25) -> None:
        self.wall = wall
        self.monotonic = 1_000.0
        self.wrong_by = 0.0
        self.slept: list[float] = []

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.monotonic += seconds

    def sleep(self, seconds: float) -> None:
        """Let time pass, and remember that somebody asked for it."""
        self.slept.append(seconds)
        self.advance(seconds)

    @property
    def local(self) -> Clock:
        """The clock of the machine under test."""
        return Clock(wall=lambda: self.wall + self.wrong_by, monotonic=lambda: self.monotonic, sleep=self.sleep)

    def server(self) -> float:
        """The server's clock, which is right: `StandInServer(clock=clock.server)`."""
        return self.wall
