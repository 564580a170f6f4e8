"""A clock that a test moves by hand: what sleeps on it moves it, so nothing ever waits."""

from __future__ import annotations

from testpress_auth._policy import Clock


class ManualClock:
    """Wall and monotonic seconds that stand still until `advance`; `wrong_by` sets the wall clock off."""

    def __init__(self, wall: float = 1_800_000_000.25) -> None:
        self.wall = wall
        self.monotonic = 1_000.0
        self.wrong_by = 0.0
        self.slept: list[float] = []

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    @property
    def local(self) -> Clock:
        """The clock of the machine under test."""
        return Clock(wall=lambda: self.wall + self.wrong_by, monotonic=lambda: self.monotonic, sleep=self.sleep)

    def server(self) -> float:
        """The server's clock, which is right."""
        return self.wall
