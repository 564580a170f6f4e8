"""`RedisStore` against real servers: what it keeps there, whom it takes as a client, and what a bad day costs."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
import redis.asyncio
import trustme
import valkey
import valkey.asyncio

from testpress_auth.errors import ConfigurationError
from testpress_auth.stores import redis as page
from testpress_auth.stores.redis import RedisStore
from testpress_auth.stores.shared import TokenStore
from testpress_auth.testing import StoreConformance

from .relay import Relay
from .valkey import Valkey, programs

KEY = "0123456789abcdef0123456789abcdef"
HIDDEN = "hiddenvalue"
VALUE = json.dumps({"v": 1, "id": "a1", "token": HIDDEN})
OPERATIONS: dict[str, Callable[[RedisStore], object]] = {
    "load": lambda store: store.load(KEY),
    "save": lambda store: store.save(KEY, VALUE, 60),
    "delete": lambda store: store.delete(KEY, "a1"),
    "lease": lambda store: store.lease(KEY, "me", 60),
    "release": lambda store: store.release(KEY, "me"),
}


@pytest.fixture(scope="module", params=programs())
def running(request: pytest.FixtureRequest) -> Iterator[Valkey]:
    with Valkey(program=programs()[request.param]) as server:
        yield server


@pytest.fixture
def server(running: Valkey) -> Valkey:
    """An empty server, of each kind that this machine has in turn."""
    running.command("FLUSHALL")
    return running


@pytest.fixture
def own() -> Iterator[Valkey]:
    """A server that the test may break."""
    with Valkey() as server:
        yield server


CLIENTS: dict[str, Callable[[Valkey], Any]] = {
    "URL": lambda server: server.url,
    "URL, decoding": lambda server: f"{server.url}?decode_responses=true",
    "URL, RESP2": lambda server: f"{server.url}?protocol=2",
    "socket URL": lambda server: server.socket_url,
    "redis": lambda server: redis.Redis(port=server.port),
    "redis, decoding": lambda server: redis.Redis(port=server.port, decode_responses=True),
    "valkey": lambda server: valkey.Valkey(port=server.port),
    "valkey, decoding": lambda server: valkey.Valkey(port=server.port, decode_responses=True),
}


@pytest.fixture(params=CLIENTS)
def store(request: pytest.FixtureRequest, server: Valkey) -> Iterator[RedisStore]:
    """A store made of each thing that one can be made of."""
    store = RedisStore(CLIENTS[request.param](server))
    yield store
    store._client.close()


@pytest.mark.parametrize("kind", ["URL", "valkey, decoding"])
class TestRedisStore(StoreConformance):
    """What holds for every shared store."""

    wait = 0.05

    @pytest.fixture
    def store(self, server: Valkey, kind: str) -> Iterator[RedisStore]:
        self.server = server
        store = RedisStore(CLIENTS[kind](server))
        yield store
        store._client.close()

    def another(self, store: TokenStore) -> TokenStore:
        return RedisStore(self.server.url)


# --- what it keeps


def test_a_token_is_kept_until_it_is_over(store: RedisStore) -> None:
    assert store.load(KEY) is None
    store.save(KEY, VALUE, 60)
    found = store.load(KEY)
    assert found is not None
    assert found[0] == VALUE
    assert found[1] is not None
    assert 50 < found[1] <= 60


def test_only_that_login_s_token_is_deleted(store: RedisStore) -> None:
    store.save(KEY, VALUE, 60)
    store.delete(KEY, "another")
    assert store.load(KEY)
    store.delete(KEY, "a1")
    store.delete(KEY, "a1")
    assert store.load(KEY) is None


def test_a_lease_has_one_holder_until_it_is_released(store: RedisStore) -> None:
    assert store.lease(KEY, "me", 60)
    assert store.lease(KEY, "me", 60)
    assert not store.lease(KEY, "you", 60)
    store.release(KEY, "you")
    assert not store.lease(KEY, "you", 60)
    store.release(KEY, "me")
    assert store.lease(KEY, "you", 60)


def test_its_holder_can_hold_a_lease_for_longer(server: Valkey) -> None:
    store = RedisStore(server.url)
    store.lease(KEY, "me", 5)
    store.lease(KEY, "me", 600)
    assert server.command("PTTL", f"testpress-auth:{{{KEY}}}:lease") > 500_000


@pytest.mark.parametrize(
    ("seconds", "kept"), [(60.0, 60), (None, 30 * 86400), (1e300, 3650 * 86400), (float("inf"), 3650 * 86400)]
)
def test_nothing_stays_on_the_server_for_ever(server: Valkey, seconds: float | None, kept: int) -> None:
    store = RedisStore(server.url, prefix="mine")
    store.save(KEY, VALUE, seconds)
    store.lease(KEY, "me", 60)
    names = sorted(server.command("KEYS", "*"))
    assert names == [f"mine:{{{KEY}}}".encode(), f"mine:{{{KEY}}}:lease".encode()]
    assert kept - 10 < server.command("PTTL", names[0]) / 1000 <= kept
    assert 50_000 < server.command("PTTL", names[1]) <= 60_000


@pytest.mark.parametrize("seconds", [0.0, -5.0, 0.0001])
def test_a_token_that_is_over_is_no_error(server: Valkey, seconds: float) -> None:
    store = RedisStore(server.url)
    store.save(KEY, VALUE, seconds)
    while server.command("EXISTS", f"testpress-auth:{{{KEY}}}"):
        pass  # a millisecond
    assert store.load(KEY) is None


def test_stores_with_other_prefixes_do_not_see_each_other(server: Valkey) -> None:
    one, other = RedisStore(server.url), RedisStore(server.url, prefix="staging")
    one.save(KEY, VALUE, 60)
    assert one.lease(KEY, "me", 60)
    assert other.load(KEY) is None
    assert other.lease(KEY, "you", 60)


def test_each_operation_is_one_trip(server: Valkey) -> None:
    class Counting(redis.Redis):
        trips = 0

        def execute_command(self, *args: Any, **options: Any) -> Any:
            self.trips += 1
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    client = Counting(port=server.port)
    store = RedisStore(client)
    for number, operation in enumerate([*OPERATIONS.values(), *OPERATIONS.values()], 1):
        operation(store)
        assert client.trips == number
        server.command("SCRIPT", "FLUSH")


# --- garbage under its keys

GARBAGE = {
    "not UTF-8": ("SET", b"\xff\xfe" + HIDDEN.encode()),
    "a list": ("LPUSH", VALUE),
    "a hash": ("HSET", "id", "a1"),
    "huge": ("SET", "x" * 70_000),
    "empty": ("SET", ""),
    "not JSON": ("SET", "{" * 5000),
    "a list in JSON": ("SET", '["id"]'),
    "a number": ("SET", "7"),
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_does_no_harm_and_is_written_over(store: RedisStore, server: Valkey, garbage: str) -> None:
    command, *words = GARBAGE[garbage]
    for name in (f"testpress-auth:{{{KEY}}}", f"testpress-auth:{{{KEY}}}:lease"):
        server.command(command, name, *words)
    found = store.load(KEY)
    assert found is None if garbage in ("not UTF-8", "a list", "a hash", "huge") else found == (words[0], None)
    store.delete(KEY, "a1")
    assert store.lease(KEY, "me", 60)
    assert not store.lease(KEY, "you", 60)
    store.save(KEY, VALUE, 60)
    assert store.load(KEY)
    store.delete(KEY, "a1")
    assert store.load(KEY) is None


def test_a_value_without_an_end_has_no_seconds(server: Valkey) -> None:
    server.command("SET", f"testpress-auth:{{{KEY}}}", VALUE)
    assert RedisStore(server.url).load(KEY) == (VALUE, None)


# --- what it is made of


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, r"NoneType is no client for Redis: pass a redis\.Redis client, or its URL"),
        (b"redis://localhost", "bytes is no client"),
        ({}, "dict is no client"),
        (redis.Redis, "Redis is no client"),
        (redis.asyncio.Redis(), r"redis\.asyncio\.client\.Redis is for asyncio: pass a client that blocks"),
        (valkey.asyncio.Valkey(), r"valkey\.asyncio\.client\.Valkey is for asyncio"),
        (redis.asyncio.RedisCluster("localhost"), r"redis\.asyncio\.cluster\.RedisCluster is for asyncio"),
    ],
    ids=["None", "bytes", "dict", "class", "redis.asyncio", "valkey.asyncio", "asyncio cluster"],
)
def test_what_is_no_client_is_refused(given: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^store: {told}") as caught:
        RedisStore(given)
    assert caught.value.setting == "store"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://localhost:6379",
        f"valkey://:{HIDDEN}@localhost",
        f"redis://:{HIDDEN}/x@localhost",
        f"redis://:1{HIDDEN}?x@localhost",
        f"redis://:{HIDDEN}#x@localhost",
        f"redis://:12/{HIDDEN}@localhost",
        f"redis://:12?{HIDDEN}@localhost",
        f"redis://:12#{HIDDEN}@localhost",
        f"redis://:{HIDDEN}[@localhost",
        f"redis://:{HIDDEN}@localhost:port",
        f"redis://:{HIDDEN}@localhost/cache",
        f"redis://:{HIDDEN}@localhost?colour=red",
        f"redis://:{HIDDEN}@localhost?socket_timeout=long",
        f"rediss://:{HIDDEN}@localhost?ssl_cert_reqs=perhaps",
        "unix://",
        f"unix://:{HIDDEN}@",
        "unix://run/redis.sock",
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^store: the URL is none for Redis: pass .*redis://user:") as caught:
        RedisStore(url)
    error = caught.value
    assert error.setting == "store"
    assert error.__cause__ is None
    assert error.__context__ is None
    assert HIDDEN not in str(error)
    trace = caught.tb.tb_next  # this test's own frame holds the URL
    assert trace is not None
    while trace is not None:
        assert HIDDEN not in str(trace.tb_frame.f_locals)
        trace = trace.tb_next


@pytest.mark.parametrize("prefix", ["", " ", "a{b}", None, 7])
def test_a_wrong_prefix_is_refused(prefix: Any) -> None:
    with pytest.raises(ConfigurationError, match=r'pass a text without braces, such as prefix="testpress-auth"'):
        RedisStore("redis://localhost", prefix=prefix)


def test_a_url_needs_redis_and_a_client_does_not() -> None:
    script = (
        "import sys\nsys.modules['redis'] = None\n"
        "from testpress_auth.stores.redis import RedisStore\n"
        "class Client:\n    def eval(self, *_): return None\n    def set(self, *_, **__): return None\n"
        "print(RedisStore(Client()).load('k'))\n"
        "RedisStore('redis://localhost')"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.stdout == "None\n"
    line = "ImportError: redis is not installed: pip install 'testpress-auth[redis]'"
    assert done.stderr.splitlines()[-1] == line


def test_a_url_s_own_options_win() -> None:
    options = RedisStore(
        "redis://localhost/3?socket_timeout=2.5&health_check_interval=7"
    )._client.get_connection_kwargs()
    assert options["db"] == 3
    assert options["socket_timeout"] == 2.5
    assert options["socket_connect_timeout"] == 0.3
    assert options["health_check_interval"] == 7
    assert RedisStore("redis://localhost")._client.get_connection_kwargs()["health_check_interval"] == 0


def test_a_store_made_from_a_url_travels(server: Valkey) -> None:
    class Labelled(RedisStore):
        pass

    store = RedisStore(server.url, prefix="mine")
    store.save(KEY, VALUE, 60)
    there = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert there.load(KEY)[0] == VALUE
    assert repr(there) == "<RedisStore prefix='mine'>"
    assert there._client is not store._client


class Portable:
    """A client that can be pickled, of a library of its own."""

    def eval(self, *_: Any) -> Any:
        return [VALUE, 60_000]

    def set(self, *_: Any, **__: Any) -> None:
        pass


def test_a_store_made_from_a_client_travels_if_the_client_does(server: Valkey) -> None:
    with redis.Redis(port=server.port) as client, pytest.raises(TypeError, match="pickle"):
        pickle.dumps(RedisStore(client))
    there = pickle.loads(pickle.dumps(RedisStore(Portable())))  # noqa: S301
    assert there.load(KEY) == (VALUE, 60.0)


def test_no_password_shows() -> None:
    store = RedisStore(f"redis://:{HIDDEN}@localhost")
    ours = {name: value for name, value in vars(store).items() if name != "_client"}  # redis-py 6's repr shows it
    assert HIDDEN not in f"{store!r} {store} {ours}"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_has_a_connection_of_its_own(server: Valkey) -> None:
    store = RedisStore(server.url)
    store.save(KEY, VALUE, 60)
    number = store._client.client_id()
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=lambda: answers.put((store.load(KEY), store._client.client_id())))
    child.start()
    child.join()
    (value, _), its_number = answers.get()
    answers.close()
    assert value == VALUE
    assert its_number != number
    assert store._client.client_id() == number


# --- users and TLS

ACL = ("~testpress-auth:*", "+eval", "+get", "+set", "+del", "+pttl")


def test_the_documented_acl_is_enough(server: Valkey) -> None:
    assert " ".join(ACL) in (RedisStore.__doc__ or "")
    store = RedisStore(server.add_user("fleet", HIDDEN, *ACL))
    for operation in OPERATIONS.values():
        operation(store)
    assert store.load(KEY) is None
    with pytest.raises(redis.RedisError):
        store._client.flushall()


@pytest.mark.parametrize("without", ["+eval", "+get", "+set", "+del", "+pttl"])
def test_a_command_that_is_forbidden_is_told(server: Valkey, without: str) -> None:
    server.add_user("fleet", HIDDEN, *(rule for rule in ACL if rule != without))
    store = RedisStore(f"redis://fleet:{HIDDEN}@127.0.0.1:{server.port}")
    server.command("SET", f"testpress-auth:{{{KEY}}}", VALUE)
    with pytest.raises(redis.ResponseError, match=r"(?i)permission|can't run"):
        _try_all(store)


def test_another_prefix_than_the_acl_s_is_told(server: Valkey) -> None:
    store = RedisStore(server.add_user("fleet", HIDDEN, *ACL), prefix="other")
    for operation in OPERATIONS.values():
        with pytest.raises(redis.ResponseError, match=r"(?i)permission|can't access|keys"):
            operation(store)


def _try_all(store: RedisStore) -> None:
    for operation in OPERATIONS.values():
        operation(store)


@pytest.mark.parametrize("password", ["a/b?c#d@e:f%", "päss wörd"])
def test_a_password_with_special_characters(server: Valkey, password: str) -> None:
    server.add_user("fleet", password, *ACL)
    RedisStore(f"redis://fleet:{quote(password, safe='')}@127.0.0.1:{server.port}").save(KEY, VALUE, 60)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.mark.parametrize("trusted", [True, False])
def test_tls(server: Valkey, authority: trustme.CA, tmp_path: Path, trusted: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    certificate = tmp_path / "ca.pem"
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(certificate)
    with Relay(server.port, context) as relay:
        store = RedisStore(f"rediss://127.0.0.1:{relay.port}?ssl_ca_certs={certificate}")
        if trusted:
            store.save(KEY, VALUE, 60)
            assert store.load(KEY)
        else:
            with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
                store.load(KEY)
        store._client.close()


# --- bad days


def outcome(store: RedisStore, operation: str) -> str:
    """Do it; returns the name of what it raised, which must show nothing."""
    try:
        OPERATIONS[operation](store)
    except Exception as error:
        seen: BaseException | None = error
        while seen is not None:
            assert HIDDEN not in f"{seen!r} {seen.args} {vars(seen)}"
            seen = seen.__cause__ or seen.__context__
        return type(error).__name__
    return ""


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_server_that_is_gone_is_used_again_when_it_is_back(own: Valkey, operation: str) -> None:
    store = RedisStore(own.url)
    assert outcome(store, operation) == ""
    own.kill()
    assert outcome(store, operation) == "ConnectionError"
    own.start()
    assert outcome(store, operation) == ""
    own.restart()
    assert outcome(store, operation) == ""


@pytest.mark.parametrize("options", ["", "?retry_on_timeout=true"])
def test_nothing_is_tried_twice(own: Valkey, options: str) -> None:
    with Relay(own.port) as relay:
        store = RedisStore(f"redis://127.0.0.1:{relay.port}{options}")
        own.pause()
        assert outcome(store, "load") == "TimeoutError"
        assert relay.accepted == 1
        own.kill()
        for number, operation in enumerate(OPERATIONS, 2):
            assert outcome(store, operation) == "ConnectionError"
            assert relay.accepted == number
        store._client.close()


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.timeout(4)
def test_a_server_that_hangs_costs_less_than_a_second(own: Valkey, connected: bool) -> None:
    store = RedisStore(own.url)
    if connected:
        store.load(KEY)
    own.pause()
    assert outcome(store, "load") == "TimeoutError"
    own.resume()
    assert outcome(store, "load") == ""


@pytest.mark.timeout(4)
def test_answers_that_came_too_late_are_not_taken_for_others(own: Valkey) -> None:
    store = RedisStore(own.url)
    store.save(KEY, VALUE, 60)
    own.pause()
    assert outcome(store, "load") == "TimeoutError"
    own.resume()
    assert store.lease(KEY, "me", 60)
    assert not store.lease(KEY, "you", 60)


def test_a_connection_that_a_firewall_dropped_is_not_used(server: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(page, "monotonic", lambda: now)
    with Relay(server.port) as relay:
        store = RedisStore(f"redis://127.0.0.1:{relay.port}")
        for _ in range(3):
            store.load(KEY)
        assert relay.accepted == 1
        relay.forget()
        now += 600
        for _ in range(3):
            store.load(KEY)
        assert relay.accepted == 2
        store._client.close()


def test_a_connection_that_the_server_closed_for_idling_is_no_failure(own: Valkey) -> None:
    store = RedisStore(own.url)
    store.load(KEY)
    own.command("CLIENT", "KILL", "TYPE", "normal")
    assert outcome(store, "load") == ""


@pytest.mark.parametrize("password", ["", f"{HIDDEN}-wrong"])
def test_a_wrong_password_is_told_without_it(password: str) -> None:
    with Valkey(password="the-right-one") as server:
        store = RedisStore(f"redis://:{password}@127.0.0.1:{server.port}")
        assert outcome(store, "load") in ("AuthenticationError", "NoAuthError")
        RedisStore(server.url).save(KEY, VALUE, 60)


def test_a_full_server_refuses_writes_and_still_reads(own: Valkey) -> None:
    store = RedisStore(own.url)
    store.save(KEY, VALUE, 60)
    store.lease(KEY, "me", 60)
    own.fill()
    assert outcome(store, "save") == "OutOfMemoryError"
    assert outcome(store, "lease") in ("OutOfMemoryError", "ResponseError")  # the latter from redis-py 5
    assert store.load(KEY)
    store.release(KEY, "me")
    store.delete(KEY, "a1")
    assert store.load(KEY) is None


def test_a_replica_reads_and_refuses_writes(own: Valkey) -> None:
    store = RedisStore(own.url)
    store.save(KEY, VALUE, 60)
    own.command("REPLICAOF", "127.0.0.1", "1")  # of a master that is not there: it keeps what it has
    own.command("CONFIG", "SET", "replica-serve-stale-data", "yes")
    assert store.load(KEY)
    for operation in ("save", "delete", "lease"):
        assert outcome(store, operation) in ("ReadOnlyError", "ResponseError")


def test_a_master_that_wants_replicas_refuses_writes(own: Valkey) -> None:
    store = RedisStore(own.url)
    store.save(KEY, VALUE, 60)
    own.command("CONFIG", "SET", "min-replicas-to-write", "1")
    assert store.load(KEY)
    for operation in ("save", "delete", "lease"):
        assert outcome(store, operation) == "ResponseError"


# --- many servers


@pytest.mark.slow
@pytest.mark.parametrize("library", ["redis", "valkey"])
def test_a_cluster(library: str) -> None:
    with Valkey("--cluster-enabled", "yes") as server:
        server.cluster()
        client: Any = (
            redis.RedisCluster("127.0.0.1", server.port)
            if library == "redis"
            else valkey.ValkeyCluster("127.0.0.1", server.port)
        )
        store = RedisStore(client)
        _try_all(store)
        store.save(KEY, VALUE, 60)
        assert store.load(KEY)
        slots = {server.command("CLUSTER", "KEYSLOT", f"testpress-auth:{{{KEY}}}{end}") for end in ("", ":lease")}
        assert len(slots) == 1
        client.close()
