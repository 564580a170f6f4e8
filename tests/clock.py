"""The clock that a test moves by hand lives in the package, for users' tests too."""

from __future__ import annotations

from testpress_auth.testing.clock import ManualClock

__all__ = ["ManualClock"]
