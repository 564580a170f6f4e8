"""Results as Markdown, from their JSON files and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .result import OURS, figure


def page(results: Iterable[dict[str, Any]]) -> str:
    """Return one Markdown page: a section per result, each with its chart, its table and its notes."""
    results = list(results)
    lines = ["# Results", ""]
    for made in _once(result["made"] for result in results):
        versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
        lines += [f"{made['date']}, Python {made['python']}; {made['machine']}.", f"{versions}.", ""]
    if any(result["quick"] for result in results):
        lines += ["**Quick runs among them: the figures are rough.**", ""]
    for result in results:
        lines += [f"## {result['title']}", "", *_table(result), ""]
        lines += [f"![{result['title']}]({result['name']}.svg)", "", *(f"{note}\n" for note in result["notes"])]
    return "\n".join(lines).rstrip() + "\n"


def _table(result: dict[str, Any]) -> list[str]:
    columns = {
        key: text for key, text in result["columns"].items() if any(key in row["figures"] for row in result["rows"])
    }
    lines = [
        f"| case | who | {' | '.join(columns.values())} |",
        f"|---|---|{'---:|' * len(columns)}",
    ]
    for row in result["rows"]:
        who = f"**{row['who']}**" if row["who"].startswith(OURS) else row["who"]
        figures = (figure(row["figures"].get(key)) for key in columns)
        lines.append(f"| {row['case']} | {who} | {' | '.join(figures)} |")
    return lines


def _once(values: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
