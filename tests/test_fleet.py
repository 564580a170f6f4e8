"""Processes that share a store log in once: each auth object here has a store object of its own, as a process would.

Runs on every client. What real stores and real processes add is in test_file_store, test_redis_store and fleet/.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from testpress_auth import MemoryStore, RefreshPolicy, StoreUnavailable, TokenReused
from testpress_auth._fleet import log_in_once
from testpress_auth._flow import usable
from testpress_auth._shared import Shared, from_value, to_value
from testpress_auth._single_flight import Flight
from testpress_auth._steps import AskPassword, Send, Sleep, UseStore
from testpress_auth._token import Login, Token
from testpress_auth.requests import TestpressJWTAuth as RequestsAuth
from testpress_auth.testing import StandInServer

from .clients import Open
from .clock import ManualClock
from .shelf import Room, Shelf
from .tokens import make_token

EXACT = RefreshPolicy(jitter=0)  # due at 240 of 300 seconds, stale at 290


@pytest.fixture
def room(clock: ManualClock) -> Room:
    return Room(lambda: clock.monotonic)


@pytest.fixture
def seen() -> list[Any]:
    return []


@pytest.fixture
def process(caller: Open, room: Room, clock: ManualClock, seen: list[Any]) -> Any:
    """Open a client of one more process."""

    def open_process(**options: Any) -> Any:
        defaults = {"store": Shelf(room), "_clock": clock.local, "on_event": seen.append, "refresh": EXACT}
        return caller(**{**defaults, **options})

    return open_process


def unavailable(seen: list[Any]) -> list[StoreUnavailable]:
    return [event for event in seen if isinstance(event, StoreUnavailable)]


# --- one login


def test_processes_that_share_a_store_log_in_once(process: Any, server: StandInServer, me: str) -> None:
    assert [process().get(me).status for _ in range(4)] == [200] * 4
    assert server.logins == 1


def test_a_valid_token_costs_no_trip_to_the_store(process: Any, room: Room, me: str) -> None:
    first = process()
    first.get(me)
    assert room.asked == ["load", "lease", "load", "save", "release"]
    second = process()
    second.get(me)
    for each in (first, second, first):
        each.get(me)
    assert room.asked[5:] == ["load"]


def test_a_token_from_the_store_is_as_old_as_it_is(
    process: Any, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """T3, F1: whoever takes it over brings nothing forward and nothing back."""
    process().get(me)
    clock.advance(230)
    late = process()
    late.get(me)
    assert server.logins == 1
    clock.advance(9)
    late.get(me)
    assert server.logins == 1
    clock.advance(51.5)  # 290.5 of 300 seconds: in its leeway
    process().get(me)
    assert server.logins == 2


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("tells_seconds", [True, False])
def test_machines_whose_clocks_are_an_hour_apart_share_a_token(
    process: Any, room: Room, server: StandInServer, clock: ManualClock, me: str, hours: int, tells_seconds: bool
) -> None:
    """T3: with a store that tells the seconds left no clock matters; without, a token is never good for longer."""
    room.tells_seconds = tells_seconds
    process().get(me)
    clock.wrong_by = hours * 3600
    clock.advance(200)
    other = process()
    assert other.get(me).status == 200
    assert server.logins == (2 if not tells_seconds and hours > 0 else 1)
    clock.advance(91)
    assert other.get(me).status == 200
    assert other.get(me).history == []


def test_different_accounts_share_nothing(process: Any, room: Room, server: StandInServer, me: str) -> None:
    """S5, X2: and a key tells no password."""
    server.users.update(ann="a", bob="b")
    for name, password in (("ann", "a"), ("bob", "b"), ("ann", "a")):
        process(username=name, password=password).get(me)
    assert server.logins == 2
    assert len(room.values) == 2
    assert all(len(key) == 32 and set(key) <= set("0123456789abcdef") for key in room.values)


def test_objects_of_one_process_that_share_a_store_object_share_the_token_in_memory(
    process: Any, room: Room, server: StandInServer, me: str
) -> None:
    shelf = Shelf(room)
    process(store=shelf).get(me)
    process(store=shelf).get(me)
    assert (server.logins, room.asked.count("load")) == (1, 2)


def test_what_is_stored_is_a_token_with_an_id_and_never_a_password(process: Any, room: Room, me: str) -> None:
    """X2."""
    process().get(me)
    value = room.only()
    assert value.keys() == {"v", "id", "token", "exp", "lifetime", "until"}
    assert "demo" not in {value["id"], value["token"]}


# --- while another process logs in


def test_who_finds_the_lease_taken_waits_for_the_token_and_not_for_the_lease(
    process: Any, room: Room, server: StandInServer, clock: ManualClock, me: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process().get(me)
    ((key, held),) = room.values.items()
    room.values.clear()
    room.leases[key] = "another process", clock.monotonic + 100
    monkeypatch.setattr(Shelf, "load", _after(3, lambda: room.values.update({key: held})))
    assert process().get(me).status == 200
    assert server.logins == 1


def _after(asked: int, work: Any) -> Any:
    load, times = Shelf.load, []

    def wrapped(self: Shelf, key: str) -> Any:
        times.append(key)
        if len(times) > asked:
            work()
        return load(self, key)

    return wrapped


def test_the_lease_of_a_process_that_died_is_taken_over_when_it_ends(
    process: Any, room: Room, server: StandInServer, clock: ManualClock, me: str
) -> None:
    process().get(me)
    (key,) = room.values
    room.values.clear()
    room.leases[key] = "a process that died", clock.monotonic + 12
    began = clock.monotonic
    assert process().get(me).status == 200
    assert server.logins == 2
    assert 12 <= clock.monotonic - began < 13.5


def test_a_lease_that_never_ends_costs_time_and_no_request(
    process: Any, room: Room, server: StandInServer, clock: ManualClock, me: str
) -> None:
    process().get(me)
    (key,) = room.values
    room.values.clear()
    room.leases[key] = "a process that hangs", clock.monotonic + 1e6
    began = clock.monotonic
    assert process().get(me).status == 200
    assert 24 <= clock.monotonic - began < 26  # twice what a lease lasts
    assert process().get(me).status == 200  # it was saved without the lease
    assert server.logins == 2


def test_the_pauses_between_two_looks_grow_and_differ(process: Any, room: Room, clock: ManualClock, me: str) -> None:
    process().get(me)
    (key,) = room.values
    room.values.clear()
    room.leases[key] = "a process that died", clock.monotonic + 12
    source, settings = (auth := process().auth)._source, auth._settings
    flow = usable(source, settings)
    pauses, step = [], next(flow)
    while not isinstance(step, AskPassword):
        if isinstance(step, Sleep):
            pauses.append(step.seconds)
            clock.advance(step.seconds)
        step = flow.send(step.work() if isinstance(step, UseStore) else None)
    flow.close()
    assert len(set(pauses)) == len(pauses) < 30
    assert max(pauses) <= 1.5
    assert pauses[0] < 0.1


def test_a_login_that_failed_slowly_gives_way_to_another_process_s_token(
    process: Any, room: Room, server: StandInServer, me: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S2: a leader that failed looks once more."""
    process().get(me)
    ((key, held),) = room.values.items()
    room.values.clear()
    server.fail_logins(3, status=503)
    monkeypatch.setattr(Shelf, "load", _after(2, lambda: room.values.update({key: held})))
    assert process().get(me).status == 200


# --- a token the server refuses


def test_a_401_anywhere_replaces_the_token_for_all_once(
    process: Any, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """J1: the second process to meet the 401 finds the first one's new token."""
    fleet = [process() for _ in range(3)]
    for each in fleet:
        each.get(me)
    clock.advance(1)  # two logins in one second give one token
    server.revoke_all()
    for each in fleet:
        answer = each.get(me)
        assert (answer.status, answer.history) == (200, [401])
    assert server.logins == 2


def test_a_refused_token_leaves_the_store_even_if_nothing_is_sent_again(
    process: Any, room: Room, server: StandInServer, me: str
) -> None:
    """J2: a body that cannot be sent twice."""
    client = process()
    client.get(me)
    server.revoke_all()
    assert client.call("POST", me, content=_chunks(client)).status == 401
    assert room.values == {}
    assert client.get(me).history == []


def _chunks(client: Any) -> Any:
    if not hasattr(client, "portal"):
        return iter([b"a", b"b"])

    async def chunks() -> Any:
        for chunk in (b"a", b"b"):
            yield chunk

    return chunks()


def test_a_refused_token_that_could_not_be_deleted_is_not_used_again(
    process: Any, room: Room, server: StandInServer, clock: ManualClock, me: str
) -> None:
    client = process()
    client.get(me)
    server.revoke_all()
    room.broken = {"delete"}
    assert client.get(me).status == 200
    clock.advance(120)
    assert client.get(me).history == []
    assert server.logins == 2


def test_a_newer_token_of_another_process_is_not_deleted(
    process: Any, room: Room, server: StandInServer, me: str
) -> None:
    one, other = process(), process()
    one.get(me)
    other.get(me)
    server.revoke_all()
    one.get(me)
    newer = room.only()["id"]
    other.get(me)
    assert room.only()["id"] == newer


# --- renewal ahead


def settled(client: Any) -> None:
    """Wait for a renewal in the background, if there is one."""
    import threading

    for thread in threading.enumerate():
        if thread.name == "testpress-auth renewal":
            thread.join(5)


def test_one_process_renews_and_the_others_pick_up_the_new_token(
    process: Any, room: Room, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """F2."""
    fleet = [process() for _ in range(4)]
    for each in fleet:
        each.get(me)
    clock.advance(241)
    for each in fleet:
        each.get(me)
        settled(each)
    assert server.logins == 2
    newest = room.only()["token"]
    assert {each.ask("token").raw for each in fleet} == {newest}


def test_while_another_process_renews_everyone_goes_on_with_the_old_token(
    process: Any, room: Room, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """F2: nobody waits, and the new token is looked for soon."""
    client = process()
    client.get(me)
    ((key, _),) = room.values.items()
    clock.advance(241)
    room.leases[key] = "another process", clock.monotonic + 12
    asked = len(room.asked)
    for _ in range(5):
        assert client.get(me).status == 200
        settled(client)
    assert room.asked[asked:] == ["load", "lease"]
    assert clock.slept == []
    del room.leases[key]
    clock.advance(2)
    client.get(me)
    settled(client)
    assert server.logins == 2


def test_after_a_renewal_that_failed_the_whole_fleet_backs_off(
    process: Any, room: Room, server: StandInServer, clock: ManualClock, me: str
) -> None:
    """F2, L6: the lease of a failed try ahead runs on, so that 1,000 processes do not try 1,000 times."""
    fleet = [process() for _ in range(4)]
    for each in fleet:
        each.get(me)
    clock.advance(241)
    server.fail_logins(9, status=503)
    for each in fleet:
        assert each.get(me).status == 200
        settled(each)
    assert server.logins == 2


# --- a store that fails


@pytest.mark.parametrize("verb", ["all", "load", "lease", "save", "release"])
def test_a_store_that_fails_fails_no_request(
    process: Any,
    room: Room,
    server: StandInServer,
    me: str,
    seen: list[Any],
    caplog: pytest.LogCaptureFixture,
    verb: str,
) -> None:
    """One event and one warning, and nothing of what the store said, which may hold anything (X1)."""
    room.broken = {verb}
    client = process()
    assert [client.get(me).status for _ in range(3)] == [200] * 3
    assert server.logins == 1
    (event,) = unavailable(seen)
    assert event.error == "ConnectionError"
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "secret" not in caplog.text


def test_a_store_that_fails_is_left_alone_for_a_growing_while(
    process: Any, room: Room, server: StandInServer, clock: ManualClock, me: str, seen: list[Any]
) -> None:
    room.broken = {"all"}
    client = process()
    pauses = []
    for _ in range(9):
        client.ask("invalidate")
        assert client.get(me).status == 200
        pauses.append(unavailable(seen)[-1].seconds)
        clock.advance(pauses[-1] / 2)
        asked = len(room.asked)
        client.ask("invalidate")
        assert client.get(me).status == 200
        assert len(room.asked) == asked
        clock.advance(pauses[-1] / 2 + 0.001)
    assert pauses[0] <= 1
    assert 30 <= pauses[-1] <= 60
    room.broken.clear()
    client.ask("invalidate")
    client.get(me)
    assert len(room.values) == 1  # and used again once it answers


VALID = json.dumps({"v": 1, "id": "x", "token": "a.b.c", "exp": None, "lifetime": 300, "until": 1_800_000_300})


def changed(**fields: Any) -> str:
    return json.dumps({**json.loads(VALID), **fields})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("garbage", id="garbage"),
        pytest.param(VALID[:40], id="half a value"),
        pytest.param("[" * 15_000, id="brackets"),
        pytest.param("[]", id="an array"),
        pytest.param(changed(v=2), id="a foreign version"),
        pytest.param(changed(v=None), id="no version"),
        pytest.param(changed(id=None), id="no id"),
        pytest.param(changed(id=""), id="an empty id"),
        pytest.param(changed(id="x" * 65), id="a long id"),
        pytest.param(changed(token=None), id="no token"),
        pytest.param(changed(token="a.b.c\r\nX-Evil: 1"), id="CR LF"),
        pytest.param(changed(token="a.b.c\n"), id="LF at the end"),
        pytest.param(changed(token="a.b.ü"), id="not ASCII"),
        pytest.param(changed(token="opaque"), id="no JWT"),
        pytest.param(changed(token="a." + "b" * 9000 + ".c"), id="a long token"),
        pytest.param(changed(pad="x" * 17_000), id="a long value"),
        pytest.param(changed(lifetime=0), id="no lifetime"),
        pytest.param(changed(lifetime=-5), id="a negative lifetime"),
    ],
)
def test_what_is_not_a_token_of_ours_counts_as_nothing_there(
    process: Any, room: Room, server: StandInServer, me: str, seen: list[Any], text: str
) -> None:
    """L5: it is logged in for, and written over."""
    process().get(me)
    room.put(text, 300)
    answer = process().get(me)
    assert (answer.status, answer.history) == (200, [])
    assert server.logins == 2
    assert room.only()["v"] == 1
    assert unavailable(seen) == []


@pytest.mark.parametrize("answer", [b"bytes", 42, ("only one",), ("value", 3, 4)])
def test_a_store_that_keeps_no_promise_fails_no_request(
    process: Any, me: str, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Shelf, "load", lambda *_: answer)
    assert process().get(me).status == 200


@pytest.mark.parametrize(
    ("lifetime", "until", "left", "expected"),
    [
        (300, 1300, 100.0, 100.0),
        (300, 1300, None, 300.0),
        (300, 1100, None, 100.0),
        (300, 9999, None, 300.0),  # that machine's clock is ahead of ours
        (300, 1300, 999.0, 300.0),
        (None, None, 5.0, float("inf")),  # T2: used until refused
        (300, 900, None, None),
        (300, 1300, -1.0, None),
        (300, None, None, None),
        (300, 1300, float("nan"), None),
        (300, 1300, True, None),
        (True, 1300, None, float("inf")),
    ],
)
def test_how_long_a_stored_token_still_lasts(lifetime: Any, until: Any, left: Any, expected: float | None) -> None:
    """T3: what the store says counts, else what was written down; never more than its whole life."""
    login = from_value(changed(lifetime=lifetime, until=until), left, now=50.0, wall=1000.0)
    assert (login and login.expires - 50.0) == expected


def test_a_value_that_was_written_can_be_read() -> None:
    raw = make_token(exp=1_800_000_300)
    login = Login(Token.parse(raw), sent_at=40.0, lifetime=300.0)
    again = from_value(to_value(login, now=50.0, wall=1000.0), None, now=950.0 - 700, wall=1200.0)
    assert again is not None
    assert (again.id, again.token.raw, again.token.expires_at) == (login.id, raw, login.token.expires_at)
    assert (again.expires, again.lifetime) == (250.0 + 90, 300.0)


# --- the two verbs


def test_invalidate_takes_the_token_out_of_the_store(process: Any, room: Room, server: StandInServer, me: str) -> None:
    client = process()
    client.get(me)
    client.ask("invalidate")
    assert room.values == {}
    client.get(me)
    assert server.logins == 2


@pytest.mark.parametrize("verb", ["invalidate", "logout"])
def test_a_process_that_has_not_called_yet_can_end_the_token_that_is_stored(
    process: Any, room: Room, server: StandInServer, me: str, verb: str
) -> None:
    """As a command line does."""
    process().get(me)
    process().ask(verb)
    assert room.values == {}
    ended = [request for request in server.requests if request.path.endswith("logout/")]
    assert len(ended) == (verb == "logout")


def test_the_verbs_leave_another_login_s_token_alone(process: Any, room: Room, server: StandInServer, me: str) -> None:
    one, other = process(), process()
    one.get(me)
    other.get(me)
    server.revoke_all()
    one.get(me)
    newer = room.only()["id"]
    other.ask("invalidate")
    assert room.only()["id"] == newer


@pytest.mark.parametrize("verb", ["invalidate", "logout"])
def test_the_verbs_work_without_the_store(process: Any, room: Room, server: StandInServer, me: str, verb: str) -> None:
    client = process()
    client.get(me)
    room.broken = {"all"}
    client.ask(verb)
    assert client.get(me).status == 200
    assert server.logins == 2


# --- what a caller never sees


def test_a_caller_that_is_cancelled_lets_the_lease_go(room: Room, clock: ManualClock, server: StandInServer) -> None:
    """S3: its login is given up, and another process need not wait until the lease ends."""
    import threading

    auth = RequestsAuth("testpress", "demo", base_url=server.url, store=Shelf(room), _clock=clock.local)
    flow = usable(auth._source, auth._settings)
    step = next(flow)
    while not isinstance(step, Send):
        step = flow.send(auth._perform(step))
    assert len(room.leases) == 1
    flow.close()
    for thread in threading.enumerate():
        if thread.name == "testpress-auth release":
            thread.join(5)
    assert room.leases == {}


def test_a_cancelled_caller_that_lets_go_late_takes_no_lease_from_its_successor(
    room: Room, clock: ManualClock, server: StandInServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3: its successor in the same process holds the lease under a name of its own."""
    auth = RequestsAuth("testpress", "demo", base_url=server.url, store=Shelf(room), _clock=clock.local)
    late: list[str] = []
    monkeypatch.setattr(Shared, "let_go", lambda _, holder: late.append(holder))

    def until_it_sends(flow: Any) -> Any:
        step = next(flow)
        while not isinstance(step, Send):
            if isinstance(step, Sleep):  # the lease is not free yet
                auth._source.shared.store.release(auth._source.shared.key, late[0])  # type: ignore[union-attr]
            step = flow.send(auth._perform(step))
        return flow

    until_it_sends(usable(auth._source, auth._settings)).close()
    successor = until_it_sends(usable(auth._source, auth._settings))
    held = dict(room.leases)
    auth._source.shared.store.release(auth._source.shared.key, late[0])  # type: ignore[union-attr]
    assert room.leases == held != {}
    successor.close()
    assert len(set(late)) == 2


def test_a_login_of_a_process_whose_store_is_left_alone_is_one_login(
    room: Room, clock: ManualClock, server: StandInServer
) -> None:
    room.broken = {"all"}
    auth = RequestsAuth("testpress", "demo", base_url=server.url, store=Shelf(room), _clock=clock.local)
    auth.token()
    auth._source.login = None
    flight = Flight(clock.monotonic + 10)
    log_in = iter(["a login"])
    flow = log_in_once(flight, auth._source, auth._settings, log_in, 10.0, ahead=False)  # type: ignore[arg-type]
    assert list(flow) == ["a login"]


def test_a_token_of_another_process_is_an_event(process: Any, me: str, seen: list[Any]) -> None:
    process().get(me)
    process().get(me)
    assert [type(event) for event in seen].count(TokenReused) == 1


def test_a_stored_token_is_read_without_jwt_or_filelock(server: StandInServer) -> None:
    """T1: a shell's second command must start at once."""
    program = f"""
import sys, json
from testpress_auth.requests import TestpressJWTAuth
from tests.shelf import Room, Shelf
value = json.dumps(dict(v=1, id="x", token="a.b.c", exp=None, lifetime=None, until=None))
room = Room(lambda: 0.0)
auth = TestpressJWTAuth("testpress", "demo", base_url={server.url!r}, store=Shelf(room))
room.values[auth._source.shared.key] = (value, None)
assert auth.header() == {{"Authorization": "JWT a.b.c"}}
print([name for name in ("jwt", "filelock", "cryptography") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"


def test_a_memory_store_shares_within_its_process_alone() -> None:
    auth = RequestsAuth("testpress", "demo", subdomain="demo", store=MemoryStore())
    assert auth._source.shared is None
