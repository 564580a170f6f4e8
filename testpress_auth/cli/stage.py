"""Where one client plays: a stand-in server, a second host, a clock that can be moved on, and a count of it all.

Knows neither the steps that are played nor how they are shown.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Final, NamedTuple

from .._policy import SYSTEM, Clock
from .._settings import Options
from ..events import Event, LoginSucceeded, RefreshScheduled
from ..testing import StandInServer
from .callers import CROWD, Answer, Caller, Client

# Not the documented pair: nobody could look for "demo" in the output and be sure what was found.
USERNAME: Final = "testpress"
PASSWORD: Final = "correct-horse"
LIFETIME: Final = 300.0  # seconds, as on Testpress
_LATENCY, _LOGIN_LATENCY = 0.01, 0.1  # seconds: as over a network, a login costs more than a call
_PATIENCE: Final = 2.0  # seconds until a renewal that does not come is given up


class Figures(NamedTuple):
    """What a step comes to: what its callers got, what the two servers saw, and what the client told."""

    answers: Mapping[str, int]
    logins: int = 0
    api_requests: int = 0
    refused_tokens: int = 0
    tokens_given_away: int = 0
    renewals_ahead: int = 0

    @property
    def calls(self) -> int:
        return sum(self.answers.values())

    @property
    def seen_401(self) -> int:
        """How many callers got a 401."""
        return self.answers.get("401", 0)

    def deviations(self, expected: Figures) -> list[str]:
        """Say, figure by figure, where this is not what was expected."""
        return [
            f"{name.replace('_', ' ')}: expected {_words(wanted)}, saw {_words(seen)}"
            for name, wanted, seen in zip(self._fields, expected, self, strict=True)
            if wanted != seen
        ]


class Stage:
    """One client's stage, a context manager. The client starts with no token."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.error = ""  # the text of the last exception that a call ended with
        self._moved = 0.0
        self._renewals_ahead = 0
        self._answers: Counter[str] = Counter()
        self._renewed = threading.Event()
        self._clock = Clock(
            wall=lambda: SYSTEM.wall() + self._moved,
            monotonic=lambda: SYSTEM.monotonic() + self._moved,
            sleep=SYSTEM.sleep,
        )
        self.server = StandInServer(
            users={USERNAME: PASSWORD},
            token_lifetime=LIFETIME,
            latency=_LATENCY,
            login_latency=_LOGIN_LATENCY,
            clock=self._clock.wall,
        )
        self.elsewhere = StandInServer(latency=_LATENCY)
        self._caller: Caller
        self._exit = ExitStack()

    def __enter__(self) -> Stage:
        self._exit.enter_context(self.server)
        self._exit.enter_context(self.elsewhere)
        self._caller = self._set_up(PASSWORD)
        self._exit.callback(lambda: self._caller.close())
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def call(self, number: int = 1, *, url: str = "") -> None:
        """Make calls one after the other, to the API unless told where to."""
        self._count(self._caller.get(url or self._api) for _ in range(number))

    def crowd(self) -> None:
        """Make twenty calls at once."""
        self._count(self._caller.at_once(self._api, CROWD))

    def start_over(self, password: str = PASSWORD) -> None:
        """Set the client up anew, with no token, as when a program starts."""
        self._caller.close()
        self._caller = self._set_up(password)

    def move_clock(self, seconds: float) -> None:
        """Move the clock on, for the client and the server alike."""
        self._renewed.clear()
        self._moved += seconds

    def await_renewal(self) -> None:
        """Wait for a login since the clock was last moved: where one runs beside the calls, none of them waits."""
        self._renewed.wait(_PATIENCE)

    def forget(self) -> None:
        """Count from zero."""
        self.error = ""
        self._renewals_ahead = 0
        self._answers.clear()
        self.server.forget()
        self.elsewhere.forget()

    def figures(self) -> Figures:
        """Return what has been counted since `forget`."""
        api_requests = self.server.api_requests
        return Figures(
            answers=dict(self._answers),
            logins=self.server.logins,
            api_requests=len(api_requests),
            refused_tokens=sum(request.status == 401 for request in api_requests),
            tokens_given_away=sum(request.header("Authorization") is not None for request in self.elsewhere.requests),
            renewals_ahead=self._renewals_ahead,
        )

    @property
    def _api(self) -> str:
        return f"{self.server.url}/api/v2.2/me/"

    def _set_up(self, password: str) -> Caller:
        options = Options(base_url=self.server.url, on_event=self._hear, _clock=self._clock)
        return self.client.set_up(USERNAME, password, options)

    def _hear(self, event: Event) -> None:
        if isinstance(event, LoginSucceeded):
            self._renewed.set()
        self._renewals_ahead += isinstance(event, RefreshScheduled)

    def _count(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            self._answers[answer.name] += 1
            self.error = answer.text or self.error


def _words(figure: object) -> str:
    if isinstance(figure, Mapping):
        return " and ".join(f"{number} x {name}" for name, number in sorted(figure.items()))
    return str(figure)
