"""Play by hand: `python -m tests.stress --seed 7 --steps 200`."""

from __future__ import annotations

import argparse
import time
import warnings

from .play import Play

if __name__ == "__main__":
    warnings.filterwarnings("ignore", message=".*multi-threaded.*", category=DeprecationWarning)  # fork is the point
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="so many seeds, from --seed on")
    parser.add_argument("--steps", type=int, default=100)
    given = parser.parse_args()
    for seed in range(given.seed, given.seed + given.seeds):
        started = time.monotonic()
        play = Play(seed)
        play.run(given.steps)
        took = time.monotonic() - started
        print(f"seed {seed}: {given.steps} steps in {took:.1f} s, {play.watch.logins} logins, {dict(play.outcomes)}")
