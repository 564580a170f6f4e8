"""Fresh, due, expired, and what a fresh token has left: F1 to F3, T3, T4. No clock runs here; each is passed in."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import time
from math import inf, nan
from typing import Any

import jwt
import pytest

from testpress_auth import ConfigurationError, RefreshPolicy, Token, _policy
from testpress_auth._policy import SYSTEM, Clock, time_left
from testpress_auth._token import Login

KEY = "a key that is long enough for HMAC with SHA-256"
ISSUED = 1_800_000_000  # the server's second in which the tokens below were made
HOUR = 3600.0


def token(**claims: Any) -> Token:
    return Token.parse(jwt.encode(claims, KEY, "HS256"))


def login(lifetime: float = inf, draw: float = 0.0) -> Login:
    """A login sent at monotonic second 1000."""
    return Login(token(), sent_at=1000.0, lifetime=lifetime, draw=draw)


# F1: nobody uses a token in its last seconds


@pytest.mark.parametrize(
    ("leeway", "lifetime", "stale"),
    [
        pytest.param(10.0, 300.0, 1290.0, id="ten seconds of five minutes"),
        pytest.param(10.0, 100.0, 1090.0, id="exactly a tenth"),
        pytest.param(10.0, 99.0, 1089.1, id="clamped to a tenth"),
        pytest.param(10.0, 1.0, 1000.9, id="a token of one second still works"),
        pytest.param(1e9, 300.0, 1270.0, id="a huge leeway still leaves nine tenths"),
        pytest.param(0.0, 300.0, 1300.0, id="0 means 0"),
        pytest.param(10.0, inf, inf, id="no known expiry"),
    ],
)
def test_a_token_is_not_used_from_its_leeway_on(leeway: float, lifetime: float, stale: float) -> None:
    """F1."""
    assert RefreshPolicy(leeway).stale_at(login(lifetime)) == pytest.approx(stale)


# F2: ahead of that it is renewed


@pytest.mark.parametrize(
    ("options", "draw", "due"),
    [
        pytest.param({}, 0.0, 1240.0, id="80 % of five minutes"),
        pytest.param({}, 0.5, 1247.5, id="and half of the jitter"),
        pytest.param({}, 1.0, 1255.0, id="and all of the jitter"),
        pytest.param({"jitter": 0}, 1.0, 1240.0, id="no jitter"),
        pytest.param({"ahead": 0.9, "jitter": 0.5}, 1.0, 1300.0, id="never later than its expiry"),
        pytest.param({"ahead": 0, "jitter": 0}, 0.0, 1000.0, id="at once"),
        pytest.param({"ahead": 1}, 0.0, inf, id="never ahead"),
        pytest.param({"ahead": 1, "jitter": 1}, 1.0, inf, id="never ahead, whatever the jitter"),
    ],
)
def test_a_token_is_due_ahead_of_its_expiry(options: dict[str, float], draw: float, due: float) -> None:
    """F2."""
    assert RefreshPolicy(**options).due_at(login(300.0, draw)) == pytest.approx(due)


@pytest.mark.parametrize(
    "ahead",
    [
        0.8,
        pytest.param(0.0),
    ],
)
def test_a_token_without_expiry_is_never_due(ahead: float) -> None:
    """F2."""
    assert RefreshPolicy(ahead=ahead, jitter=0).due_at(login(inf)) == inf


# F3: or only once it is refused


def test_on_rejection_ignores_exp_altogether() -> None:
    """F3."""
    policy = RefreshPolicy.on_rejection()
    assert policy.ignores_exp
    assert policy.stale_at(login(1.0)) == inf
    assert policy.due_at(login(1.0)) == inf
    assert policy.min_interval == RefreshPolicy().min_interval


def test_policies_are_values() -> None:
    """F3."""
    policy = RefreshPolicy(leeway=30)
    assert policy == RefreshPolicy(30.0, 0.8, 0.05, 5.0)
    assert policy != RefreshPolicy()
    assert RefreshPolicy() != RefreshPolicy.on_rejection()
    assert hash(policy) == hash(RefreshPolicy(leeway=30.0))
    with pytest.raises(AttributeError, match="frozen"):
        policy.leeway = 1.0  # type: ignore[misc]
    assert repr(policy) == "RefreshPolicy(ahead=0.8, ignores_exp=False, jitter=0.05, leeway=30.0, min_interval=5.0)"


@pytest.mark.parametrize("policy", [RefreshPolicy(leeway=30), RefreshPolicy.on_rejection()], ids=repr)
def test_policies_pickle_and_copy(policy: RefreshPolicy) -> None:
    """S4: they travel with the auth object."""
    assert pickle.loads(pickle.dumps(policy)) == policy  # noqa: S301
    assert copy.copy(policy) == copy.deepcopy(policy) == policy


SECONDS, FRACTION = "0 or more seconds", "a fraction of the lifetime, 0 to 1"


@pytest.mark.parametrize(
    ("setting", "instead"),
    [("leeway", SECONDS), ("min_interval", SECONDS), ("ahead", FRACTION), ("jitter", FRACTION)],
)
def test_a_wrong_refresh_setting_is_refused_with_what_to_pass(setting: str, instead: str) -> None:
    """F3."""
    for value in (-1, -0.001, nan, inf, -inf, True, False, "10", None, [1], 1j):
        wrong: dict[str, Any] = {setting: value}
        with pytest.raises(ConfigurationError) as caught:
            RefreshPolicy(**wrong)
        assert caught.value.setting == setting
        assert str(caught.value) == f"{setting}={value!r}: pass {instead}"


@pytest.mark.parametrize("setting", ["ahead", "jitter"])
def test_a_fraction_beyond_the_whole_is_refused(setting: str) -> None:
    """F3: 80 for 80 % is the likely slip."""
    for value in (80, 1.001):
        with pytest.raises(ConfigurationError, match=rf"{setting}={value}: pass a fraction of the lifetime, 0 to 1"):
            RefreshPolicy(**{setting: value})
    RefreshPolicy(**{setting: 1})


def test_a_leeway_beyond_all_floats_is_refused_like_any_other() -> None:
    with pytest.raises(ConfigurationError):
        RefreshPolicy(leeway=10**400)


# T3 and T4: what a fresh token has left


@pytest.mark.parametrize(
    "off", [0.0, 5.0, -5.0, HOUR, -HOUR, 24 * HOUR, -24 * HOUR, -ISSUED], ids=lambda off: f"off by {off:g} s"
)
@pytest.mark.parametrize("claims", [{"iat": ISSUED}, {}], ids=["iat", "Date"])
@pytest.mark.parametrize("fraction", [0.0, 0.4, 0.999])
def test_a_wrong_local_clock_changes_nothing(claims: dict[str, int], off: float, fraction: float) -> None:
    """T3: what is left is never overstated, and understated by a second at most."""
    truly_left = 300 - fraction
    date = None if claims else float(ISSUED)
    left = time_left(token(exp=ISSUED + 300, **claims), date=date, sent=ISSUED + fraction + off)
    assert left is not None
    assert truly_left - 1 <= left <= truly_left


def test_iat_counts_before_the_reply_s_date() -> None:
    """T3: an answer may come from a cache or a proxy whose Date is its own."""
    left = time_left(token(exp=ISSUED + 300, iat=ISSUED), date=ISSUED - HOUR, sent=0.0)
    assert left == 299


@pytest.mark.parametrize("iat", ["1800000000", None, True, [ISSUED]])
def test_an_iat_that_is_no_number_does_not_count(iat: object) -> None:
    """T3."""
    payload = Token.parse(jwt.encode({"exp": ISSUED + 300, "iat": iat}, KEY, "HS256"))
    assert time_left(payload, date=float(ISSUED), sent=0.0) == 299


def test_without_iat_and_date_our_own_clock_counts() -> None:
    """T3."""
    assert time_left(token(exp=ISSUED + 300), date=None, sent=ISSUED + 0.25) == 299.75
    assert time_left(token(exp=ISSUED + 300), date=None, sent=ISSUED + 100.25) == 199.75


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        pytest.param(ISSUED - 0.001, 299, id="just before that second: its end counts"),
        pytest.param(ISSUED, 300, id="its first moment"),
        pytest.param(ISSUED + 0.25, 299.75, id="within it: our fraction counts"),
        pytest.param(ISSUED + 0.75, 299.25, id="late within it"),
        pytest.param(ISSUED + 1, 299, id="just after it: its end counts"),
    ],
)
def test_where_our_clock_agrees_with_the_server_s_second_it_gives_the_fraction(sent: float, left: float) -> None:
    """T3."""
    assert time_left(token(exp=ISSUED + 300, iat=ISSUED), date=None, sent=sent) == pytest.approx(left)


@pytest.mark.parametrize(("lifetime", "left"), [(300, 299), (3, 2), (2, 1), (1, 0.5)], ids=lambda value: f"{value:g} s")
def test_the_second_s_end_never_takes_more_than_half_of_what_is_left(lifetime: int, left: float) -> None:
    """T3: a token of one second is still one that works."""
    assert time_left(token(exp=ISSUED + lifetime, iat=ISSUED), date=None, sent=0.0) == left


def test_a_date_with_a_fraction_is_its_second() -> None:
    """T3."""
    assert time_left(token(exp=ISSUED + 300), date=ISSUED + 0.9, sent=ISSUED + 0.2) == pytest.approx(299.8)
    assert time_left(token(exp=ISSUED + 300, iat=ISSUED + 0.9), date=None, sent=0.0) == 299


@pytest.mark.parametrize("exp", [None, "1800000300", True])
def test_a_token_whose_exp_does_not_count_has_no_known_end(exp: object) -> None:
    """T2."""
    assert time_left(Token.parse(jwt.encode({"exp": exp}, KEY, "HS256")), date=ISSUED, sent=ISSUED) is None


@pytest.mark.parametrize(
    ("claims", "date", "sent"),
    [
        pytest.param({"iat": ISSUED}, None, ISSUED + 0.5, id="by iat, our clock agreeing"),
        pytest.param({"iat": ISSUED}, None, 0.0, id="by iat, our clock off"),
        pytest.param({}, float(ISSUED), 0.0, id="by Date"),
        pytest.param({}, None, float(ISSUED), id="by our clock"),
    ],
)
@pytest.mark.parametrize("past", [0, 1, 3600, ISSUED])
def test_an_exp_that_is_past_on_a_fresh_token_is_no_expiry(
    claims: dict[str, int], date: float | None, sent: float, past: int
) -> None:
    """T4: used until refused, never a login loop."""
    assert time_left(token(exp=ISSUED - past, **claims), date=date, sent=sent) is None


@pytest.mark.parametrize("took", [271, 300, 4000])
def test_a_token_that_is_used_up_when_it_arrives_has_no_usable_expiry(took: float) -> None:
    """T4, F1: else everyone who waited for it would log in again, and find the same."""
    fresh = token(exp=ISSUED + 300, iat=ISSUED)
    assert time_left(fresh, date=None, sent=float(ISSUED), took=took) is None
    assert time_left(fresh, date=None, sent=float(ISSUED), took=269) == 300


def test_the_documented_sample_token_of_2015_has_no_usable_expiry_today() -> None:
    """T4."""
    assert time_left(token(exp=1_447_833_229), date=float(ISSUED), sent=float(ISSUED)) is None


def test_times_beyond_all_reason_break_nothing() -> None:
    """T3: the server may write any finite number."""
    assert time_left(token(exp=1.7e308, iat=-1.7e308), date=None, sent=0.0) == inf
    assert time_left(token(exp=-1.7e308, iat=1.7e308), date=None, sent=0.0) is None
    assert RefreshPolicy().stale_at(login(1.7e308)) > 1e307


# The clock


def test_the_system_s_clock_is_the_machine_s() -> None:
    assert abs(SYSTEM.wall() - time.time()) < 60
    first = SYSTEM.monotonic()
    assert first <= SYSTEM.monotonic()
    assert SYSTEM.sleep is time.sleep


def system_clock() -> Clock:
    """Return the clock of a machine whose `time` is patched."""
    spec = importlib.util.spec_from_file_location("testpress_auth._policy_elsewhere", _policy.__file__)
    assert spec is not None
    assert spec.loader is not None
    elsewhere = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(elsewhere)
    clock: Clock = elsewhere.SYSTEM
    return clock


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no such clock")
def test_a_token_ages_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """T3."""
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= SYSTEM.monotonic() <= time.clock_gettime(time.CLOCK_BOOTTIME)
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 42.0}.__getitem__)
    assert system_clock().monotonic() == 42.0


def test_without_that_clock_the_monotonic_one_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """T3: where there is one."""
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    assert system_clock().monotonic is time.monotonic


def test_a_clock_is_passed_in_as_three_functions() -> None:
    slept: list[float] = []
    clock = Clock(wall=lambda: 1.5, monotonic=lambda: 2.5, sleep=slept.append)
    clock.sleep(3.5)
    assert (clock.wall(), clock.monotonic(), slept) == (1.5, 2.5, [3.5])
