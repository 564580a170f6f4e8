"""requests, httpx and async httpx behind one face: a call goes in, what its caller gets comes out.

Knows how each client is set up and how calls run at once there. Must not know what is played, or how it should end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from typing import Final, NamedTuple, Protocol

from .._settings import Options

CROWD: Final = 20  # how many calls at once a client is set up for
_SECONDS: Final = 5.0  # that a call may take, so that a fault ends the demo instead of hanging it


class Answer(NamedTuple):
    """What a caller gets: an HTTP status, or the name and the text of an exception."""

    name: str
    text: str = ""


class Caller(Protocol):
    """One client with `auth=` set."""

    def get(self, url: str) -> Answer: ...
    def at_once(self, url: str, number: int) -> list[Answer]: ...
    def close(self) -> None: ...


class Client(NamedTuple):
    """A client by name, the module of this package that serves it, and how to set one up."""

    name: str
    page: str
    set_up: Callable[[str, str, Options], Caller]


class _Response(Protocol):
    status_code: int


class _Threads:
    """A client that blocks: calls at once are calls from as many threads."""

    def __init__(self, send: Callable[[str], _Response], close: Callable[[], None]) -> None:
        self._send = send
        self.close = close

    def get(self, url: str) -> Answer:
        try:
            return Answer(str(self._send(url).status_code))
        except Exception as error:  # whatever it is, a caller of the client would get it
            return Answer(type(error).__name__, str(error))

    def at_once(self, url: str, number: int) -> list[Answer]:
        with ThreadPoolExecutor(number) as threads:
            return list(threads.map(self.get, [url] * number))


class _Tasks:
    """A client on asyncio: calls at once are as many tasks. Its loop lives as long as its connections."""

    def __init__(self, send: Callable[[str], Awaitable[_Response]], close: Callable[[], Awaitable[None]]) -> None:
        self._send = send
        self._close = close
        self._loop = asyncio.new_event_loop()

    def get(self, url: str) -> Answer:
        return self._loop.run_until_complete(self._get(url))

    def at_once(self, url: str, number: int) -> list[Answer]:
        async def gather() -> list[Answer]:
            return await asyncio.gather(*(self._get(url) for _ in range(number)))

        return self._loop.run_until_complete(gather())

    def close(self) -> None:
        async def close() -> None:
            await self._close()

        self._loop.run_until_complete(close())
        self._loop.close()

    async def _get(self, url: str) -> Answer:
        try:
            return Answer(str((await self._send(url)).status_code))
        except Exception as error:
            return Answer(type(error).__name__, str(error))


# `trust_env` is off in all three: a proxy that the environment names would be asked for 127.0.0.1 too.


def _requests(username: str, password: str, options: Options) -> Caller:
    import requests
    from requests.adapters import HTTPAdapter

    from ..requests import TestpressJWTAuth

    session = requests.Session()
    session.trust_env = False
    session.mount("http://", HTTPAdapter(pool_maxsize=CROWD))  # urllib3 warns of connections that it cannot keep
    session.auth = TestpressJWTAuth(username, password, session=session, **options)
    return _Threads(partial(session.get, timeout=_SECONDS), session.close)


def _httpx(username: str, password: str, options: Options) -> Caller:
    import httpx

    from ..httpx import TestpressJWTAuth

    auth = TestpressJWTAuth(username, password, **options)
    client = httpx.Client(auth=auth, trust_env=False, timeout=_SECONDS)
    return _Threads(client.get, client.close)


def _async_httpx(username: str, password: str, options: Options) -> Caller:
    import httpx

    from ..httpx import TestpressJWTAuth

    auth = TestpressJWTAuth(username, password, **options)
    client = httpx.AsyncClient(auth=auth, trust_env=False, timeout=_SECONDS)
    return _Tasks(client.get, client.aclose)


CLIENTS: Final = (
    Client("requests", "testpress_auth.requests", _requests),
    Client("httpx", "testpress_auth.httpx", _httpx),
    Client("async httpx", "testpress_auth.httpx", _async_httpx),
)


def installed() -> tuple[list[Client], list[str]]:
    """Return the clients that are installed, and for each library that is not, how to install it."""
    found, missing = [], {}
    for client in CLIENTS:
        try:
            import_module(client.page)
        except ImportError as error:
            missing[client.page] = str(error)
        else:
            found.append(client)
    return found, list(missing.values())
