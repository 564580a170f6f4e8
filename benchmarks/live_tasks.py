"""Ours and the peers as callers of a live server from asyncio tasks, all through one client; else as `live_threads`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib import import_module
from typing import Any, Final

import httpx

import testpress_auth.httpx

from .live_threads import CREDENTIALS, TIMEOUT, google, httpx_auth, token_of
from .result import OURS
from .server import ServerProcess

ACall = Callable[[], Awaitable[int]]
Async = Callable[[ServerProcess, float, Any], AbstractAsyncContextManager[ACall]]


def limits() -> httpx.Limits:
    return httpx.Limits(max_connections=20)  # httpcore looks through all of them for each request


def _of_client(api: str, client: Any) -> ACall:
    async def call() -> int:
        status: int = (await client.get(api)).status_code
        return status

    return call


@asynccontextmanager
async def constant_on_httpx(server: ServerProcess, lasts: float, hear: Any) -> AsyncIterator[ACall]:
    headers = {"Authorization": f"JWT {token_of(server)}"}
    async with httpx.AsyncClient(headers=headers, timeout=TIMEOUT, limits=limits(), trust_env=False) as client:
        yield _of_client(server.api, client)


@asynccontextmanager
async def _ours_on_httpx(own_client: bool, server: ServerProcess, lasts: float, hear: Any) -> AsyncIterator[ACall]:
    way = httpx.AsyncClient(trust_env=False) if own_client else None
    auth = testpress_auth.httpx.TestpressJWTAuth("testpress", "demo", base_url=server.url, on_event=hear, client=way)
    async with httpx.AsyncClient(auth=auth, timeout=TIMEOUT, limits=limits(), trust_env=False) as client:
        yield _of_client(server.api, client)
    if way is not None:
        await way.aclose()


@asynccontextmanager
async def _httpx_auth_async(server: ServerProcess, lasts: float, hear: Any) -> AsyncIterator[ACall]:
    auth = httpx_auth(server, lasts)
    async with httpx.AsyncClient(auth=auth, timeout=TIMEOUT, limits=limits(), trust_env=False) as client:
        yield _of_client(server.api, client)


@asynccontextmanager
async def _authlib_async(server: ServerProcess, lasts: float, hear: Any) -> AsyncIterator[ACall]:
    kind = import_module("authlib.integrations.httpx_client").AsyncOAuth2Client
    endpoint = server.token(lasts)
    settings = {"grant_type": "client_credentials", "leeway": 1, "timeout": TIMEOUT, "limits": limits()}
    async with kind(**CREDENTIALS, token_endpoint=endpoint, trust_env=False, **settings) as client:
        get = _of_client(server.api, client)

        async def call() -> int:
            if not client.token:
                await client.fetch_token(endpoint, grant_type="client_credentials")
            return await get()

        yield call


@asynccontextmanager
async def _google_async(server: ServerProcess, lasts: float, hear: Any) -> AsyncIterator[ACall]:
    own = import_module("google.auth.aio.transport.sessions").AsyncAuthorizedSession(google(server, lasts))

    async def call() -> int:
        answer = await own.get(server.api)
        await answer.read()
        return int(answer.status_code)

    yield call
    await own.close()


@asynccontextmanager
async def constant_on_aiohttp(server: ServerProcess, lasts: float, hear: Any) -> AsyncIterator[ACall]:
    headers = {"Authorization": f"JWT {token_of(server)}"}
    async with import_module("aiohttp").ClientSession(headers=headers) as client:

        async def call() -> int:
            async with client.get(server.api) as answer:
                await answer.read()
                return int(answer.status)

        yield call


TASKS: Final[dict[str, Async]] = {
    OURS: partial(_ours_on_httpx, False),
    f"{OURS}, client=": partial(_ours_on_httpx, True),
    "httpx_auth": _httpx_auth_async,
    "Authlib": _authlib_async,
    "google-auth, aiohttp": _google_async,
}
