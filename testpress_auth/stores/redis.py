"""Tokens shared through Redis or Valkey, by a fleet on many machines: `RedisStore("redis://host:6379/0")`.

Knows redis-py's client and the few commands below; must not know what a value means, but that its JSON has an `id`.
"""

from __future__ import annotations

import re
from time import monotonic
from typing import Any, Final

from .._credentials import Secret
from ..errors import ConfigurationError
from .redis_client import checked_client, client_of
from .shared import TokenStore

_IDLE: Final = 30.0  # seconds after which a firewall may have dropped a connection without a word
_NO_END: Final = " "  # stands before a value whose end is not known: JSON allows it
_KEPT_WITHOUT_END: Final = 30 * 24 * 60 * 60.0  # seconds, for nothing stays for ever
_LONGEST: Final = 3650 * 24 * 60 * 60.0  # seconds; the server's own limit is some 290 million years

# One script is one trip that nothing comes between, with plain clients and with a cluster's. A key of another type
# counts as empty; a server that refuses the command (ACL) does not.
_GET: Final = """
local value = redis.pcall('GET', KEYS[1])
if type(value) == 'table' then
    if not string.find(value.err, 'WRONGTYPE', 1, true) then return value end
    value = false
end
"""
_LOAD: Final = f"""{_GET}
if not value or #value > 65536 then return false end
return {{value, redis.call('PTTL', KEYS[1])}}
"""
_DELETE: Final = f"""{_GET}
local _, found = pcall(cjson.decode, value)
if type(found) == 'table' and found.id == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""
_LEASE: Final = f"""{_GET}
if redis.call('PTTL', KEYS[1]) >= 0 and value ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE: Final = f"""{_GET}
if value == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class RedisStore(TokenStore):
    """Share tokens between processes and machines through Redis (5 or newer) or Valkey.

    ```python
    auth = TestpressJWTAuth("testpress", "demo", subdomain="demo", store=RedisStore("rediss://cache.example.com/0"))
    ```

    Each method is one trip to the server and raises what the client raises. A store made from a URL can be pickled,
    with the URL in the pickle; one made from a client, only if the client can.

    Args:
        client_or_url (Any | str): a URL as redis-py takes it: redis://, rediss:// (TLS) or unix://, with user,
            password, database and options. Ours waits 0.3 seconds to connect and for each answer, unless the URL
            says otherwise (`?socket_timeout=1&socket_connect_timeout=1`), and never tries twice. Or a client of the
            packages redis or valkey: `Redis`, `RedisCluster`, `Sentinel(...).master_for(...)`. That one keeps its own
            timeouts and retries: give it short ones, for redis-py's defaults take up to a minute to fail.
        prefix (str): what the keys begin with: `prefix:{key}` for a token and `prefix:{key}:lease` beside it, both in
            one slot of a cluster. An ACL must allow `~testpress-auth:* +eval +get +set +del +pttl` (with this
            prefix), and `+select` for a database other than 0.

    Raises:
        ConfigurationError: the URL, the client or the prefix is none; the message says what to write.
        ImportError: a URL was given, and redis is not installed.
    """

    def __init__(self, client_or_url: Any, prefix: str = "testpress-auth") -> None:
        given = Secret(client_or_url) if isinstance(client_or_url, str) else client_or_url
        del client_or_url  # no traceback's locals shall show the password in it
        if not isinstance(prefix, str) or not prefix.strip() or re.search("[{}]", prefix):
            raise ConfigurationError(
                f'prefix={prefix!r:.40}: pass a text without braces, such as prefix="testpress-auth"', setting="prefix"
            )
        self._prefix = prefix
        self._url = given if isinstance(given, Secret) else None
        self._client = client_of(given) if isinstance(given, Secret) else checked_client(given)
        self._used = monotonic()

    def load(self, key: str) -> tuple[str, float | None] | None:
        try:
            found = self._eval(_LOAD, self._name(key))
            if not found:
                return None
            value = found[0].decode() if isinstance(found[0], bytes) else found[0]
        except UnicodeDecodeError:  # ours, or of a client with decode_responses
            return None
        if value.startswith(_NO_END):
            return value[len(_NO_END) :], None
        return value, (found[1] / 1000 if found[1] >= 0 else None)

    def save(self, key: str, value: str, seconds: float | None) -> None:
        if seconds is None:
            value, seconds = _NO_END + value, _KEPT_WITHOUT_END
        self._ready().set(self._name(key), value.encode(), px=_milliseconds(seconds))

    def delete(self, key: str, login_id: str) -> None:
        self._eval(_DELETE, self._name(key), login_id.encode())

    def lease(self, key: str, holder: str, seconds: float) -> bool:
        return bool(self._eval(_LEASE, f"{self._name(key)}:lease", holder.encode(), _milliseconds(seconds)))

    def release(self, key: str, holder: str) -> None:
        self._eval(_RELEASE, f"{self._name(key)}:lease", holder.encode())

    def _name(self, key: str) -> str:
        return f"{self._prefix}:{{{key}}}"

    def _eval(self, script: str, key: str, *arguments: object) -> Any:
        """Run a script. (EVAL, not EVALSHA: a few hundred bytes, but one trip also when the server is new.)"""
        return self._ready().eval(script, 1, key, *arguments)

    def _ready(self) -> Any:
        """Return the client; our own is first rid of connections that have idled for long."""
        now, since = monotonic(), self._used
        self._used = now
        if self._url is not None and now - since > _IDLE:
            self._client.connection_pool.disconnect(inuse_connections=False)
        return self._client

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._url is not None:
            del state["_client"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._used = monotonic()
        if self._url is not None:
            self._client = client_of(self._url)

    def __repr__(self) -> str:
        return f"<RedisStore prefix={self._prefix!r}>"


def _milliseconds(seconds: float) -> int:
    return max(1, int(min(seconds, _LONGEST) * 1000))


__all__ = ["RedisStore"]
