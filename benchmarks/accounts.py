"""G: ten thousand accounts in one process: bytes and microseconds for each, and that no two share a token."""

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final

import httpx
import jwt

import testpress_auth.httpx
import testpress_auth.requests

from .result import OURS, Measure, Row, main, quiet

_BASE: Final = "https://demo.testpress.in"
Make = Callable[[str, str], object]


def run(given: argparse.Namespace) -> Iterator[Row]:
    quiet()
    number = 500 if given.quick else 10_000
    names = [(f"user-{i}", f"password-{i}") for i in range(number)]
    for case, makers in _makers().items():
        for who, make in makers.items():
            yield Row(case, who, _made(make, names))
    yield _with_tokens(names)


def _makers() -> dict[str, dict[str, Make]]:
    requests_auth, httpx_auth = import_module("requests_auth"), import_module("httpx_auth")
    google, two = import_module("google.oauth2.credentials"), import_module("requests_oauth2client")
    endpoint = f"{_BASE}/token"
    session, client = import_module("requests").Session(), httpx.Client()

    def ours(page: Any) -> Make:
        return lambda name, password: page.TestpressJWTAuth(name, password, base_url=_BASE)

    def theirs(kind: Any, **shared: Any) -> Make:
        return lambda name, password: kind(endpoint, client_id=name, client_secret=password, **shared)

    return {
        "requests": {
            OURS: ours(testpress_auth.requests),
            "requests_auth": theirs(requests_auth.OAuth2ClientCredentials, session=session),
            "requests_oauth2client": lambda name, password: two.OAuth2ClientCredentialsAuth(
                two.OAuth2Client(token_endpoint=endpoint, client_id=name, client_secret=password, session=session)
            ),
            "google-auth": lambda name, password: google.Credentials(
                None, refresh_token="", token_uri=endpoint, client_id=name, client_secret=password
            ),
        },
        "httpx": {
            OURS: ours(testpress_auth.httpx),
            "httpx_auth": theirs(httpx_auth.OAuth2ClientCredentials, client=client),
        },
    }


def _made(make: Make, names: list[tuple[str, str]]) -> dict[str, float | int | str]:
    """Make them twice, for time and for memory: tracing memory takes time. The two strings are there before."""
    make(*names[0])
    gc.collect()
    started = time.perf_counter()
    made = [make(*name) for name in names]
    took = time.perf_counter() - started
    del made
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    made = [make(*name) for name in names]
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    number = len(made)
    return {"bytes": held / number, "us": took / number * 1e6}


def _with_tokens(names: list[tuple[str, str]]) -> Row:
    """Log all of them in through one stubbed client, call once each, and look at the token each call carried."""
    carried: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/auth-token/"):
            claims = {"username": request.read().decode(), "exp": int(time.time()) + 3600}
            return httpx.Response(200, json={"token": jwt.encode(claims, "k" * 32, algorithm="HS256")})
        carried.append(request.headers["Authorization"])
        return httpx.Response(200, json={})

    make = _makers()["httpx"][OURS]
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        auths: list[Any] = [make(*name) for name in names]
        client.get(f"{_BASE}/api/v2.2/me/", auth=auths[0])
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for auth in auths:
            client.get(f"{_BASE}/api/v2.2/me/", auth=auth)
        carried_bytes = sum(len(each) + 49 for each in carried[1:])  # the list of headers is this script's own
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before - carried_bytes
        tracemalloc.stop()
        raws = [auth.token().raw for auth in auths]
    carried = carried[1:]
    if len(set(raws)) != len(names) or carried != [f"JWT {raw}" for raw in raws]:
        raise SystemExit("accounts: two accounts shared a token")
    return Row("httpx, with a token each", OURS, {"bytes": held / len(names), "tokens": len(set(raws))})


MEASURE = Measure(
    name="accounts",
    title="G. Ten thousand accounts in one process",
    columns={
        "bytes": "bytes each, without the user name and the password",
        "us": "µs to make one",
        "tokens": "different tokens in use",
    },
    chart="bytes",
    run=run,
    notes=(
        "No token yet, but for the last row: there each account has logged in and called once, the bytes are those "
        "that this added, and it was checked that every call carried its own account's token. The peers share one "
        "session or client.",
    ),
)

if __name__ == "__main__":
    main(MEASURE)
