"""Start and end the processes of a fleet; knows nothing of what they do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]


class Worker:
    """One process of a fleet, ready to go."""

    def __init__(self, store: str, base_url: str, *, calls: int = 1, pause: float = 0.0, timeout: float = 10.0) -> None:
        what = {"store": store, "base_url": base_url, "calls": calls, "pause": pause, "timeout": timeout}
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "tests.fleet.worker", json.dumps(what)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """Wait for its end and return what it met."""
        out, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == 0
        found: dict[str, Any] = json.loads(out)
        return found

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def pause(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def close(self) -> None:
        with suppress(ProcessLookupError):
            self.resume()
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()


class Fleet:
    """So many workers alike; a context manager that leaves none behind."""

    def __init__(self, size: int, store: str, base_url: str, **how: Any) -> None:
        self._what = (store, base_url, how)
        self._size = size
        self.workers: list[Worker] = []

    def __enter__(self) -> Fleet:
        try:
            store, base_url, how = self._what
            for _ in range(self._size):
                self.workers.append(Worker(store, base_url, **how))
            for worker in self.workers:
                worker.wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.close()

    def go(self) -> None:
        for worker in self.workers:
            worker.go()

    def results(self) -> list[dict[str, Any]]:
        return [worker.result() for worker in self.workers]

    def run(self) -> Counter[str]:
        """Have all go at once; return what their requests met."""
        self.go()
        return met(self.results())


def met(results: list[dict[str, Any]]) -> Counter[str]:
    seen: Counter[str] = Counter()
    for result in results:
        seen.update(result["seen"])
    return seen
