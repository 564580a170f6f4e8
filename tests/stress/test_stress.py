"""The stress script, for a few seeds: everything at once, and what must hold after each step."""

from __future__ import annotations

import pytest

from .play import Play


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_everything_at_once_holds(seed: int) -> None:
    """L6, L7, F1, F2, S1 to S4, J1, J3, O1."""
    play = Play(seed)
    play.run(60)
    assert play.outcomes["200"] > 100
