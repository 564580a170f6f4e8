"""One at a time (S1 to S4), and what an account remembers: its token, its failures, its renewals (F2, J1, J4, L7).

Threads here wait for each other, never for a clock; every `now` is passed in.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from testpress_auth import InvalidCredentials, LoginThrottled, RefreshPolicy, Token, _single_flight, _source
from testpress_auth._credentials import Secret
from testpress_auth._failure import Failure
from testpress_auth._origin import Origin
from testpress_auth._single_flight import Flight, SingleFlight, Unsettled
from testpress_auth._source import TokenSource
from testpress_auth._token import Login

SOON = 30.0  # seconds after which a test that hangs has failed


def together(number: int, work: Callable[[], Any]) -> list[Any]:
    """Do the same in so many threads at once, and return what each got."""
    start = threading.Barrier(number)
    got: list[Any] = []

    def run() -> None:
        start.wait(SOON)
        got.append(work())

    threads = [threading.Thread(target=run, daemon=True) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert len(got) == number
    return got


# Join and settle


def test_the_first_to_join_leads_and_all_others_get_the_same_flight() -> None:
    """S1."""
    single = SingleFlight()
    flight, leads = single.join(0.0, 5.0)
    assert leads
    assert single.join(0.0, 9.0) == (flight, False)
    assert flight.deadline == 5.0
    assert flight.outcome is None


def test_of_100_threads_that_join_at_once_one_leads() -> None:
    """S1."""
    single = SingleFlight()
    got = together(100, lambda: single.join(0.0, 5.0))
    assert len({id(flight) for flight, _ in got}) == 1
    assert [leads for _, leads in got].count(True) == 1


def test_once_settled_the_next_to_join_leads_anew() -> None:
    """S3: so a cancelled leader costs itself alone."""
    single = SingleFlight()
    first, _ = single.join(0.0, 5.0)
    single.settle(first, Unsettled.HANDED_OVER)
    second, leads = single.join(0.0, 5.0)
    assert leads
    assert second is not first
    assert first.outcome is Unsettled.HANDED_OVER
    assert second.outcome is None


def test_only_the_first_outcome_counts() -> None:
    """S2: a leader that was given up for lost may still come back."""
    single = SingleFlight()
    flight, _ = single.join(0.0, 5.0)
    called: list[str] = []
    assert flight.call_back(lambda: called.append("once"))
    single.settle(flight, "first")
    single.settle(flight, "second")
    assert flight.outcome == "first"
    assert called == ["once"]


def test_a_late_leader_does_not_end_the_flight_of_who_took_over() -> None:
    """S2."""
    single = SingleFlight()
    vanished, _ = single.join(0.0, 5.0)
    single.settle(vanished, Unsettled.HANDED_OVER)
    current, _ = single.join(0.0, 15.0)
    single.settle(vanished, "late")
    assert current.outcome is None
    assert single.join(0.0, 20.0) == (current, False)


def test_all_waiters_are_called_back_in_order_and_each_once() -> None:
    """S1."""
    single = SingleFlight()
    flight, _ = single.join(0.0, 5.0)
    called: list[tuple[int, object]] = []
    for number in range(3):
        assert flight.call_back(lambda number=number: called.append((number, flight.outcome)))  # type: ignore[misc]
    single.settle(flight, "landed")
    assert called == [(0, "landed"), (1, "landed"), (2, "landed")]


def test_a_waiter_may_join_again_at_once() -> None:
    """S2: no lock is held while it is called."""
    single = SingleFlight()
    flight, _ = single.join(0.0, 5.0)
    got: list[tuple[Flight, bool]] = []
    flight.call_back(lambda: got.append(single.join(0.0, 9.0)))
    single.settle(flight, Unsettled.UNANSWERED)
    [(following, leads)] = got
    assert leads
    assert following is not flight


def test_who_comes_after_it_has_settled_is_not_called_back() -> None:
    single = SingleFlight()
    flight, _ = single.join(0.0, 5.0)
    single.settle(flight, "landed")
    assert not flight.call_back(lambda: pytest.fail("called back"))


def test_a_waiter_that_raises_costs_no_other() -> None:
    """S3: nobody hangs. (The pages' own waiters swallow RuntimeError alone.)"""

    def broken() -> None:
        raise OSError("bad self-pipe")

    single = SingleFlight()
    flight, _ = single.join(0.0, 5.0)
    called: list[str] = []
    flight.call_back(broken)
    flight.call_back(lambda: called.append("the other"))
    with suppress(OSError):
        single.settle(flight, "landed")
    assert called == ["the other"]


# Wait


def test_many_threads_wait_for_one_outcome() -> None:
    """S1: its result goes to all who waited."""
    single = SingleFlight()
    flight, _ = single.join(0.0, 5.0)
    waiting = threading.Barrier(51)

    def wait() -> object:
        waiting.wait(SOON)
        flight.wait(SOON)
        return flight.outcome

    def lead() -> None:
        waiting.wait(SOON)
        single.settle(flight, "landed")

    leader = threading.Thread(target=lead, daemon=True)
    leader.start()
    assert together(50, wait) == ["landed"] * 50
    leader.join(SOON)


def test_a_thread_that_is_blocked_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1."""
    single = SingleFlight()
    flight, _ = single.join(0.0, 5.0)
    waits, seen = threading.Event(), []
    original = Flight.call_back

    def call_back(self: Flight, waiter: Callable[[], object]) -> bool:
        will_be_called = original(self, waiter)
        waits.set()
        return will_be_called

    def wait() -> None:
        flight.wait(SOON)
        seen.append(flight.outcome)

    monkeypatch.setattr(Flight, "call_back", call_back)
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert waits.wait(SOON)
    assert not seen
    single.settle(flight, "landed")
    thread.join(SOON)
    assert seen == ["landed"]


def test_a_settled_flight_is_not_waited_for() -> None:
    single = SingleFlight()
    flight, _ = single.join(0.0, 5.0)
    single.settle(flight, "landed")
    flight.wait(1e9)
    assert flight.outcome == "landed"


@pytest.mark.parametrize("seconds", [0.001, 0.0, -5.0])
def test_waiting_ends_at_its_limit(seconds: float) -> None:
    """S2: and a flight whose leader vanished can be settled by who waited, with whom called back late harmless."""
    single = SingleFlight()
    flight, _ = single.join(0.0, 5.0)
    flight.wait(seconds)
    assert flight.outcome is None
    single.settle(flight, Unsettled.HANDED_OVER)
    assert flight.outcome is Unsettled.HANDED_OVER


@pytest.mark.parametrize(("seconds", "limit"), [(2.5, 2.5), (0.0, 0.0), (-5.0, 0.0)])
def test_a_thread_is_blocked_no_longer_than_it_asked_for(
    seconds: float, limit: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2: a limit that is past already is none, which a lock would take for ever."""
    asked: list[float] = []

    class Lock:
        def acquire(self, timeout: float | None = None) -> None:
            if timeout is not None:
                asked.append(timeout)

        def release(self) -> None:
            raise AssertionError("nobody has settled it")

    flight = Flight(5.0)
    monkeypatch.setattr(_single_flight, "threading", SimpleNamespace(Lock=Lock))
    flight.wait(seconds)
    assert asked == [limit]


@pytest.mark.parametrize(("now", "leads"), [(4.9, False), (5.0, False), (5.4, False), (5.5, True), (99.0, True)])
def test_a_flight_is_left_alone_until_half_a_second_past_its_deadline(now: float, leads: bool) -> None:
    """S2: then its leader has vanished, and who waits for it is told to look again."""
    single = SingleFlight()
    flight, _ = single.join(0.0, 5.0)
    assert single.join(now, now + 5.0)[1] == leads
    assert flight.outcome is (Unsettled.HANDED_OVER if leads else None)


def test_a_leader_knows_its_own_thread() -> None:
    """S1: to block in an event loop on a flight that this very loop leads is to wait for oneself."""
    flight = Flight(5.0)
    assert flight.leads_here()
    assert together(1, flight.leads_here) == [False]


def test_every_way_to_end_without_an_answer_says_what_follows() -> None:
    """S3."""
    assert {each.name for each in Unsettled} == {"HANDED_OVER", "UNANSWERED"}


# Forks


def test_a_flight_that_a_fork_copied_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    """S4."""
    single = SingleFlight()
    parents, _ = single.join(0.0, 5.0)
    monkeypatch.setattr(os, "getpid", lambda: parents.pid + 1)
    ours, leads = single.join(0.0, 9.0)
    assert leads
    assert ours is not parents
    assert ours.pid == parents.pid + 1
    single.settle(parents, "late")
    assert single.join(0.0, 9.0) == (ours, False)


def test_a_fork_renews_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """S4."""
    before = _single_flight.lock
    monkeypatch.setattr(_single_flight, "lock", before)  # restored after
    _single_flight._renew_lock()
    assert _single_flight.lock is not before
    assert _single_flight.lock.acquire(blocking=False)
    _single_flight.lock.release()


@pytest.mark.parametrize("forked", [False, True])
def test_a_thread_that_holds_the_lock_may_take_it_again(forked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """S2: the garbage collector may close an abandoned flow, which settles its flight, at any moment."""
    monkeypatch.setattr(_single_flight, "lock", _single_flight.lock)  # restored after
    if forked:
        _single_flight._renew_lock()
    with _single_flight.lock:
        assert _single_flight.lock.acquire(blocking=False)
        _single_flight.lock.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_while_the_lock_is_held_and_a_login_is_under_way_leaves_the_child_free() -> None:
    """S4."""
    script = (
        "import os, sys\n"
        "from testpress_auth import _single_flight as it\n"
        "single = it.SingleFlight()\n"
        "flight, _ = single.join(0.0, 5.0)\n"
        "it.lock.acquire()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    _, leads = single.join(0.0, 5.0)\n"
        "    os._exit(0 if leads else 1)\n"
        "it.lock.release()\n"
        "assert single.join(0.0, 5.0) == (flight, False)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False, timeout=SOON
    )
    assert done.returncode == 0, done.stderr


def test_a_system_without_fork_needs_no_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    """S4: Windows."""
    monkeypatch.delattr(os, "register_at_fork", raising=False)
    spec = importlib.util.spec_from_file_location("testpress_auth._single_flight_elsewhere", _single_flight.__file__)
    assert spec is not None
    assert spec.loader is not None
    elsewhere = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(elsewhere)
    assert elsewhere.SingleFlight().join(0.0, 5.0)[1]


# An account's token


POLICY = RefreshPolicy()
PASSWORD = Secret("correct horse")
REFUSED = Failure(InvalidCredentials, "refused", status=400, detail="Unable to log in.")


@pytest.fixture
def source() -> TokenSource:
    return TokenSource(Origin("https", "demo.testpress.in", 443), "testpress")


def install(source: TokenSource, *, sent_at: float = 1000.0, lifetime: float | None = 300.0) -> Login:
    login = Login(Token(raw="a.b.c", expires_at=None), sent_at=sent_at, lifetime=inf if lifetime is None else lifetime)
    source.install(login)
    return login


def test_without_a_login_there_is_no_token(source: TokenSource) -> None:
    assert source.fresh(POLICY, 1000.0) is None


@pytest.mark.parametrize(("now", "usable"), [(1000.0, True), (1289.9, True), (1290.0, False), (1e9, False)])
def test_a_token_is_fresh_until_its_leeway(source: TokenSource, now: float, usable: bool) -> None:
    """F1."""
    login = install(source)
    assert source.fresh(POLICY, now) is (login if usable else None)
    assert source.fresh(RefreshPolicy.on_rejection(), now) is login


def test_a_token_without_a_known_expiry_stays_fresh(source: TokenSource) -> None:
    """T2 and T4."""
    login = install(source, lifetime=None)
    assert login.lifetime == inf
    assert source.fresh(POLICY, 1e12) is login


def test_every_login_has_a_number_of_its_own(source: TokenSource) -> None:
    """J1."""
    assert [install(source).number for _ in range(3)] == [1, 2, 3]
    assert source.login is not None
    assert source.login.number == 3
    source.forget()
    assert install(source).number == 4
    numbers = together(50, lambda: install(source).number)
    assert sorted(numbers) == list(range(5, 55))


def test_jitter_is_drawn_once_per_token(source: TokenSource) -> None:
    """F2: so that a fleet does not refresh in step."""
    draws = {install(source).draw for _ in range(20)}
    assert len(draws) > 1
    assert all(0 <= draw < 1 for draw in draws)


# J4: a token that the server refuses


def test_a_token_that_had_worked_is_dropped_at_once_and_always(source: TokenSource) -> None:
    """J4: it was revoked."""
    for _ in range(3):
        login = install(source)
        login.accepted = True
        assert source.refuse(login, POLICY, 1000.0) is True
        assert source.login is None


def test_a_token_that_never_worked_is_dropped_once_per_interval(source: TokenSource) -> None:
    """J4: a server that answers 401 to everything does not get a login per request."""
    assert source.refuse(install(source), POLICY, 1000.0) is True
    second = install(source)
    assert source.refuse(second, POLICY, 1000.0) is None
    assert source.refuse(second, POLICY, 1004.9) is None
    assert source.login is second
    assert source.refuse(second, POLICY, 1005.0) is True
    assert source.login is None
    assert source.refuse(install(source), POLICY, 1009.9) is None
    assert source.refuse(source.login, POLICY, 1010.0) is True


def test_a_token_that_had_worked_does_not_count_towards_the_interval(source: TokenSource) -> None:
    """J4."""
    worked = install(source)
    worked.accepted = True
    assert source.refuse(worked, POLICY, 1000.0) is True
    assert source.refuse(install(source), POLICY, 1000.0) is True
    worked = install(source)
    worked.accepted = True
    assert source.refuse(worked, POLICY, 1000.0) is True


@pytest.mark.parametrize("interval", [0.0, 60.0])
def test_the_interval_is_the_policy_s(source: TokenSource, interval: float) -> None:
    """J4 and F3."""
    policy = RefreshPolicy(min_interval=interval)
    assert source.refuse(install(source), policy, 1000.0) is True
    after = install(source)
    if interval:
        assert source.refuse(after, policy, 1000.0 + interval - 1) is None
    assert source.refuse(after, policy, 1000.0 + interval) is True


def test_the_first_refusal_counts_whatever_the_clock_s_zero_is(source: TokenSource) -> None:
    """J4: right after the machine has started, too."""
    assert source.refuse(install(source), POLICY, 0.5) is True


def test_an_earlier_login_s_token_drops_nothing(source: TokenSource) -> None:
    """J1: equal tokens of two logins are told apart."""
    first, second = install(source), install(source)
    assert first.token == second.token
    assert source.refuse(first, POLICY, 1000.0) is False
    assert source.login is second
    source.forget()
    assert source.refuse(second, POLICY, 1000.0) is False


@pytest.mark.parametrize("accepted", [True, False])
def test_of_50_threads_whose_token_was_refused_one_drops_it(source: TokenSource, accepted: bool) -> None:
    """S1 and J4."""
    login = install(source)
    login.accepted = accepted
    got = together(50, lambda: source.refuse(login, POLICY, 1000.0))
    assert sorted(got) == [False] * 49 + [True]


# L7: what is remembered


def test_nothing_is_remembered_at_first(source: TokenSource) -> None:
    assert source.remembered(PASSWORD, 1000.0) is None


def test_a_refusal_is_remembered_for_30_seconds(source: TokenSource) -> None:
    """L7."""
    source.remember(REFUSED, PASSWORD, 1000.0)
    assert source.remembered(PASSWORD, 1000.0) is REFUSED
    assert source.remembered(Secret("correct horse"), 1029.9) is REFUSED
    assert source.remembered(PASSWORD, 1030.0) is None


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(None, 30.0), (0.0, 0.0), (0.5, 0.5), (45.0, 45.0), (900.0, 900.0), (901.0, 900.0), (1e15, 900.0)],
)
def test_a_throttling_is_remembered_for_its_retry_after(
    source: TokenSource, retry_after: float | None, seconds: float
) -> None:
    """L7: 30 s without one, 15 min at most."""
    throttled = Failure(LoginThrottled, "too many", pause=retry_after, retry_after=retry_after)
    source.remember(throttled, PASSWORD, 1000.0)
    assert source.remembered(PASSWORD, 1000.0 + seconds) is None
    if seconds:
        assert source.remembered(PASSWORD, 1000.0 + seconds - 0.1) is throttled


def test_another_password_is_tried(source: TokenSource) -> None:
    """L7."""
    source.remember(REFUSED, PASSWORD, 1000.0)
    assert source.remembered(Secret("battery staple"), 1000.0) is None


def test_a_login_forgets_the_failure_before_it(source: TokenSource) -> None:
    """L7."""
    source.remember(REFUSED, PASSWORD, 1000.0)
    install(source)
    assert source.remembered(PASSWORD, 1000.0) is None


def test_forget_drops_token_and_memory_and_says_which_token_it_was(source: TokenSource) -> None:
    """L7."""
    assert source.forget() is None
    login = install(source)
    source.remember(REFUSED, PASSWORD, 1000.0)
    assert source.forget() is login
    assert source.login is None
    assert source.remembered(PASSWORD, 1000.0) is None
    assert source.forget() is None


def test_the_later_failure_is_the_one_in_mind(source: TokenSource) -> None:
    """L7."""
    throttled = Failure(LoginThrottled, "too many", retry_after=60.0)
    source.remember(REFUSED, PASSWORD, 1000.0)
    source.remember(throttled, PASSWORD, 1001.0)
    assert source.remembered(PASSWORD, 1060.9) is throttled
    assert source.remembered(PASSWORD, 1061.0) is None


# F2: renewals ahead


def test_a_renewal_is_due_when_the_policy_says(source: TokenSource) -> None:
    """F2."""
    login = install(source)
    login.draw = 0.0
    assert source.ahead_at(POLICY, login) == 1240.0
    assert source.ahead_at(RefreshPolicy.on_rejection(), login) == inf


def test_an_account_that_never_logged_in_has_nothing_to_rest_from(
    source: TokenSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F2: and a first failure there rests like any other."""
    monkeypatch.setattr(_source, "random", lambda: 0.0)
    another_s = Login(Token(raw="a.b.c", expires_at=None), sent_at=1000.0, lifetime=300.0)
    assert source.ahead_at(POLICY, another_s) == 1240.0
    source.back_off(1250.0)
    assert source.ahead_at(POLICY, another_s) == 1252.5


def test_one_caller_claims_a_renewal_and_holds_it_for_a_while(source: TokenSource) -> None:
    """F2."""
    login = install(source)
    assert source.claim_ahead(login, 1250.0, hold=10.0)
    assert not source.claim_ahead(login, 1250.0, hold=10.0)
    assert not source.claim_ahead(login, 1259.9, hold=10.0)
    assert source.ahead_at(POLICY, login) == max(POLICY.due_at(login), 1260.0)
    assert source.claim_ahead(login, 1260.0, hold=10.0)


def test_of_50_threads_one_claims_the_renewal(source: TokenSource) -> None:
    """F2."""
    login = install(source)
    assert together(50, lambda: source.claim_ahead(login, 1250.0, 10.0)).count(True) == 1


def test_nobody_renews_a_token_that_is_not_the_account_s_any_more(source: TokenSource) -> None:
    """F2."""
    login = install(source)
    later = install(source)
    assert not source.claim_ahead(login, 1250.0, hold=10.0)
    assert source.claim_ahead(later, 1250.0, hold=10.0)
    source.forget()
    assert not source.claim_ahead(later, 1270.0, hold=10.0)


@pytest.mark.parametrize(("draw", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_failed_renewals_back_off_twice_as_long_each_time(
    source: TokenSource, draw: float, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F2: with jitter, five minutes at most."""
    monkeypatch.setattr(_source, "random", lambda: draw)
    login = install(source, lifetime=1e6)
    login.draw = 0.0
    now, waits = 900_000.0, []
    for _ in range(9):
        source.back_off(now)
        waits.append(source.ahead_at(POLICY, login) - now)
        assert not source.claim_ahead(login, now, hold=10.0)
    assert waits == pytest.approx([seconds * share for seconds in (5, 10, 20, 40, 80, 160, 300, 300, 300)])
    assert source.claim_ahead(login, now + 300.0 * share, hold=10.0)


def test_a_login_ends_the_back_off(source: TokenSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """F2."""
    monkeypatch.setattr(_source, "random", lambda: 0.0)
    install(source)
    for _ in range(5):
        source.back_off(1250.0)
    login = install(source, sent_at=1250.0)
    assert source.ahead_at(POLICY, login) == 1490.0
    source.back_off(1500.0)
    assert source.ahead_at(POLICY, login) == 1502.5
