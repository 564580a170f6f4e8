"""What a measure is and what it finds: rows of figures, kept as JSON with the date, the machine and the versions.

Knows nothing of what is measured, or of how a result is shown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results"
OURS: Final = "testpress_auth"
_PACKAGES: Final = (
    *("testpress-auth", "requests", "httpx", "aiohttp", "requests_auth", "httpx_auth", "Authlib"),
    *("requests-oauthlib", "google-auth", "requests_oauth2client"),
)


class Row(NamedTuple):
    """What one contestant did in one case: figures by their key. A text stands for what cannot be a number."""

    case: str
    who: str
    figures: Mapping[str, float | int | str]


class Measure(NamedTuple):
    """A question and how to answer it.

    `columns` gives each figure's heading, with its unit. The chart shows the figure `chart` of `chart_cases` (of all
    cases, if none are named). `run` is told whether to be quick (for trying it out: the figures are rough).
    """

    name: str
    title: str
    columns: Mapping[str, str]
    chart: str
    run: Callable[[argparse.Namespace], Iterable[Row]]
    chart_cases: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    options: Callable[[argparse.ArgumentParser], object] = lambda parser: None


def main(measure: Measure) -> None:
    """Run one measure as a script: rows to the screen as they come, and all of it to a JSON file."""
    parser = argparse.ArgumentParser(description=measure.title)
    parser.add_argument("--quick", action="store_true", help="short runs: to try it out, not to quote")
    parser.add_argument("--into", type=Path, default=RESULTS, help="the folder for the JSON file")
    measure.options(parser)
    given = parser.parse_args()
    rows = []
    for row in measure.run(given):
        rows.append(row._asdict())
        shown = "  ".join(f"{key} {figure(value)}" for key, value in row.figures.items())
        print(f"{row.case:44} {row.who:32} {shown}", flush=True)
    found = {
        **{"name": measure.name, "title": measure.title, "columns": measure.columns, "chart": measure.chart},
        **{
            "chart_cases": measure.chart_cases,
            "notes": measure.notes,
            "made": made(),
            "quick": given.quick,
            "rows": rows,
        },
    }
    given.into.mkdir(parents=True, exist_ok=True)
    (given.into / f"{measure.name}.json").write_text(json.dumps(found, indent=1) + "\n")


def made() -> dict[str, Any]:
    """Say when, on what, and with which versions (of what is installed here)."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} CPUs, {_processor()}, {platform.system()} {platform.machine()}",
        "versions": versions,
    }


def figure(value: float | int | str | None) -> str:
    """Write a figure: three significant digits, whole numbers whole."""
    if value is None:
        return ""
    if isinstance(value, (str, int)):
        return f"{value:,}" if isinstance(value, int) else value
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def quantile(values: Iterable[float], part: float) -> float:
    """Return the value below which that part of them lies; NaN has no place in JSON, so 0.0 of none."""
    ordered = sorted(values)
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def quiet() -> None:
    """Peers warn of what they will stop supporting; that is no figure."""
    with suppress(ImportError):
        import_module("authlib.deprecate")  # it puts a filter of its own in front
    warnings.simplefilter("ignore")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"
