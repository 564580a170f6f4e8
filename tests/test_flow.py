"""The protocol, step by step: what a flow asks for and when, and what it tells (L4, L6, L7, F2, S1 to S3, J1, T3, T4).

Knows no client. Nobody waits: a `World` performs each step at once, on a clock that only the test moves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from email.utils import formatdate
from math import floor, inf
from typing import Any

import pytest

from testpress_auth import RefreshPolicy, _one_login, _source
from testpress_auth._credentials import Secret
from testpress_auth._failure import Failure, unreachable
from testpress_auth._flow import obtain, recover, reject, renew, usable
from testpress_auth._login import login_request
from testpress_auth._reply import Reply
from testpress_auth._settings import Settings
from testpress_auth._shared import Shared
from testpress_auth._single_flight import Unsettled
from testpress_auth._source import TokenSource
from testpress_auth._steps import AskPassword, Closed, Flow, Read, Resend, Send, Sleep, UseStore, Wait, drive
from testpress_auth._token import Login
from testpress_auth.errors import InvalidCredentials, LoginThrottled, LoginTimeout, LoginUnavailable
from testpress_auth.events import (
    Event,
    LoginAwaited,
    LoginFailed,
    LoginStarted,
    LoginSucceeded,
    RefreshScheduled,
    TokenRejected,
    TokenReused,
)

from .clock import ManualClock
from .shelf import Room, Shelf
from .tokens import make_token

BEGAN = ManualClock().monotonic
URL = "https://demo.testpress.in/api/v2.2/auth-token/"
EXACT = RefreshPolicy(jitter=0)  # due at 240 of 300 seconds, stale at 290


def reply(status: int = 200, body: object = None, *, last: bool = False, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers=named, body=json.dumps(body).encode(), trouble=None, late=False, last=last)


REFUSAL = reply(400, {"non_field_errors": ["Unable to log in."]})


class World:
    """Performs each step as the test says, takes the time that it says, and keeps what was asked."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.steps: list[Any] = []
        self.password = "demo"
        self.password_takes = self.login_takes = self.oversleeps = 0.0
        self.lifetime = 300
        self.logins: list[Reply | Failure | Exception] = []  # the answers to come; a fresh token after the last
        self.again: list[tuple[Any, bool]] = []  # the answers to requests that are sent again

    def perform(self, step: Any) -> Any:
        self.steps.append(step)
        if isinstance(step, AskPassword):
            self.clock.advance(self.password_takes)
            return Secret(self.password)
        if isinstance(step, Send):
            answer = self.logins.pop(0) if self.logins else self.token()
            self.clock.advance(self.login_takes)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if isinstance(step, Sleep):
            self.clock.sleep(step.seconds)
            self.clock.advance(self.oversleeps)
        if isinstance(step, UseStore):
            return step.work()
        return self.again.pop(0) if isinstance(step, Resend) else None

    def token(self, **headers: Any) -> Reply:
        return reply(200, {"token": make_token(exp=self.clock.server() + self.lifetime)}, **headers)

    def run(self, flow: Flow[Any]) -> Any:
        return drive(flow, self.perform)

    def asked(self) -> list[type]:
        """Return the kinds of the steps since it was last asked."""
        kinds = [type(step) for step in self.steps]
        self.steps.clear()
        return kinds

    @property
    def sends(self) -> int:
        return sum(isinstance(step, Send) for step in self.steps)


@pytest.fixture
def world(clock: ManualClock) -> World:
    return World(clock)


@pytest.fixture
def seen() -> list[Event]:
    return []


@pytest.fixture
def make(clock: ManualClock, seen: list[Event]) -> Callable[..., Settings]:
    def settings(password: Any = "demo", **options: Any) -> Settings:
        defaults = {"refresh": EXACT, "on_event": seen.append, "_clock": clock.local}
        return Settings("testpress", password, base_url="https://demo.testpress.in", **{**defaults, **options})

    return settings


@pytest.fixture
def settings(make: Callable[..., Settings]) -> Settings:
    return make()


@pytest.fixture
def source(settings: Settings) -> TokenSource:
    return TokenSource(settings.origin, "testpress")


@pytest.fixture
def login(world: World, source: TokenSource, settings: Settings, seen: list[Event]) -> Login:
    """The account's first login, of 300 seconds."""
    first = world.run(usable(source, settings))
    world.steps.clear()
    seen.clear()
    assert isinstance(first, Login)
    return first


def ended(flow: Flow[Any], answer: Any) -> Any:
    """Give a flow its last answer, and return what it came to."""
    with pytest.raises(StopIteration) as done:
        flow.send(answer)
    return done.value.value


def current(source: TokenSource) -> Login:
    """Return the login whose token the account has now."""
    assert source.login is not None
    return source.login


def seconds_to_rest(source: TokenSource, login: Login, clock: ManualClock) -> float:
    """Return the seconds until this token may be renewed ahead."""
    return source.ahead_at(EXACT, login) - clock.monotonic


def at_its_send(flow: Flow[Any]) -> Flow[Any]:
    """Take a login to the step where it is on its way."""
    assert isinstance(next(flow), AskPassword)
    assert isinstance(flow.send(Secret("demo")), Send)
    return flow


# One login


def test_a_login_asks_for_the_password_and_is_sent_once(
    world: World, source: TokenSource, make: Callable[..., Settings], seen: list[Event]
) -> None:
    """L1, L4: its deadline begins once the password is there; T3: its token's life when it was sent."""
    world.password_takes, world.login_takes = 2, 1.5
    headers = {"X-Device-UID": "7"}
    login = world.run(usable(source, make(login_headers=headers)))
    assert current(source) is login
    assert (login.sent_at, login.lifetime) == (BEGAN + 2, 300)
    asked, sent = world.steps
    assert isinstance(asked, AskPassword)
    assert sent == Send(request=login_request(URL, "testpress", Secret("demo"), headers), deadline=BEGAN + 2 + 10)
    assert seen == [
        LoginStarted(account=source.account),
        LoginSucceeded(account=source.account, seconds=1.5, lifetime=300.0),
    ]


def test_the_token_s_life_is_counted_from_the_send_that_brought_it(
    world: World, source: TokenSource, settings: Settings, seen: list[Event]
) -> None:
    """T3; what the whole login took is told, sends that failed included."""
    world.logins, world.login_takes = [reply(503)], 1
    login = world.run(usable(source, settings))
    (pause,) = world.clock.slept
    assert login.sent_at == BEGAN + 1 + pause
    assert login.lifetime == 300
    assert isinstance(seen[-1], LoginSucceeded)
    assert seen[-1].seconds == pytest.approx(2 + pause)


def test_the_reply_s_date_corrects_a_wrong_local_clock(
    world: World, clock: ManualClock, source: TokenSource, settings: Settings
) -> None:
    """T3."""
    clock.wrong_by = -3600
    world.logins = [world.token(date=formatdate(floor(clock.server()), usegmt=True))]
    assert world.run(usable(source, settings)).lifetime == pytest.approx(299, abs=1)


def test_a_token_that_was_used_up_on_its_way_has_no_expiry_and_one_warning_says_so(
    world: World, source: TokenSource, make: Callable[..., Settings], caplog: pytest.LogCaptureFixture
) -> None:
    """T4: never a login loop, nor a log of it."""
    world.login_takes = 280
    settings = make(timeout=600)
    for _ in range(2):
        assert world.run(usable(source, settings)).lifetime == inf
        source.forget()
    (warning,) = [record for record in caplog.records if "expired already" in record.getMessage()]
    assert warning.levelname == "WARNING"
    assert warning.getMessage().startswith(f"the server gives account {source.account} tokens that have expired")
    assert warning.getMessage().endswith("their exp is ignored")


def test_a_token_that_says_nothing_of_its_end_is_no_reason_to_warn(
    world: World, source: TokenSource, settings: Settings, seen: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    """T2."""
    world.logins = [reply(200, {"token": make_token(exp=None)})]
    assert world.run(usable(source, settings)).lifetime == inf
    assert isinstance(seen[-1], LoginSucceeded)
    assert seen[-1].lifetime is None
    assert "expired" not in caplog.text


# More than one send


@pytest.mark.parametrize(("draw", "pauses"), [(0.0, [0.25, 0.5]), (0.5, [0.375, 0.75]), (1.0, [0.5, 1.0])])
def test_a_login_is_sent_three_times_with_a_growing_jittered_pause(
    world: World,
    source: TokenSource,
    settings: Settings,
    seen: list[Event],
    draw: float,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """L6."""
    monkeypatch.setattr(_one_login, "random", lambda: draw)
    world.logins, world.login_takes = [reply(503)] * 9, 1
    failure = world.run(usable(source, settings))
    assert failure.error is LoginUnavailable
    assert failure.message == f"login at {URL}: the server answered 503"
    assert world.clock.slept == pauses
    deadlines = {step.deadline for step in world.steps if isinstance(step, Send)}
    assert deadlines == {BEGAN + 10}, "all within one login's deadline"
    assert world.asked() == [AskPassword, Send, Sleep, Send, Sleep, Send]
    failed = LoginFailed(account=source.account, seconds=3 + sum(pauses), error="LoginUnavailable", status=503)
    assert seen == [LoginStarted(account=source.account), failed]


@pytest.mark.parametrize(
    ("answer", "sends"),
    [
        pytest.param(unreachable(URL, OSError("down")), 3, id="no connection"),
        pytest.param(unreachable(URL, OSError("down"), pause=None), 1, id="no connection, where another sends"),
        pytest.param(reply(503), 3, id="503"),
        pytest.param(reply(503, last=True), 1, id="503 where nothing more can be sent"),
        pytest.param(reply(501), 1, id="501"),
        pytest.param(reply(404), 1, id="404"),
        pytest.param(REFUSAL, 1, id="a refusal"),
        pytest.param(reply(429), 1, id="429 without a time"),
    ],
)
def test_only_what_may_pass_is_sent_again(
    world: World, source: TokenSource, settings: Settings, answer: Reply | Failure, sends: int
) -> None:
    """L6."""
    world.logins = [answer] * 9
    assert isinstance(world.run(usable(source, settings)), Failure)
    assert world.sends == sends


@pytest.mark.parametrize(("seconds", "sends"), [("1", 2), ("9.5", 2), ("9.75", 1), ("60", 1)])
def test_a_retry_after_is_waited_for_if_a_send_fits_behind_it(
    world: World,
    source: TokenSource,
    settings: Settings,
    seconds: str,
    sends: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """L6: not at the very deadline, for nothing could come back."""
    monkeypatch.setattr(_one_login, "random", lambda: 0.0)
    world.logins = [reply(429, retry_after=seconds)]
    outcome = world.run(usable(source, settings))
    assert world.sends == sends
    assert isinstance(outcome, Login) == (sends == 2)
    assert world.clock.slept == [float(seconds) + 0.25] * (sends - 1)


@pytest.mark.parametrize(("overslept", "sends"), [(9.5, 2), (9.75, 1), (3600.0, 1)])
def test_a_login_that_slept_past_its_deadline_is_not_sent_again(
    world: World,
    source: TokenSource,
    settings: Settings,
    overslept: float,
    sends: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """L4: a machine may be suspended in the middle of a pause."""
    monkeypatch.setattr(_one_login, "random", lambda: 0.0)
    world.logins, world.oversleeps = [reply(503)], overslept
    outcome = world.run(usable(source, settings))
    assert world.sends == sends
    assert isinstance(outcome, Login) == (sends == 2)


def test_a_retry_after_that_is_a_date_is_counted_from_our_clock_if_the_reply_has_none(
    world: World, clock: ManualClock, source: TokenSource, settings: Settings
) -> None:
    """L6, L7."""
    world.logins = [reply(429, retry_after=formatdate(floor(clock.server()) + 60, usegmt=True))]
    failure = world.run(usable(source, settings))
    assert failure.error is LoginThrottled
    assert failure.fields["retry_after"] == pytest.approx(60, abs=1)


def test_an_answer_that_the_deadline_cut_says_how_long_a_login_may_take(
    world: World, source: TokenSource, make: Callable[..., Settings]
) -> None:
    """L4."""
    world.logins = [Reply(status=200, headers={}, body=b"", trouble=None, late=True, last=False)]
    failure = world.run(usable(source, make(timeout=2.5)))
    assert failure.error is LoginTimeout
    assert failure.fields == {"timeout": 2.5}
    assert failure.message == f"login at {URL} did not end within 2.5 seconds"
    assert world.sends == 1


# What is remembered


@pytest.mark.parametrize(("later", "sends"), [(0.0, 0), (29.9, 0), (30.0, 1)])
def test_a_refused_password_is_not_sent_again_for_30_seconds(
    world: World, source: TokenSource, settings: Settings, seen: list[Event], later: float, sends: int
) -> None:
    """L7: counted from the refusal; the same failure is everybody's."""
    world.logins, world.login_takes = [REFUSAL], 4
    refused = world.run(usable(source, settings))
    assert refused.error is InvalidCredentials
    failed = LoginFailed(account=source.account, seconds=4.0, error="InvalidCredentials", status=400)
    assert seen == [LoginStarted(account=source.account), failed]
    world.clock.advance(later)
    world.steps.clear()
    again = world.run(usable(source, settings))
    assert world.sends == sends
    assert (again is refused) == (sends == 0)
    assert len(seen) == 2 + 2 * sends, "what is not sent is no login"


def test_another_password_is_tried_at_once(world: World, source: TokenSource, settings: Settings) -> None:
    """L7."""
    world.logins = [REFUSAL]
    world.run(usable(source, settings))
    world.password = "better"
    assert isinstance(world.run(usable(source, settings)), Login)


@pytest.mark.parametrize(("later", "sends"), [(59.0, 0), (61.0, 1)])
def test_a_throttling_is_remembered_for_as_long_as_the_server_says(
    world: World, source: TokenSource, settings: Settings, later: float, sends: int
) -> None:
    """L7."""
    world.logins = [reply(429, retry_after="60")]
    assert world.run(usable(source, settings)).error is LoginThrottled
    world.clock.advance(later)
    world.steps.clear()
    world.run(usable(source, settings))
    assert world.sends == sends


@pytest.mark.parametrize("answer", [reply(501), reply(404), reply(200, "nonsense"), reply(302)])
def test_nothing_else_is_remembered(world: World, source: TokenSource, settings: Settings, answer: Reply) -> None:
    """L7."""
    world.logins = [answer]
    assert isinstance(world.run(usable(source, settings)), Failure)
    assert isinstance(world.run(usable(source, settings)), Login)


# Waiting for another's login


@pytest.mark.parametrize("password", ["demo", lambda: "demo"], ids=["str", "callable"])
def test_while_a_password_is_fetched_others_look_again_after_what_a_login_may_take(
    source: TokenSource, make: Callable[..., Settings], password: Any
) -> None:
    """S2: the deadline moves on when the password is there, so nobody may sleep until the first one."""
    settings = make(password)
    leader, waiter = obtain(source, settings), obtain(source, settings)
    assert isinstance(next(leader), AskPassword)
    waiting = next(waiter)
    assert isinstance(waiting, Wait)
    assert waiting.seconds == 10.5
    assert waiting.flight.deadline == BEGAN + (10 if password == "demo" else 70)


def test_others_wait_for_a_login_until_half_a_second_past_its_deadline_and_then_take_over(
    clock: ManualClock, source: TokenSource, settings: Settings, seen: list[Event]
) -> None:
    """S2: whoever does it may have vanished."""
    leader = obtain(source, settings)
    assert isinstance(next(leader), AskPassword)
    clock.advance(3)
    leader.send(Secret("demo"))
    clock.advance(4)
    waiter = obtain(source, settings)
    first = next(waiter)
    assert first.seconds == 6.5
    clock.advance(1)
    second = waiter.send(None)
    assert (second.flight, second.seconds) == (first.flight, 5.5), "it was woken too early"
    clock.advance(5.5)
    assert isinstance(waiter.send(None), AskPassword)
    assert first.flight.outcome is Unsettled.HANDED_OVER
    assert [type(event) for event in seen] == [LoginStarted], "who took over has waited for nothing"


def test_a_waiter_gets_the_leader_s_token_and_tells_how_long_it_waited(
    world: World, clock: ManualClock, source: TokenSource, settings: Settings, seen: list[Event]
) -> None:
    """S1."""
    leader, waiter = at_its_send(obtain(source, settings)), obtain(source, settings)
    next(waiter)
    clock.advance(1.5)
    login = ended(leader, world.token())
    assert ended(waiter, None) is login
    assert seen[-1] == LoginAwaited(account=source.account, seconds=1.5)


def test_a_waiter_gets_the_leader_s_failure(source: TokenSource, settings: Settings, seen: list[Event]) -> None:
    """S1, L6: also one that is not remembered."""
    leader, waiter = at_its_send(obtain(source, settings)), obtain(source, settings)
    next(waiter)
    failure = ended(leader, reply(501))
    assert failure.error is LoginUnavailable
    assert ended(waiter, None) is failure
    assert isinstance(seen[-1], LoginAwaited)


def test_each_wait_is_told_by_itself(
    clock: ManualClock, source: TokenSource, settings: Settings, seen: list[Event]
) -> None:
    """S3: after a leader that was cancelled comes another."""
    waiter = obtain(source, settings)
    for number, seconds in enumerate([2.0, 3.0]):
        leader = at_its_send(obtain(source, settings))
        assert isinstance(waiter.send(None) if number else next(waiter), Wait)
        clock.advance(seconds)
        leader.close()
    assert isinstance(waiter.send(None), AskPassword)
    waits = [event.seconds for event in seen if isinstance(event, LoginAwaited)]
    assert waits == [2.0, 3.0]


def test_a_waiter_gives_up_after_two_logins_without_an_answer(source: TokenSource, settings: Settings) -> None:
    """S3: a dead endpoint costs two timeouts; who was cancelled does not count, however many there are."""
    ends: list[BaseException] = [
        GeneratorExit(),
        ConnectionError("gone"),
        Closed(Unsettled.HANDED_OVER),
        GeneratorExit(),
        Closed(Unsettled.UNANSWERED),
    ]
    waiter = obtain(source, settings)
    failure: Any = None
    for number, error in enumerate(ends):
        leader = at_its_send(obtain(source, settings))
        step = waiter.send(None) if number else next(waiter)
        assert isinstance(step, Wait), f"after {number} leaders"
        with pytest.raises(type(error)):
            leader.throw(error)
    failure = ended(waiter, None)
    assert failure.error is LoginUnavailable
    assert failure.message == f"login at {URL}: other callers' logins ended without an answer"


# How a leader ends


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        pytest.param(ConnectionError("gone"), Unsettled.UNANSWERED, id="what the step raised"),
        pytest.param(GeneratorExit(), Unsettled.HANDED_OVER, id="closed"),
        pytest.param(KeyboardInterrupt(), Unsettled.HANDED_OVER, id="interrupted"),
        pytest.param(Closed(Unsettled.UNANSWERED), Unsettled.UNANSWERED, id="closed by a page that saw a failure"),
        pytest.param(Closed(Unsettled.HANDED_OVER), Unsettled.HANDED_OVER, id="closed by a page, cancelled"),
    ],
)
def test_a_login_that_ends_without_an_answer_says_what_others_can_make_of_it(
    clock: ManualClock,
    source: TokenSource,
    settings: Settings,
    seen: list[Event],
    error: BaseException,
    outcome: Unsettled,
) -> None:
    """S3; the leader gets its own exception, and an event tells."""
    leader, waiter = at_its_send(obtain(source, settings)), obtain(source, settings)
    flight = next(waiter).flight
    clock.advance(2)
    with pytest.raises(type(error)) as caught:
        leader.throw(error)
    assert caught.value is error
    assert flight.outcome is outcome
    failed = LoginFailed(account=source.account, seconds=2.0, error=type(error).__name__, status=None)
    assert seen[-1] == failed


def test_a_password_that_cannot_be_had_is_a_login_without_an_answer(source: TokenSource, settings: Settings) -> None:
    """S3."""
    leader, waiter = obtain(source, settings), obtain(source, settings)
    next(leader)
    flight = next(waiter).flight
    with pytest.raises(LookupError):
        leader.throw(LookupError("no such secret"))
    assert flight.outcome is Unsettled.UNANSWERED


def test_a_leader_that_was_overtaken_uses_the_other_s_token_instead_of_failing(
    world: World, clock: ManualClock, source: TokenSource, settings: Settings
) -> None:
    """S2: it looks once more before it raises."""
    slow = at_its_send(obtain(source, settings))
    clock.advance(10.5)
    other = world.run(obtain(source, settings))
    assert isinstance(other, Login)
    assert ended(slow, reply(400, {"detail": "no"})) is other


def test_a_leader_that_was_overtaken_fails_once_the_other_s_token_is_over(
    world: World, clock: ManualClock, source: TokenSource, settings: Settings
) -> None:
    """F1."""
    slow = at_its_send(obtain(source, settings))
    clock.advance(10.5)
    world.run(obtain(source, settings))
    clock.advance(290)
    assert ended(slow, reply(501)).error is LoginUnavailable


# Renewal ahead


@pytest.mark.parametrize(("age", "due"), [(0.0, False), (239.75, False), (240.0, True), (289.75, True)])
def test_a_token_is_renewed_on_the_way_from_the_moment_it_is_due(
    world: World,
    clock: ManualClock,
    source: TokenSource,
    settings: Settings,
    login: Login,
    seen: list[Event],
    age: float,
    due: bool,
) -> None:
    """F2."""
    clock.advance(age)
    now = world.run(usable(source, settings))
    assert (now is not login) == due
    assert now is source.login
    assert world.asked() == [AskPassword, Send] * due
    scheduled = [event for event in seen if isinstance(event, RefreshScheduled)]
    assert scheduled == [RefreshScheduled(account=source.account, left=300 - age)] * due


def test_a_token_that_is_over_is_not_renewed_but_replaced(
    world: World, clock: ManualClock, source: TokenSource, settings: Settings, login: Login, seen: list[Event]
) -> None:
    """F1: everyone waits for one login of three sends."""
    clock.advance(290)
    world.logins = [reply(503)]
    assert world.run(usable(source, settings)).number == login.number + 1
    assert world.asked() == [AskPassword, Send, Sleep, Send]
    assert [type(event) for event in seen] == [LoginStarted, LoginSucceeded]


def test_where_there_is_no_token_nothing_is_renewed(world: World, source: TokenSource, settings: Settings) -> None:
    """F2."""
    world.run(renew(source, settings))
    assert world.steps == []


def test_a_failed_renewal_is_one_send_and_rests_twice_as_long_each_time(
    world: World, clock: ManualClock, source: TokenSource, settings: Settings, login: Login
) -> None:
    """F2 and L6: the rest is counted from the failure."""
    clock.advance(240)
    world.logins, world.login_takes = [reply(503)] * 9, 1
    for least in (2.5, 5.0):
        world.run(renew(source, settings))
        assert world.asked() == [AskPassword, Send]
        assert source.login is login
        rests = seconds_to_rest(source, login, clock)
        assert least <= rests <= 2 * least
        clock.advance(rests)


@pytest.mark.parametrize("error", [GeneratorExit(), Closed(Unsettled.UNANSWERED), ConnectionError("gone")])
def test_a_renewal_that_was_abandoned_rests_too_and_hands_over(
    clock: ManualClock, source: TokenSource, settings: Settings, login: Login, error: BaseException
) -> None:
    """F2: on every way out; S3: it does not count as a login that failed."""
    clock.advance(285)
    renewal = at_its_send(renew(source, settings))
    clock.advance(5)
    flight = next(obtain(source, settings)).flight
    with pytest.raises(type(error)):
        renewal.throw(error)
    assert flight.outcome is Unsettled.HANDED_OVER
    assert 2.5 <= seconds_to_rest(source, login, clock) <= 5


def test_a_renewal_whose_token_was_dropped_meanwhile_lets_nobody_rest(
    clock: ManualClock, source: TokenSource, settings: Settings, login: Login
) -> None:
    """F2: that token's troubles are not the next one's."""
    clock.advance(240)
    renewal = at_its_send(renew(source, settings))
    source.forget()
    ended(renewal, reply(503))
    assert source.ahead_at(EXACT, login) == login.sent_at + 240


def test_while_one_renews_others_go_on_with_the_token_in_hand(
    clock: ManualClock, source: TokenSource, settings: Settings, login: Login, seen: list[Event]
) -> None:
    """F2: nobody else renews, nor says so."""
    clock.advance(240)
    renewal = renew(source, settings)
    next(renewal)
    with pytest.raises(StopIteration) as done:
        next(usable(source, settings))
    assert done.value.value is login
    assert [type(event) for event in seen] == [RefreshScheduled]


def test_who_runs_out_of_token_waits_for_the_renewal_and_uses_what_it_brings(
    world: World, clock: ManualClock, source: TokenSource, settings: Settings, login: Login
) -> None:
    """F1: one login at a time, ahead or not."""
    clock.advance(289)
    renewal = at_its_send(renew(source, settings))
    clock.advance(1)
    waiter = obtain(source, settings)
    assert next(waiter).seconds == 9.5
    ended(renewal, world.token())
    assert ended(waiter, None) is source.login
    assert source.login is not login


def test_who_waited_for_a_renewal_that_failed_logs_in(
    clock: ManualClock, source: TokenSource, settings: Settings, login: Login
) -> None:
    """F2: one try ahead does not speak for a login."""
    clock.advance(289)
    renewal = at_its_send(renew(source, settings))
    clock.advance(1)
    waiter = obtain(source, settings)
    next(waiter)
    ended(renewal, reply(503))
    assert isinstance(waiter.send(None), AskPassword)


# After a 401


def refused(source: TokenSource, settings: Settings, carried: Login | None, *, replayable: bool = True) -> Flow[Any]:
    return recover(source, settings, "401", carried, replayable=replayable)


def test_a_revoked_token_is_replaced_and_the_request_sent_again(
    world: World, source: TokenSource, settings: Settings, login: Login, seen: list[Event]
) -> None:
    """J1: the 401 is read first, so that its connection is free for the login."""
    login.accepted = True
    world.again = [("200", False)]
    assert world.run(refused(source, settings, login)) == "200"
    read, asked, sent, resent = world.steps
    assert read == Read(answer="401")
    assert isinstance(asked, AskPassword)
    assert isinstance(sent, Send)
    assert source.login is not login
    assert resent == Resend(refused="401", login=current(source))
    assert seen[0] == TokenRejected(account=source.account, accepted=True)
    assert [type(event) for event in seen[1:]] == [LoginStarted, LoginSucceeded]


def test_a_second_401_is_the_caller_s(world: World, source: TokenSource, settings: Settings, login: Login) -> None:
    """J1: exactly once."""
    world.again = [("second 401", True)]
    assert world.run(refused(source, settings, login)) == "second 401"
    assert world.asked() == [Read, AskPassword, Send, Resend]


def test_a_later_token_at_hand_is_used_and_if_it_is_refused_too_replaced_once(
    world: World, source: TokenSource, settings: Settings, login: Login, seen: list[Event]
) -> None:
    """J1: as with a request that is sent again much later."""
    source.forget()
    later = world.run(usable(source, settings))
    later.accepted = True
    world.steps.clear()
    seen.clear()
    world.again = [("second 401", True), ("third 401", True)]
    assert world.run(refused(source, settings, login)) == "third 401"
    first, second = [step for step in world.steps if isinstance(step, Resend)]
    assert first == Resend(refused="401", login=later)
    assert second == Resend(refused="second 401", login=current(source))
    assert world.asked() == [Read, Resend, Read, AskPassword, Send, Resend]
    assert seen[0] == TokenReused(account=source.account)
    assert seen[1] == TokenRejected(account=source.account, accepted=True)


def test_a_later_token_that_works_ends_it(world: World, source: TokenSource, settings: Settings, login: Login) -> None:
    """J1."""
    source.forget()
    later = world.run(usable(source, settings))
    world.steps.clear()
    world.again = [("200", False)]
    assert world.run(refused(source, settings, login)) == "200"
    assert world.asked() == [Read, Resend]
    assert source.login is later


def test_a_request_that_carried_no_token_of_ours_is_sent_with_the_one_at_hand(
    world: World, source: TokenSource, settings: Settings, login: Login, seen: list[Event]
) -> None:
    """J5: the client had stripped it; nothing is refused, nothing reused."""
    world.again = [("200", False)]
    assert world.run(refused(source, settings, None)) == "200"
    assert world.steps[-1] == Resend(refused="401", login=login)
    assert world.asked() == [Read, Resend]
    assert seen == []


def test_a_body_that_cannot_be_sent_again_costs_the_token_and_no_login(
    world: World, source: TokenSource, settings: Settings, login: Login, seen: list[Event]
) -> None:
    """J2: the next request logs in."""
    assert world.run(refused(source, settings, login, replayable=False)) == "401"
    assert world.steps == []
    assert source.login is None
    assert seen == [TokenRejected(account=source.account, accepted=False)]


def test_a_server_that_refuses_every_token_gets_no_login_per_request(
    world: World, clock: ManualClock, source: TokenSource, settings: Settings, login: Login, seen: list[Event]
) -> None:
    """J4: its 401 is handed over, and the token kept."""
    world.again = [("second 401", True)] * 9
    world.run(refused(source, settings, login))
    second = source.login
    assert second is not None
    seen.clear()
    world.steps.clear()
    clock.advance(4.75)
    assert world.run(refused(source, settings, second)) == "401"
    assert (world.steps, seen, source.login) == ([], [], second)
    clock.advance(0.25)
    assert world.run(refused(source, settings, second)) == "second 401"
    assert world.asked() == [Read, AskPassword, Send, Resend]


def test_two_later_tokens_at_hand_are_enough(
    world: World, source: TokenSource, settings: Settings, login: Login
) -> None:
    """J1: however fast others bring new ones."""
    source.forget()
    second = world.run(usable(source, settings))
    flow = refused(source, settings, login)
    assert isinstance(next(flow), Read)
    assert flow.send(None) == Resend(refused="401", login=second)
    source.forget()
    third = world.run(usable(source, settings))
    assert isinstance(flow.send(("second 401", True)), Read)
    assert flow.send(None) == Resend(refused="second 401", login=third)
    source.forget()
    world.run(usable(source, settings))
    assert ended(flow, ("third 401", True)) == "third 401"


def test_a_login_that_fails_after_a_401_is_what_the_caller_hears_of(
    world: World, source: TokenSource, settings: Settings, login: Login
) -> None:
    world.logins = [reply(501)]
    failure = world.run(refused(source, settings, login))
    assert isinstance(failure, Failure)
    assert failure.error is LoginUnavailable
    assert world.asked() == [Read, AskPassword, Send]


@pytest.mark.parametrize(("accepted", "again"), [(False, None), (True, True)])
def test_a_refused_token_is_dropped_and_told_once(
    world: World, source: TokenSource, settings: Settings, login: Login, seen: list[Event], accepted: bool, again: Any
) -> None:
    """J1, J4."""
    login.accepted = accepted
    assert reject(source, settings, login) is True
    assert reject(source, settings, login) is False, "another caller was first"
    assert seen == [TokenRejected(account=source.account, accepted=accepted)]
    second = world.run(usable(source, settings))
    second.accepted = accepted
    seen.clear()
    assert reject(source, settings, second) is again
    assert len(seen) == (1 if again else 0)


# What a page does in its own way


def test_a_page_s_own_ways_to_send_are_the_ones_that_are_used(
    clock: ManualClock, world: World, source: TokenSource, settings: Settings, login: Login
) -> None:
    """L2: the httpx page yields the login to the caller's client."""

    def send(request: Any, deadline: float) -> Flow[Any]:
        return (yield ("log in", request.url, deadline))

    def again(answer: Any, login: Login) -> Flow[Any]:
        return (yield ("send again", answer, login))

    login.accepted = True
    for flow in (
        usable(source, settings, send),
        obtain(source, settings, send),
        recover(source, settings, "401", login, replayable=True, send=send, resend=again),
    ):
        source.forget()
        step = next(flow)
        while isinstance(step, (Read, AskPassword)):
            step = flow.send(world.perform(step))
        assert step == ("log in", URL, clock.monotonic + 10)
        flow.close()
    newest = world.run(usable(source, settings))
    flow = recover(source, settings, "401", login, replayable=True, send=send, resend=again)
    assert isinstance(next(flow), Read)
    assert flow.send(None) == ("send again", "401", newest)
    for flow in (usable(source, settings, send), renew(source, settings, send)):
        clock.advance(240)
        assert isinstance(next(flow), AskPassword)
        assert flow.send(Secret("demo")) == ("log in", URL, clock.monotonic + 10)
        ended(flow, world.token())


# With a store that other processes share


@pytest.fixture
def room(clock: ManualClock) -> Room:
    return Room(lambda: clock.monotonic)


@pytest.fixture
def process(settings: Settings, room: Room) -> Callable[[], TokenSource]:
    """Make the same account's source in one more process."""
    return lambda: TokenSource(settings.origin, "testpress", Shared(Shelf(room), settings.origin, "testpress"))


@pytest.mark.parametrize(("password", "seconds"), [("demo", 12.0), (lambda: "demo", 72.0)], ids=["str", "callable"])
def test_the_lease_outlasts_the_login_that_it_is_for(
    clock: ManualClock,
    room: Room,
    process: Callable[[], TokenSource],
    make: Callable[..., Settings],
    password: Any,
    seconds: float,
) -> None:
    """S2, by two seconds; a password that is fetched may take a minute more."""
    world, flow = World(clock), obtain(process(), make(password))
    step = next(flow)
    while isinstance(step, UseStore):
        step = flow.send(world.perform(step))
    assert isinstance(step, AskPassword)
    ((_, until),) = room.leases.values()
    assert until == BEGAN + seconds


@pytest.mark.parametrize(("lifetime", "rest"), [(300, 1.0), (21, 0.525)])
def test_while_another_process_renews_this_one_goes_on_and_looks_again_soon(
    world: World,
    clock: ManualClock,
    room: Room,
    process: Callable[[], TokenSource],
    settings: Settings,
    lifetime: int,
    rest: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F2: after two seconds, or a twentieth of a short life, with jitter; it asks nobody for a password."""
    monkeypatch.setattr(_source, "random", lambda: 0.0)
    mine, other = process(), process()
    world.lifetime = lifetime
    world.run(usable(mine, settings))
    login = world.run(usable(other, settings))
    clock.advance(0.8 * lifetime)
    renewal = renew(mine, settings)
    step = next(renewal)
    while isinstance(step, UseStore):
        step = renewal.send(world.perform(step))
    assert isinstance(step, AskPassword)
    world.steps.clear()
    assert world.run(usable(other, settings)) is login
    assert set(world.asked()) == {UseStore}
    assert seconds_to_rest(other, login, clock) == pytest.approx(rest)


def test_a_revoked_token_leaves_the_store_before_anyone_logs_in(
    world: World, room: Room, process: Callable[[], TokenSource], settings: Settings
) -> None:
    """J1: else the next process would take it from there."""
    mine = process()
    login = world.run(usable(mine, settings))
    login.accepted = True
    assert room.values
    flow = refused(mine, settings, login)
    step = next(flow)
    while isinstance(step, UseStore):
        step = flow.send(world.perform(step))
    assert isinstance(step, Read)
    assert room.values == {}


def test_a_refused_token_that_is_kept_stays_in_the_store(
    world: World, room: Room, process: Callable[[], TokenSource], settings: Settings
) -> None:
    """J4."""
    mine = process()
    first = world.run(usable(mine, settings))
    world.again = [("second 401", True)]
    world.run(refused(mine, settings, first))
    kept = dict(room.values)
    assert kept
    assert world.run(refused(mine, settings, current(mine))) == "401"
    assert room.values == kept


def test_a_refused_token_that_the_store_would_not_delete_is_not_taken_from_it_again(
    world: World, clock: ManualClock, room: Room, process: Callable[[], TokenSource], settings: Settings
) -> None:
    """J1."""
    mine = process()
    login = world.run(usable(mine, settings))
    room.broken = {"delete"}
    world.run(refused(mine, settings, login, replayable=False))
    assert room.values
    clock.advance(5)
    world.steps.clear()
    assert world.run(usable(mine, settings)).token != login.token
    assert world.sends == 1


def test_every_login_in_the_store_has_an_id_of_its_own(
    world: World, room: Room, process: Callable[[], TokenSource], settings: Settings
) -> None:
    """J1: two logins in one second give equal tokens."""
    mine, ids = process(), set()
    for _ in range(3):
        login = world.run(usable(mine, settings))
        assert room.only()["id"] == login.id
        ids.add(login.id)
        login.accepted = True
        world.run(refused(mine, settings, login, replayable=False))
    assert len(ids) == 3
