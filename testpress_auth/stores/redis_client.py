"""What a user gives a `RedisStore`, made into a client that gives up soon, or refused with what to write instead.

Knows redis-py's URLs and settings, and nothing of tokens. Shows no part of a URL, for its password may be anywhere.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from .._credentials import Secret
from ..errors import ConfigurationError

_TIMEOUT: Final = 0.3  # seconds to connect, and to wait for an answer: longer than that and a login is the better way
_INSTEAD: Final = (
    'pass a redis.Redis client, or its URL: RedisStore("redis://user:password@host:6379/0") (or rediss://, or '
    "unix:///path), with each special character of the password written as % and two digits"
)


def client_of(url: Secret) -> Any:
    """Make a client that gives up soon and never tries twice; it connects when first used."""
    client = _made(url) if _is_well_formed(url) else None
    if client is None:  # raised here, where redis-py's own error, which may quote the password, is no longer about
        raise ConfigurationError(f"store: the URL is none for Redis: {_INSTEAD}", setting="store")
    return client


def _made(url: Secret) -> Any:
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as missing:
        raise ImportError("redis is not installed: pip install 'testpress-auth[redis]'") from missing
    try:
        client = Redis.from_url(
            url.reveal(),
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            health_check_interval=0,
            retry=Retry(NoBackoff(), 0),
        )
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # an option that it does not know shows only here
    except Exception:
        return None
    return client


def _is_well_formed(url: Secret) -> bool:
    """Refuse what redis-py would read as another server: a password with a bare slash, question mark or hash in it."""
    try:
        parts = urlsplit(url.reveal())
        _ = parts.port, parts.query and parse_qsl(parts.query, strict_parsing=True)
    except ValueError:
        return False
    if parts.scheme == "unix":
        return bool(parts.path) and not parts.hostname and not parts.fragment
    return not parts.fragment and re.fullmatch("/?[0-9]*", parts.path) is not None


def checked_client(client: Any) -> Any:
    if inspect.iscoroutinefunction(getattr(client, "execute_command", None)):
        raise ConfigurationError(
            f"store: {type(client).__module__}.{type(client).__name__} is for asyncio: pass a client that blocks, such "
            'as redis.Redis, or RedisStore("redis://host:6379/0"); async pages call it in a thread',
            setting="store",
        )
    if isinstance(client, type) or not all(callable(getattr(client, name, None)) for name in ("eval", "set")):
        name = client.__name__ if isinstance(client, type) else type(client).__name__
        raise ConfigurationError(f"store: {name} is no client for Redis: {_INSTEAD}", setting="store")
    return client


__all__ = ["checked_client", "client_of"]
