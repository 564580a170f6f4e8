"""A server that misbehaves: raw sockets, a thread for each connection, and a script for each answer.

A test says what the next logins and API calls get, as bytes and moves (`drip`, `silence`, `reset` …) in a row; without
a script a login gets a new token, and a call 200 if it carries one of them. Everything that arrived is kept.
Knows sockets, and enough of HTTP to find where a request ends; nothing of the clients, nor of Testpress's texts.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .tokens import make_token


class Seen(NamedTuple):
    """One request as it arrived: `head` is its request line and headers, as sent."""

    method: str
    path: str
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first value of a header, None if there is none."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


class Line:
    """The wire to one client, as a move of a script sees it."""

    def __init__(self, connection: socket.socket, stopping: threading.Event) -> None:
        self.socket = connection
        self.stopping = stopping

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def pause(self, seconds: float) -> None:
        """Let time pass, unless the server stops."""
        if self.stopping.wait(seconds):
            raise ConnectionAbortedError("the hostile server stops")

    def listen(self) -> bytes:
        """Return what the client says next; nothing once it has left."""
        return self.socket.recv(65536)


Move = Callable[[Line], object]
Script = Sequence[bytes | Move]


# --- moves


def close(line: Line) -> None:
    """End the connection politely, wherever the answer stands."""
    line.socket.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("closed by the script")


def reset(line: Line) -> None:
    """End the connection with a TCP reset."""
    line.pause(0.003)  # what was said before reaches the client first
    line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.socket.close()
    raise ConnectionAbortedError("reset by the script")


def silence(line: Line) -> None:
    """Say nothing more until the client leaves."""
    while line.listen():
        pass
    raise ConnectionAbortedError("the client left")


def drip(data: bytes, every: float = 0.02) -> Move:
    """Say it byte by byte, with so many seconds before each."""

    def move(line: Line) -> None:
        for byte in data:
            line.pause(every)
            line.say(bytes([byte]))

    return move


def without_end(data: bytes, every: float = 0.0) -> Move:
    """Say it again and again until the client leaves."""

    def move(line: Line) -> None:
        while True:
            line.pause(every)
            line.say(data)

    return move


def once(opened: threading.Event) -> Move:
    """Go on once the test sets the event."""

    def move(line: Line) -> None:
        while not opened.wait(0.01):
            line.pause(0)

    return move


# --- answers


def head(status: str, *headers: str) -> bytes:
    """A status line and headers, and nothing that was not asked for: no length, no date."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def answer(status: int, body: bytes | object = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """A whole answer. A body that is not bytes becomes JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Content-Length": str(len(content)), **(headers or {})}
    return head(f"{status} As told", *(f"{name}: {value}" for name, value in lines.items())) + content


def jwt_of(payload: str) -> str:
    """A JWT with exactly this payload, which no library would write; its signature is nonsense."""
    parts = [b'{"alg":"HS256","typ":"JWT"}', payload.encode(), b"signature"]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


CHUNKED = "Transfer-Encoding: chunked"


class HostileServer:
    """Scripts for logins and calls on 127.0.0.1. A context manager that cuts everything and leaves no thread.

    Attributes:
        logins (list[Seen]): the login requests, in the order in which they arrived.
        calls (list[Seen]): all other requests.
        tokens (list[str]): the tokens that were given out; the last is the newest.
    """

    def __init__(self) -> None:
        self.logins: list[Seen] = []
        self.calls: list[Seen] = []
        self.tokens: list[str] = []
        self._valid: set[str] = set()
        self._at_login: deque[Script] = deque()
        self._at_call: deque[Script] = deque()
        self._else_at_login: Script | None = None
        self._else_at_call: Script | None = None
        self._lock = threading.Lock()
        self._playing = 0
        self._numbers = itertools.count(1)
        self._stopping = threading.Event()
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.me = f"{self.url}/api/v2.2/me/"
        self._accepting = threading.Thread(target=self._accept, name="HostileServer", daemon=True)

    # --- what a test tells it

    def next_login(self, *script: bytes | Move) -> None:
        """Give the next login this answer, after those of earlier calls."""
        self._at_login.append(script)

    def next_call(self, *script: bytes | Move) -> None:
        """Give the next API call this answer, after those of earlier calls."""
        self._at_call.append(script)

    def every_login(self, *script: bytes | Move) -> None:
        """Give each login this answer where none is in line."""
        self._else_at_login = script

    def every_call(self, *script: bytes | Move) -> None:
        """Give each API call this answer where none is in line."""
        self._else_at_call = script

    def relent(self) -> None:
        """Forget what is still in line."""
        self._at_login.clear()
        self._at_call.clear()

    def new_token(self, **claims: Any) -> str:
        """Make a token that API calls may carry from now on; each is another."""
        return self.accept(make_token(user_id=next(self._numbers), **claims))

    def granting(self, headers: Mapping[str, str] | None = None, **claims: Any) -> bytes:
        """The answer to a login that brings a new token with these claims."""
        return answer(200, {"token": self.new_token(**claims)}, headers)

    def accept(self, token: str) -> str:
        """Let API calls carry this token from now on."""
        with self._lock:
            self.tokens.append(token)
            self._valid.add(token)
        return token

    def revoke(self) -> None:
        """Refuse all tokens given out so far."""
        with self._lock:
            self._valid.clear()

    def saw(self, *, logins: int = 0, calls: int = 0) -> bool:
        """Whether so many requests have arrived, waiting some seconds for those on their way."""
        return _soon(lambda: len(self.logins) >= logins and len(self.calls) >= calls)

    def is_quiet(self) -> bool:
        """Whether every script has come to its end or its client has left, waiting some seconds for that."""
        return _soon(lambda: not self._playing)

    # --- its life

    def __enter__(self) -> HostileServer:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes `accept` on Linux
        with contextlib.suppress(OSError):
            socket.create_connection(self._listener.getsockname(), timeout=1).close()  # and this elsewhere
        self._accepting.join(5)
        self._listener.close()
        for connection in self._connections.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._connections:
            thread.join(5)
        left = [thread.name for thread in (self._accepting, *self._connections) if thread.is_alive()]
        assert not left, left

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,), name="HostileServer line", daemon=True)
            self._connections = {each: c for each, c in self._connections.items() if each.is_alive()}
            self._connections[thread] = connection
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        line = Line(connection, self._stopping)
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as arriving:
            while (request := _read(arriving)) is not None:
                script = self._script(request)
                try:
                    for part in script:
                        if isinstance(part, bytes):
                            line.say(part)
                        else:
                            part(line)
                finally:
                    with self._lock:
                        self._playing -= 1

    def _script(self, request: Seen) -> Script:
        is_login = request.path.endswith("/auth-token/")
        with self._lock:
            self._playing += 1
            (self.logins if is_login else self.calls).append(request)
            waiting, otherwise = (
                (self._at_login, self._else_at_login) if is_login else (self._at_call, self._else_at_call)
            )
            script = waiting.popleft() if waiting else otherwise
        if script is not None:
            return script
        if is_login:
            return [self.granting()]
        carried = (request.header("Authorization") or "").removeprefix("JWT ")
        return [answer(200, request.body) if carried in self._valid else answer(401, {"detail": "no"})]


def _soon(condition: Callable[[], bool], within: float = 10.0) -> bool:
    end = time.monotonic() + within
    while not (true := condition()) and time.monotonic() < end:
        time.sleep(0.002)
    return true


def _read(arriving: Any) -> Seen | None:
    """Read one request; None where the client has left."""
    lines: list[bytes] = []
    while (line := arriving.readline()) not in (b"\r\n", b""):
        lines.append(line)
    if not lines or not line:
        return None
    method, path, _ = lines[0].decode("latin-1").split(" ")
    seen = Seen(method, path, b"".join(lines), b"")
    if (seen.header("Transfer-Encoding") or "").lower() == "chunked":
        return seen._replace(body=b"".join(_chunks(arriving)))
    size = int(seen.header("Content-Length") or 0)
    body = arriving.read(size)
    return seen._replace(body=body) if len(body) == size else None


def _chunks(arriving: Any) -> Iterable[bytes]:
    while size := int(arriving.readline(), 16):
        yield arriving.read(size)
        arriving.readline()
    arriving.readline()
