"""A: what a call with a valid token costs in instructions, counted by `valgrind --tool=callgrind`.

One interpreter imports everything and warms up; a fork of it makes N calls, another 2N, and the difference of what the
two executed is the price of N. A count is all but free of noise, so CI can hold the ratio over a constant header:
`--check` fails on more than 10 % growth over `instructions-stored.json`, which `--store` writes, for each minor version
of Python.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .result import HERE, OURS, Measure, Row, main, quiet

STORED: Final = HERE / "instructions-stored.json"
_GROWTH: Final = 1.10
_CONSTANT: Final = "constant header"
_CHECKED: Final = (
    "requests: auth(prepared)",
    "requests: the same, and its answer's hooks",
    "httpx: sync flow",
    "httpx: async flow",
)
_CALLS: Final = {True: 400, False: 40}  # the flows and the objects alone; whole calls


def run(given: argparse.Namespace) -> Iterator[Row]:
    if shutil.which("valgrind") is None:
        raise SystemExit(
            "instructions: valgrind is not installed, so nothing can be counted (apt-get install valgrind)"
        )
    return _rows(peers=not given.ours, checked_only=given.ours)


def _rows(*, peers: bool, checked_only: bool) -> Iterator[Row]:
    counts = _counted(peers=peers, checked_only=checked_only)
    for case, by_name in counts.items():
        for name, count in by_name.items():
            yield Row(case, name, {"ratio": count / by_name[_CONSTANT], "instructions": round(count)})


def _counted(*, peers: bool, checked_only: bool) -> dict[str, dict[str, float]]:
    """Return instructions per call, by case and contestant."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/%p", "--quiet"),
            *(sys.executable, "-m", "benchmarks.instructions", "--inside"),
            *(["--peers"] if peers else []),
            *(["--checked-only"] if checked_only else []),
        ]
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=HERE.parent, env=environment, capture_output=True, text=True)  # noqa: S603
        if done.returncode:
            raise SystemExit(f"instructions: valgrind failed\n{done.stderr[-2000:]}")
        counts: dict[str, dict[str, float]] = {}
        for line in done.stdout.splitlines():
            case, name, calls, once, twice = json.loads(line)
            counts.setdefault(case, {})[name] = (_total(folder, twice) - _total(folder, once)) / calls
    for by_name in counts.values():
        making = by_name.pop("", 0.0)
        for name in by_name:
            by_name[name] -= making
    return counts


def _total(folder: str, pid: int) -> int:
    found = re.search(r"^totals: (\d+)$", Path(folder, str(pid)).read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("instructions: callgrind's output has no totals")
    return int(found[1])


def inside(*, peers: bool, checked_only: bool) -> None:
    """Be what valgrind runs: print, per contestant, the calls and the two processes that made them once and twice."""
    quiet()
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    from .calls import cases

    for case in cases(peers=peers):
        if checked_only and case.name not in _CHECKED:
            continue
        # Nobody: what making the items costs, where that is no part of the call.
        contestants = {**({"": lambda items: None} if case.apart else {}), **case.contestants}
        calls = _CALLS[case.apart]
        for name, consume in contestants.items():
            consume(case.items(50))  # the interpreter adapts its bytecode to what it sees
            pids = []
            for times in (1, 2):
                pids.append(os.fork())
                if not pids[-1]:
                    gc.disable()
                    consume(case.items(calls * times))
                    os._exit(0)
                if os.waitpid(pids[-1], 0)[1]:
                    raise SystemExit(f"{case.name}, {name}: the fork failed")
            print(json.dumps([case.name, name, calls, *pids]), flush=True)


def check() -> int:
    """Compare with what is stored; print what was found. Return the exit code: 1 for growth, or for nothing stored."""
    if shutil.which("valgrind") is None:
        print("instructions: NOT CHECKED: valgrind is not installed and could not be had")
        return 1
    python = ".".join(platform.python_version_tuple()[:2])
    stored = json.loads(STORED.read_text()).get(python) if STORED.exists() else None
    if stored is None:
        print(f"instructions: nothing is stored for Python {python}: python -m benchmarks.instructions --store")
        return 1
    grown = False
    for row in _rows(peers=False, checked_only=True):
        if row.who == OURS:
            ratio, limit = float(row.figures["ratio"]), stored[row.case] * _GROWTH
            grown |= ratio > limit
            verdict = "GREW" if ratio > limit else "holds"
            before = stored[row.case]
            print(f"{verdict}: {row.case}: {ratio:.3f} over a constant header; {before} stored, {limit:.3f} allowed")
    return int(grown)


def store() -> int:
    """Write this Python's ratios over those stored before."""
    python = ".".join(platform.python_version_tuple()[:2])
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    rows = _rows(peers=False, checked_only=True)
    stored[python] = {row.case: round(float(row.figures["ratio"]), 3) for row in rows if row.who == OURS}
    STORED.write_text(json.dumps(dict(sorted(stored.items())), indent=1) + "\n")
    print(f"Python {python}: {stored[python]}")
    return 0


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ours", action="store_true", help="leave the peers and the whole calls out")
    parser.add_argument("--check", action="store_true", help="compare with the stored ratios; exit 1 on 10 %% growth")
    parser.add_argument("--store", action="store_true", help="write the ratios of this Python over the stored ones")


MEASURE = Measure(
    name="instructions",
    title="A. The same call, counted in instructions",
    columns={"ratio": "instructions over a constant header", "instructions": "instructions per call"},
    chart="ratio",
    chart_cases=("requests: auth(prepared)", "httpx: sync flow", "httpx: async flow"),
    run=run,
    notes=("Counted in user space by callgrind; the kernel's part of a clock read is not in it.",),
    options=_options,
)

if __name__ == "__main__":
    if "--inside" in sys.argv:
        inside(peers="--peers" in sys.argv, checked_only="--checked-only" in sys.argv)
    elif "--check" in sys.argv:
        sys.exit(check())
    elif "--store" in sys.argv:
        sys.exit(store())
    else:
        main(MEASURE)
