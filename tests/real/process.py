"""The real site in a process of its own: start it, tell it what to do, stop it, and leave nothing behind.

Knows no client of this package and nothing of what the site answers.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_START_SECONDS = 30


class RealServer:
    """The site on a free port of 127.0.0.1, with the users testpress/demo and other/pass; a context manager."""

    def __enter__(self) -> RealServer:
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self._log = self.folder / "stderr"
        try:
            self._start()
        except BaseException:
            self._temporary.cleanup()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._temporary.cleanup()

    def _start(self) -> None:
        settings = {"REAL_SITE_DATABASE": str(self.folder / "db"), "PYTHONPATH": str(_ROOT)}
        with self._log.open("wb") as log:
            # What third parties warn of in there is not about this package.
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "tests.real"],
                cwd=_ROOT,
                env={**os.environ, **settings},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        too_late = threading.Timer(_START_SECONDS, self.process.kill)
        too_late.start()
        port = self.process.stdout.readline()
        too_late.cancel()
        too_late.join()
        if not port:
            self._stop()
            raise RuntimeError(f"the real server does not start:\n{self.errors}")
        self.port = int(port)
        self.tell(reset=True)

    def _stop(self) -> None:
        with self.process:  # closes its pipes
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def errors(self) -> str:
        """What the server wrote of its own mistakes."""
        return self._log.read_text()

    @property
    def logins(self) -> list[str]:
        """The addresses of the logins that arrived since `reset`."""
        return self.tell()

    def tell(self, **commands: Any) -> list[str]:
        """Give the site commands of its `COMMANDS`; returns `logins`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_START_SECONDS)
        try:
            connection.request("POST", "/control/", json.dumps(commands))
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, f"{commands}: {self.errors}"
            logins: list[str] = json.loads(body)["logins"]
            return logins
        finally:
            connection.close()
