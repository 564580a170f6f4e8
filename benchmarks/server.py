"""The server that all contestants talk to, in a process of its own: our stand-in, and an OAuth2 token endpoint.

`POST /token/N` answers `{"access_token", "token_type", "expires_in"}` with a token of N seconds, whatever the grant;
the API takes it as `Bearer` or `JWT`. Both ways of logging in take `LOGIN_TAKES` seconds. Knows nothing of its clients.
"""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, Final, NamedTuple

from testpress_auth.testing import StandInServer, answers, presented
from testpress_auth.testing.answers import Answer
from testpress_auth.testing.wire import Request

LOGIN_TAKES: Final = 0.1  # seconds


class Seen(NamedTuple):
    """What the server saw since it was last asked to forget. Spans are seconds of `time.monotonic`, machine-wide."""

    logins: int
    refused: int
    spans: tuple[tuple[float, float], ...]


class _Both(StandInServer):
    """Our stand-in server, and the token endpoint."""

    def __init__(self, lifetime: float) -> None:
        super().__init__(login_latency=LOGIN_TAKES, token_lifetime=lifetime)
        self._user_ids["testpress"] = 1
        self._spans: list[tuple[float, float]] = []
        self._refused = 0

    def _respond(self, request: Request) -> Answer:
        started = time.monotonic()
        if request.path.startswith("/token/"):
            self._stopping.wait(LOGIN_TAKES)
            answer = self._grant(float(request.path.removeprefix("/token/")))
        elif request.path.endswith("/auth-token/"):
            answer = super()._respond(request)
        else:
            answer = super()._respond(replace(request, headers=_as_jwt(request)))
            self._refused += answer.status == 401
            self._records.clear()  # nobody reads them, and a run makes thousands
            return answer
        self._spans.append((started, time.monotonic()))
        return answer

    def _grant(self, lifetime: float) -> Answer:
        claims = {"username": 1, "user_id": 1, "email": "", "exp": self.clock() + lifetime}
        token = presented.sign(claims, self.secret)
        with self._lock:
            self._given.add(token)
        return answers.of_json(200, {"access_token": token, "token_type": "Bearer", "expires_in": int(lifetime)})

    def seen(self) -> Seen:
        return Seen(len(self._spans), self._refused, tuple(self._spans))

    def forget(self) -> None:
        super().forget()
        self._spans.clear()
        self._refused = 0


def _as_jwt(request: Request) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, f"JWT{value[6:]}" if name.lower() == "authorization" and value.startswith("Bearer") else value)
        for name, value in request.headers
    )


class ServerProcess:
    """Start the server in another process, so that it shares no interpreter lock with what is measured."""

    def __init__(self, lifetime: float = 3600) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, lifetime), daemon=True)
        self._process.start()
        self.url: str = self._pipe.recv()
        self.api: Final = f"{self.url}/api/v2.2/me/"

    def token(self, lifetime: float = 3600) -> str:
        """Return the URL of a token endpoint whose tokens last so many seconds."""
        return f"{self.url}/token/{lifetime:g}"

    def seen(self) -> Seen:
        seen: Seen = self._ask("seen")
        return seen

    def forget(self) -> None:
        self._ask("forget")

    def revoke_all(self) -> None:
        self._ask("revoke_all")

    def _ask(self, what: str) -> Any:
        self._pipe.send(what)
        return self._pipe.recv()

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send("stop")
        self._process.join()


def _serve(pipe: Connection, lifetime: float) -> None:
    with _Both(lifetime) as server:
        pipe.send(server.url)
        while (what := pipe.recv()) != "stop":
            pipe.send(getattr(server, what)())
