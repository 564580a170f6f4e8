"""What stands between a client and a server on TCP: it passes bytes on, ends TLS, or drops a connection without a word.

Knows nothing of what is said through it.
"""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress


class Relay:
    """Pass what arrives on a free port of 127.0.0.1 on to `port`; a context manager.

    Args:
        port (int): of 127.0.0.1, where the server listens.
        tls (ssl.SSLContext | None): what clients must speak TLS with.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._target = port
        self._tls = tls
        self._open: list[socket.socket] = []
        self._forgotten: set[socket.socket] = set()
        self.accepted = 0

    def __enter__(self) -> Relay:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._listener)
        for end in self._open:
            _end(end)
        for thread in self._threads:
            thread.join()

    def forget(self) -> None:
        """Drop the connections there are as a firewall does: both ends believe in them, nothing arrives any more."""
        self._forgotten.update(self._open)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self._tls is not None:
                try:
                    client = self._tls.wrap_socket(client, server_side=True)
                except OSError:  # the client did not like our certificate
                    client.close()
                    continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # nobody is there
                _end(client)
                continue
            self._open += [client, server]
            for ends in ((client, server), (server, client)):
                self._threads.append(threading.Thread(target=self._pass_on, args=ends))
                self._threads[-1].start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if source not in self._forgotten:
                    target.sendall(data)
        if source not in self._forgotten:
            _end(target)


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
