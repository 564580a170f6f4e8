"""Fixtures that many test files share: a server, a clock, and a way to call with each client."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from testpress_auth.testing import StandInServer

from .clients import CALLERS, Caller, Open, opener
from .clock import ManualClock


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests (proxies, CA bundles, settings) does not come in."""
    for name in list(os.environ):
        if name.lower().endswith(("_proxy", "_ca_bundle")) or name.startswith("TESTPRESS_"):
            monkeypatch.delenv(name)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Iterator[StandInServer]:
    """A stand-in whose clock the test moves."""
    with StandInServer(clock=clock.server) as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[StandInServer]:
    """Another host: a stand-in at another origin."""
    with StandInServer() as running:
        yield running


@pytest.fixture(params=CALLERS)
def kind(request: pytest.FixtureRequest) -> type[Caller]:
    """Each client in turn."""
    return CALLERS[request.param]


@pytest.fixture
def caller(kind: type[Caller], server: StandInServer) -> Iterator[Open]:
    """Open a client of this kind against the server: `caller("testpress", "demo", **options)`."""
    yield from opener(kind, server.url)


@pytest.fixture
def me(server: StandInServer) -> str:
    return f"{server.url}/api/v2.2/me/"
