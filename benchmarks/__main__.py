"""All measures, one after the other, each in a process of its own; then one Markdown page and a chart for each.

`python -m benchmarks` takes about twelve minutes on two idle CPUs; `--quick` about six, for rough figures.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from .chart import chart
from .result import HERE, RESULTS
from .table import page

_MEASURES: Final = ("call", "instructions", "cold", "steady", "imports", "processes", "threads", "accounts")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("measures", nargs="*", metavar="measure", help=f"of {', '.join(_MEASURES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="short runs: to try it out, not to quote")
    parser.add_argument("--into", type=Path, default=RESULTS, help="the folder for JSON, table and charts")
    parser.add_argument(
        "--show", action="store_true", help="measure nothing: table and charts of the JSON that is there"
    )
    given = parser.parse_args()
    measures = given.measures or _MEASURES
    if unknown := set(measures) - set(_MEASURES):
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    failed = []
    for name in [] if given.show else measures:
        started = time.monotonic()
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}", "--into", str(given.into.resolve())]
        done = subprocess.run([*command, *(["--quick"] if given.quick else [])], cwd=HERE.parent)  # noqa: S603
        print(f"== {name}: {time.monotonic() - started:.0f} s", flush=True)
        failed += [name] if done.returncode else []
    show(given.into)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def show(folder: Path) -> None:
    """Write the page and the charts of whatever results are in a folder."""
    files = [folder / f"{name}.json" for name in _MEASURES]
    results = [json.loads(file.read_text()) for file in files if file.exists()]
    for result in results:
        (folder / f"{result['name']}.svg").write_text(chart(result))
    (folder / "README.md").write_text(page(results))


if __name__ == "__main__":
    sys.exit(main())
