"""One call with a valid token, in each way it can be made.

A case knows its items (fresh requests, say) and how each contestant consumes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import httpx
import requests
from requests.hooks import dispatch_hook

from .result import OURS
from .valid import (
    API,
    CONSTANT,
    clients,
    constant,
    httpx_auths,
    ours_on_httpx,
    ours_on_requests,
    requests_auths,
    sessions,
    stub_session,
)

Consume = Callable[[list[Any]], object]


class Case(NamedTuple):
    """One way of calling. `apart`: the making of the items is no part of the call, and is taken off when counting."""

    name: str
    items: Callable[[int], list[Any]]
    contestants: dict[str, Consume]
    apart: bool = True


def fresh_prepared(number: int) -> list[Any]:
    prepared = requests.Request("GET", API).prepare()
    copies = [prepared.copy() for _ in range(number)]
    for each in copies:
        each.hooks = {"response": []}
    return copies


def fresh_requests(number: int) -> list[Any]:
    return [httpx.Request("GET", API) for _ in range(number)]


def call_all(auth: Callable[[Any], Any], items: list[Any]) -> None:
    for item in items:
        auth(item)


def call_and_answer_all(answer: requests.Response, auth: Callable[[Any], Any], items: list[Any]) -> None:
    for item in items:
        auth(item)
        answer.request = item
        dispatch_hook("response", item.hooks, answer)  # type: ignore[no-untyped-call]


def drive_all(answer: httpx.Response, auth: httpx.Auth, items: list[Any]) -> None:
    """Do what `httpx.Client` does with an auth flow."""
    for item in items:
        flow = auth.sync_auth_flow(item)
        try:
            answer.request = next(flow)
            flow.send(answer)
        except StopIteration:
            pass
        finally:
            flow.close()


async def _adrive_all(answer: httpx.Response, auth: httpx.Auth, items: list[Any]) -> None:
    for item in items:
        flow = auth.async_auth_flow(item)
        try:
            answer.request = await flow.__anext__()
            await flow.asend(answer)
        except StopAsyncIteration:
            pass
        finally:
            await flow.aclose()


def adrive_all(answer: httpx.Response, auth: httpx.Auth, items: list[Any]) -> None:
    """Do what `httpx.AsyncClient` does with an auth flow; nothing in it waits, so no event loop is needed."""
    try:
        _adrive_all(answer, auth, items).send(None)
    except StopIteration:
        return
    raise AssertionError("an auth flow with a valid token waited for something")


def get_all(client: Any, items: list[Any]) -> None:
    for item in items:
        client.get(item)


def aget_all(run: Callable[[Coroutine[Any, Any, None]], None], client: Any, items: list[Any]) -> None:
    async def gets() -> None:
        for item in items:
            await client.get(item)

    run(gets())


def cases(*, peers: bool) -> list[Case]:
    """Return every case with the constant header first, us second, then (where they are asked for) the peers."""
    on_requests = {CONSTANT: constant, OURS: ours_on_requests(), **(requests_auths() if peers else {})}
    function_auth = import_module("httpx._auth").FunctionAuth(constant)  # what httpx makes of `auth=function`
    on_httpx = {CONSTANT: function_auth, OURS: ours_on_httpx(), **(httpx_auths() if peers else {})}
    answered, answer = stub_session().get(API), httpx.Response(200, json={})
    both = partial(call_and_answer_all, answered)
    loop = asyncio.new_event_loop()
    urls = partial(list.__mul__, [API])
    return [
        Case("requests: auth(prepared)", fresh_prepared, _each(call_all, on_requests)),
        Case("requests: the same, and its answer's hooks", fresh_prepared, _each(both, on_requests)),
        Case("httpx: sync flow", fresh_requests, _each(partial(drive_all, answer), on_httpx)),
        Case("httpx: async flow", fresh_requests, _each(partial(adrive_all, answer), on_httpx)),
        Case("requests: Session.get, stubbed", urls, _each(get_all, sessions(on_requests, peers)), False),
        Case(
            "httpx: Client.get, stubbed", urls, _each(get_all, clients(on_httpx, httpx.Client, "OAuth2Client")), False
        ),
        Case(
            "httpx: AsyncClient.get, stubbed",
            urls,
            _each(
                partial(aget_all, loop.run_until_complete), clients(on_httpx, httpx.AsyncClient, "AsyncOAuth2Client")
            ),
            False,
        ),
    ]


def _each(how: Callable[[Any, list[Any]], object], contestants: dict[str, Any]) -> dict[str, Consume]:
    return {name: partial(how, one) for name, one in contestants.items()}
