"""What a terminal is shown: styles where it can take them, marks that it can print, lines that fit 80 columns.

Knows nothing of what is shown.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from typing import Final, TextIO

WIDTH: Final = 80
_STYLES: Final = {"bold": "1", "dim": "2", "good": "32", "bad": "31"}


class Screen:
    """Writes to a stream, each piece at once, so that whoever looks on sees it happen."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._coloured = _takes_colour(stream)
        self._marks = ("✗", "✓") if _can_print(stream, "✗✓") else ("FAIL", "ok")

    def write(self, text: str, style: str = "") -> None:
        """Write a piece of a line."""
        if style and self._coloured:
            text = f"\x1b[{_STYLES[style]}m{text}\x1b[0m"
        self._stream.write(text)
        self._stream.flush()

    def line(self, text: str = "", style: str = "") -> None:
        """Write a line, or the rest of one."""
        self.write(text, style if text else "")
        self._stream.write("\n")

    def paragraph(self, text: str, style: str = "", *, indent: int = 0) -> None:
        """Write a text in as many lines as it needs."""
        for line in textwrap.wrap(text, WIDTH - indent, break_on_hyphens=False):
            self.line(" " * indent + line, style)

    def verdict(self, good: bool, text: str = "", *, width: int = 0) -> None:
        """Write a check mark or a cross, and a few words, in so many columns."""
        self.write(f"{self._marks[good]} {text}".rstrip().ljust(width), "good" if good else "bad")

    def table(self, head: Sequence[str], rows: Sequence[tuple[bool, Sequence[object]]]) -> None:
        """Write a table: names to the left, figures to the right, and each row's verdict behind it."""
        cells = [list(head), *([str(cell) for cell in row] for _, row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]

        def laid_out(row: list[str]) -> str:
            name, *figures = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            return "   ".join([name.strip().ljust(widths[0]), *figures])

        self.line(laid_out(cells[0]), "bold")
        for (good, _), row in zip(rows, cells[1:], strict=True):
            self.write(laid_out(row) + "   ")
            self.verdict(good)
            self.line()


def _takes_colour(stream: TextIO) -> bool:
    """Whether to colour: on a terminal that can, unless the user said no (https://no-color.org)."""
    environment = os.environ
    if environment.get("NO_COLOR") or environment.get("TERM") == "dumb":
        return False
    # Windows' old console shows the codes themselves; its newer Terminal says who it is.
    return stream.isatty() and (os.name != "nt" or "WT_SESSION" in environment)


def _can_print(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
