"""`testpress-auth demo`: the scenario, played live on every client that is installed, and summed up in a table.

Knows in what order, and how it looks. What is played, and what it must come to, the scenario says.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import Final

from .callers import installed
from .scenario import STEPS, Step
from .screen import Screen
from .stage import Figures, Stage

_TIME, _TITLE, _CELL = 9, 35, 12  # columns; with three clients 80 in all
_PITCH: Final = """
    auth = TestpressJWTAuth("testpress", password, subdomain="demo")
    requests.get("https://demo.testpress.in/api/v2.2/me/", auth=auth)
"""


def demo() -> int:
    """Play the scenario; return 1 if any figure is not what it must be, 2 if there is no client to play on."""
    clients, missing = installed()
    if not clients:
        print("\n".join(["testpress-auth demo: no client to play on", *missing]), file=sys.stderr)
        return 2
    screen = Screen(sys.stdout)
    screen.line("testpress-auth: one argument, and calls to Testpress just work", "bold")
    screen.line(_PITCH)
    screen.line("Played live, against a stand-in server; nothing leaves this machine.")
    for message in missing:
        screen.line(f"Note: {message}", "bad")  # not wrapped, for it is to be pasted
    screen.line()
    with ExitStack() as stages:
        return _play(screen, [stages.enter_context(Stage(client)) for client in clients])


def _play(screen: Screen, stages: list[Stage]) -> int:
    screen.write(" " * (_TIME + _TITLE))
    screen.line("".join(stage.client.name.ljust(_CELL) for stage in stages).rstrip(), "bold")
    began = time.perf_counter()
    played = []
    for step in STEPS:
        screen.write(f"{time.perf_counter() - began:{_TIME - 4}.1f} s  ", "dim")
        played.append(_play_step(screen, step, stages))
    good = _sum_up(screen, stages, played)
    seconds = time.perf_counter() - began
    screen.line()
    if not good:
        screen.line("Not all is as promised: see above.", "bad")
        return 1
    screen.line(f"All as promised, in {seconds:.1f} s. To try it yourself: testpress-auth serve")
    return 0


def _play_step(screen: Screen, step: Step, stages: list[Stage]) -> list[Figures]:
    screen.write(step.title.ljust(_TITLE), "bold")
    row = []
    for stage in stages:
        stage.forget()
        step.play(stage)
        figures = stage.figures()
        good = figures == step.expected
        screen.verdict(good, step.good if good else "", width=_CELL if stage is not stages[-1] else 0)
        row.append(figures)
    screen.line()
    screen.paragraph(step.text, "dim", indent=_TIME)
    error = next((stage.error for stage in stages if stage.error), "")
    screen.paragraph(error, indent=_TIME)
    for stage, figures in zip(stages, row, strict=True):
        for deviation in figures.deviations(step.expected):
            screen.paragraph(f"{stage.client.name}, {deviation}", "bad", indent=_TIME)
    return row


def _sum_up(screen: Screen, stages: list[Stage], played: list[list[Figures]]) -> bool:
    """Show each client's sums; return whether every figure of every step was what it must be."""
    expected = [step.expected for step in STEPS]
    rows = []
    for stage, figures in zip(stages, zip(*played, strict=True), strict=True):
        sums = [sum(each) for each in zip(*((f.calls, f.logins, f.seen_401) for f in figures), strict=True)]
        rows.append((list(figures) == expected, [stage.client.name, *sums]))
    screen.line()
    screen.table(["client", "calls", "logins", "401s the caller saw"], rows)
    return all(good for good, _ in rows)
