"""Every Python block of README and docs runs, against the stand-in in the place of https://demo.testpress.in."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests

from testpress_auth.testing import StandInServer

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks_of(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


BLOCKS = blocks_of(ROOT / "README.md")
DOCS = {
    f"{page.name}-{number}": block
    for page in sorted((ROOT / "docs").glob("*.md"))
    for number, block in enumerate(blocks_of(page))
}
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


@pytest.mark.parametrize("block", DOCS.values(), ids=DOCS)
def test_a_block_of_the_docs_runs(block: str, institute: StandInServer) -> None:
    exec(compile(block, "docs", "exec"), {"__name__": "docs"})  # noqa: S102


def test_the_store_of_ones_own_in_the_docs_keeps_what_a_store_promises(tmp_path: Path) -> None:
    """Its class and its test suite, as a user would put them into one file."""
    blocks = blocks_of(ROOT / "docs" / "scaling.md")
    (tmp_path / "test_mine.py").write_text("\n".join(blocks[1:]), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=50)  # noqa: S603
    assert done.returncode == 0, done.stdout
    assert re.search(r"^1[0-9] passed", done.stdout, flags=re.MULTILINE)
