"""A result's JSON as an SVG bar chart: title, axis with its unit, a value at each bar; for light and dark pages."""

from __future__ import annotations

from html import escape
from math import floor, log10
from typing import Any, Final

from .result import OURS, figure

_WIDTH, _LEFT, _RIGHT = 780, 232, 76  # pixels: all, names, room for the last value
_BAR, _STEP, _GROUP, _TOP = 14, 20, 34, 52
_STYLE: Final = """
.page{fill:#fff}.text{fill:#1f2328}.soft{fill:#59636e}.line{stroke:#d1d9e0}
.ours{fill:#0f766e}.base{fill:#b6bfc8}.peer{fill:#7c8ea3}
@media(prefers-color-scheme:dark){.page{fill:#0d1117}.text{fill:#e6edf3}.soft{fill:#9198a1}.line{stroke:#3d444d}
.ours{fill:#2dd4bf}.base{fill:#4b5560}.peer{fill:#8b9bb0}}
text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif}.head{font-size:15px;font-weight:600}.bold{font-weight:600}
"""


def chart(result: dict[str, Any]) -> str:
    """Return the chart of one result as the text of an SVG file."""
    key = result["chart"]
    shown = [
        row for row in result["rows"]
        if key in row["figures"] and (not result["chart_cases"] or row["case"] in result["chart_cases"])
    ]  # fmt: skip
    cases = list(dict.fromkeys(row["case"] for row in shown))
    most = max((float(row["figures"][key]) for row in shown), default=0.0) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    parts, y = [], _TOP
    for case in cases:
        parts.append(_text(16, y + 12, case, "text bold"))
        y += 22
        for row in shown:
            if row["case"] == case:
                parts += _bar(row["who"], float(row["figures"][key]), row["figures"][key], y, scale)
                y += _STEP
        y += _GROUP - _STEP
    return _document(result["title"], result["columns"][key], parts, _axis(most, scale, y), y + 42)


def _bar(who: str, value: float, written: Any, y: int, scale: float) -> list[str]:
    kind = "ours" if who.startswith(OURS) else "base" if who.startswith("constant") else "peer"
    width = max(value * scale, 1)
    weight = "text bold" if kind == "ours" else "text"
    return [
        _text(_LEFT - 8, y + 11, who, weight, "end"),
        f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>',
        _text(_LEFT + width + 6, y + 11, figure(written), weight),
    ]


def _axis(most: float, scale: float, y: int) -> list[str]:
    step = _nice(most / 5)
    parts = [f'<line class="line" x1="{_LEFT}" y1="{_TOP - 6}" x2="{_LEFT}" y2="{y}"/>']
    for number in range(int(most / step) + 1):
        x = _LEFT + number * step * scale
        parts.append(f'<line class="line" x1="{x:.1f}" y1="{y}" x2="{x:.1f}" y2="{y + 5}"/>')
        parts.append(_text(x, y + 18, f"{number * step:,g}", "soft", "middle"))
    parts.append(f'<line class="line" x1="{_LEFT}" y1="{y}" x2="{_WIDTH - 16}" y2="{y}"/>')
    return parts


def _nice(step: float) -> float:
    """Round a step up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** floor(log10(step))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= step * 0.999)


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _document(title: str, unit: str, parts: list[str], axis: list[str], height: int) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{height}" rx="6"/>',
        _text(16, 28, title, "text head"),
        *axis,
        *parts,
        _text(_LEFT, height - 8, unit, "soft"),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
