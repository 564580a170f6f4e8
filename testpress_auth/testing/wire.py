"""HTTP/1.1 over sockets: reads whole requests, writes whole answers, and closes down without leftovers.

It knows nothing of Testpress; what to answer is decided by the function it is given.
"""

import contextlib
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

from testpress_auth.testing.answers import Answer


@dataclass(frozen=True)
class Request:
    """One request as it arrived: `path` has the query, `headers` are the pairs in the order sent."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first value of a header, whatever the case of its name, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


@dataclass(frozen=True)
class Recorded(Request):
    """One request as it arrived, and the `status` of the answer it was given."""

    status: int


class Listener(socketserver.TCPServer):
    """Accepts connections on 127.0.0.1, each with a thread of its own.

    `http.server.ThreadingHTTPServer` is not used: it keeps no hold of its daemon threads, so they could not
    be ended, and it looks up the host's name when it binds, which may take seconds.

    Args:
        port: TCP port, 0 for a free one.
        respond: called by many threads at once, with a whole request.
        clock: Unix seconds, for the `Date` header.
    """

    allow_reuse_address = True
    # Hundreds of threads of a stress test may connect at the same moment.
    request_queue_size = 512

    def __init__(self, port: int, respond: Callable[[Request], Answer], clock: Callable[[], float]) -> None:
        self.respond = respond
        self.clock = clock
        self._connections: dict[threading.Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", port), _Handler)
        # The interval is how long `close` may go unnoticed, in seconds.
        self._accepting = threading.Thread(target=self.serve_forever, args=(0.01,), name="StandInServer", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Stop accepting, cut every connection and wait for the threads to end."""
        self.shutdown()
        self._accepting.join()
        self.server_close()
        for connection in self._connections.values():
            # Wakes a thread that waits for the next request of a keep-alive connection.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._connections:
            thread.join()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a new connection in a thread."""
        thread = threading.Thread(
            target=self._serve, args=(request, client_address), name="StandInServer connection", daemon=True
        )
        # Only the accepting thread comes here, and `close` reads once that has ended: no lock is needed.
        # Ended threads are sorted out here rather than by themselves, so that `close` can wait for the last.
        self._connections = {t: c for t, c in self._connections.items() if t.is_alive()}
        self._connections[thread] = request
        thread.start()

    def _serve(self, connection: socket.socket, client_address: object) -> None:
        try:
            self.finish_request(connection, client_address)
        except Exception:
            self.handle_error(connection, client_address)
        finally:
            self.shutdown_request(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that leave in mid-sentence; show every other fault, it is ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _exchange(self) -> None:
        # The body is read before anything is answered, so that the next request starts where it should.
        request = Request(self.command, self.path, tuple(self.headers.items()), self._body())
        listener = cast("Listener", self.server)
        answer = listener.respond(request)
        headers = {
            "Date": formatdate(listener.clock(), usegmt=True),
            "Content-Length": str(len(answer.body)),
            **({"Connection": "close"} if self.close_connection else {}),
        }
        given = {name.lower() for name in answer.headers}
        headers = {name: value for name, value in headers.items() if name.lower() not in given}
        reason = self.responses[answer.status][0] if answer.status in self.responses else ""
        lines = [f"HTTP/1.1 {answer.status} {reason}"]
        lines += [f"{name}: {value}" for name, value in {**answer.headers, **headers}.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        # One write: headers and body in two would wait for the client's delayed ACK, 40 ms each time.
        self.wfile.write(head if self.command == "HEAD" else head + answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _exchange

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self._read(int(self.headers.get("Content-Length", "0")))
        chunks = []
        while size := int(self._line().partition(b";")[0], 16):
            chunks.append(self._read(size))
            self._line()
        while self._line().strip():  # trailers (RFC 9112, section 7.1.2)
            pass
        return b"".join(chunks)

    def _read(self, size: int) -> bytes:
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionAbortedError("the client left before the end of its body")
        return data

    def _line(self) -> bytes:
        line = self.rfile.readline()
        if not line.endswith(b"\n"):
            raise ConnectionAbortedError("the client left before the end of its body")
        return line

    def log_message(self, format: str, *args: object) -> None:
        """Write no log: a test's output is for the test."""
