"""The demo's scenario: what is played, and the figures that it must come to by the rules of this package.

Knows neither the clients, on each of which it is played as it stands, nor how it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from .callers import CROWD
from .stage import LIFETIME, Figures, Stage


class Step(NamedTuple):
    """One step.

    Args:
        title: what happens, in 34 characters at most.
        text: what comes of it.
        good: a few words for each client on which it went as expected.
        play: makes it happen.
        expected: the figures that it must come to.
    """

    title: str
    text: str
    good: str
    play: Callable[[Stage], None]
    expected: Figures


def _start_as_twenty(stage: Stage) -> None:
    stage.start_over()
    stage.crowd()


def _lose_the_token(stage: Stage) -> None:
    stage.server.revoke_all()
    stage.call()


def _outlive_the_token(stage: Stage) -> None:
    stage.move_clock(LIFETIME - 15)  # past the 80 to 90 % from which it is renewed ahead, before its last ten seconds
    stage.call()
    stage.await_renewal()
    stage.move_clock(20)
    stage.call()


def _follow_a_link(stage: Stage) -> None:
    # What "fails" here is the refusal: this host gives its file to whoever asks, as a CDN does.
    stage.elsewhere.fail_requests(1, status=200, body="a file")
    stage.call(url=f"{stage.elsewhere.url}/notes.pdf")


def _mistype_the_password(stage: Stage) -> None:
    stage.start_over("battery-staple")
    stage.call(11)


STEPS: Final = (
    Step(
        "The first call",
        "There is no token yet: the call logs in on its way.",
        "1 login",
        Stage.call,
        Figures({"200": 1}, logins=1, api_requests=1),
    ),
    Step(
        "Ten more calls",
        "The token is kept and used again.",
        "0 logins",
        lambda stage: stage.call(10),
        Figures({"200": 10}, logins=0, api_requests=10),
    ),
    Step(
        "Twenty calls at once, no token",
        "One logs in, nineteen wait for it, be they threads or tasks.",
        "1 login",
        _start_as_twenty,
        Figures({"200": CROWD}, logins=1, api_requests=CROWD),
    ),
    Step(
        "The server revokes the token",
        "It answers 401; a login, the call again, and the caller sees the 200.",
        "no 401",
        _lose_the_token,
        Figures({"200": 1}, logins=1, api_requests=2, refused_tokens=1),
    ),
    Step(
        "The token is about to run out",
        "Renewed while still good (we move the clock on): no call is refused.",
        "no 401",
        _outlive_the_token,
        Figures({"200": 2}, logins=1, api_requests=2, renewals_ahead=1),
    ),
    Step(
        "A link to another host",
        "The token goes to its own host and nowhere else.",
        "no token",
        _follow_a_link,
        Figures({"200": 1}),
    ),
    Step(
        "A wrong password, eleven calls",
        "All raise InvalidCredentials; one asks the server, so no lock-out:",
        "1 login",
        _mistype_the_password,
        Figures({"InvalidCredentials": 11}, logins=1),
    ),
)
