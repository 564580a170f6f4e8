"""Which event loop this is, told without importing any."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import anyio
import pytest
import trio

from testpress_auth import _tasks


def test_outside_of_any_loop_there_is_none() -> None:
    assert _tasks.running_trio() is None
    assert not _tasks.in_event_loop()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_running_loop_is_told(backend: str) -> None:
    async def look() -> tuple[bool, bool]:
        return _tasks.in_event_loop(), _tasks.running_trio() is trio

    assert anyio.run(look, backend=backend) == (True, backend == "trio")


def test_trio_half_imported_by_another_thread_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    half = ModuleType("trio")
    monkeypatch.setitem(sys.modules, "trio", half)
    assert _tasks.running_trio() is None
    half.lowlevel = ModuleType("trio.lowlevel")  # type: ignore[attr-defined]
    assert _tasks.running_trio() is None


def test_neither_loop_is_imported_to_look() -> None:
    code = (
        "import sys; from testpress_auth import _tasks; "
        "print(_tasks.in_event_loop(), {'asyncio', 'trio'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "False set()"


@pytest.mark.anyio
async def test_sleep_and_threads_are_the_loops_own() -> None:
    await _tasks.sleep(0)
    assert await _tasks.in_thread(lambda: 5) == 5
