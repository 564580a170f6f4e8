"""Every Python block of the README runs, against the stand-in in the place of https://demo.testpress.in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests

from testpress_auth.testing import StandInServer

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
INSTITUTE = "https://demo.testpress.in"


@pytest.fixture
def institute(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInServer]:
    """What is sent to the institute arrives at a stand-in; nothing else of the blocks is changed."""
    with StandInServer() as server:
        send, handle, ahandle = (
            requests.adapters.HTTPAdapter.send,
            httpx.HTTPTransport.handle_request,
            httpx.AsyncHTTPTransport.handle_async_request,
        )

        def by_requests(self, request, **how):  # type: ignore[no-untyped-def]
            request.url = request.url.replace(INSTITUTE, server.url)
            return send(self, request, **how)

        def moved(request: httpx.Request) -> httpx.Request:
            request.url = httpx.URL(str(request.url).replace(INSTITUTE, server.url))
            return request

        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", by_requests)
        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda self, request: handle(self, moved(request)))
        monkeypatch.setattr(
            httpx.AsyncHTTPTransport, "handle_async_request", lambda self, request: ahandle(self, moved(request))
        )
        for name, value in {"USERNAME": "testpress", "PASSWORD": "demo", "SUBDOMAIN": "demo"}.items():
            monkeypatch.setenv(f"TESTPRESS_{name}", value)
        yield server


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_of_the_readme_runs(block: str, institute: StandInServer, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})  # noqa: S102
    printed = capsys.readouterr().out
    if "print(error.status" in block:
        assert printed == "400 Unable to log in with provided credentials.\n"
    elif "email" in block:
        assert printed == "testpress@example.com\n"
    if "no second login" in block:
        assert institute.logins == 1


def test_the_readme_has_the_two_commands_and_what_it_promises() -> None:
    ci = (Path(__file__).parent.parent / ".ci" / "run").read_text(encoding="utf-8")
    commands = re.findall(r"^```sh\n(.*?)\n```", README, flags=re.DOTALL | re.MULTILINE)
    assert len(commands) == 2
    assert all(part in ci for part in commands[0].split(" && "))
    assert commands[1] in ci
    assert len(BLOCKS) >= 8
    assert max(map(len, README.splitlines())) < 220
