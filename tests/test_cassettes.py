"""Recorded conversations play without a server, and hold no password and no token."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import requests
import vcr  # type: ignore[import-untyped]

from testpress_auth.requests import TestpressJWTAuth
from testpress_auth.testing import StandInServer, scrubbed

from .clients import CALLERS, Caller

PASSWORD = "correct horse"


@pytest.fixture
def cassette(tmp_path: Path) -> Path:
    return tmp_path / "cassette.yaml"


def recording(cassette: Path, **more: Any) -> Any:
    return vcr.VCR(**{**scrubbed(), **more}).use_cassette(cassette)


@pytest.mark.parametrize("name", CALLERS)
def test_a_conversation_is_recorded_once_and_played_without_the_server(
    server: StandInServer, cassette: Path, name: str
) -> None:
    server.users = {"ada@example.com": PASSWORD}
    kind: type[Caller] = CALLERS[name]
    url = f"{server.url}/api/v2.2/me/"

    def play() -> list[int]:
        auth = kind.page.TestpressJWTAuth("ada@example.com", PASSWORD, base_url=server.url)
        with recording(cassette), kind(auth) as client:
            first = client.get(url)
            server.revoke_all()
            second = client.get(url)
        assert json.loads(first.body)["username"] == json.loads(second.body)["username"] == "ada@example.com"
        return [first.status, *second.history, second.status]

    assert play() == [200, 401, 200]
    tokens = [request.header("Authorization") for request in server.api_requests]
    assert server.logins == 2
    server.stop()
    assert play() == [200, 401, 200]
    assert server.logins == 2
    text = cassette.read_text(encoding="utf-8")
    assert PASSWORD not in text
    assert "Authorization" not in text
    for token in tokens:
        assert token is not None
        assert token.removeprefix("JWT ") not in text


LEAKS: dict[str, tuple[str | bytes, dict[str, str]]] = {
    "a cookie that is set": ("", {"Set-Cookie": "sessionid=s3cr3t"}),
    "a token under another name": ('{"access_token": "s3cr3t", "name": "Ada"}', {"Content-Type": "application/json"}),
    "a token with an escaped letter": ('{"token": "s3\\"cr3t"}', {"Content-Type": "application/json"}),
    "a token in an address": ('{"url": "https://x.invalid/embed/?access_token=s3cr3t&a=1"}', {}),
    "a token where the answer points": ("", {"Location": "https://x.invalid/?access_token=s3cr3t"}),
    "a compressed answer": (
        gzip.compress(b'{"token": "s3cr3t"}'),
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ),
    "a token in a page": ("<script>t='eyJhbGciOiJIUzI1NiJ9.s3cr3t.s3cr3t'</script>", {}),
}


@pytest.mark.parametrize("case", LEAKS)
def test_what_an_answer_tells_in_secret_is_not_recorded(server: StandInServer, cassette: Path, case: str) -> None:
    body, headers = LEAKS[case]
    server.fail_requests(1, 200, body, headers)
    with recording(cassette):
        live = requests.get(f"{server.url}/api/v2.2/me/", timeout=10)
    server.stop()
    with recording(cassette):
        played = requests.get(f"{server.url}/api/v2.2/me/", timeout=10)
    said = f"{live.headers}{live.text}"
    assert "cr3t" in said, "while it is recorded, the test sees the answer itself"
    assert "cr3t" not in f"{played.headers}{played.text}"
    assert "cr3t" not in cassette.read_text(encoding="utf-8")
    assert played.headers.get("Content-Length") == str(len(played.content))


SENT: dict[str, dict[str, Any]] = {
    "a cookie": {"headers": {"Cookie": "sessionid=s3cr3t"}},
    "an API access key": {"headers": {"API-access-key": "s3cr3t"}},
    "a proxy's password": {"headers": {"Proxy-Authorization": "Basic s3cr3t"}},
    "a token in the address": {"params": {"access_token": "s3cr3t"}},
    "a password in JSON": {"json": {"username": "ada", "password": "s3cr3t"}},
    "a password in a form": {"data": {"username": "ada", "password": "s3cr3t"}},
    "a token in JSON": {"json": {"provider": "GOOGLE", "access_token": "s3cr3t"}},
}


@pytest.mark.parametrize("case", SENT)
def test_what_a_request_tells_in_secret_is_not_recorded(server: StandInServer, cassette: Path, case: str) -> None:
    for _ in range(2):
        with recording(cassette):
            requests.post(f"{server.url}/api/v2.2/me/", **{"data": "", **SENT[case]}, timeout=10)
        server.stop()
    assert "s3cr3t" in str(server.requests)
    assert "s3cr3t" not in cassette.read_text(encoding="utf-8")


def test_a_login_in_any_form_is_not_recorded(server: StandInServer, cassette: Path) -> None:
    fields = {"username": (None, "ada@example.com"), "password": (None, PASSWORD)}
    with recording(cassette):
        requests.post(f"{server.url}/api/v2.2/auth-token/", files=fields, timeout=10)
    text = cassette.read_text(encoding="utf-8")
    assert PASSWORD not in text
    assert "ada@" not in text


def test_filters_of_ones_own_stand_beside_ours(server: StandInServer, cassette: Path) -> None:
    def without_names(response: dict[str, Any]) -> dict[str, Any]:
        body = response["body"]["string"].replace(b"testpress", b"somebody")
        return {**response, "body": {"string": body}}

    ours = scrubbed()["before_record_response"]
    with recording(cassette, before_record_response=[ours, without_names]):
        auth = TestpressJWTAuth("testpress", "demo", base_url=server.url)
        assert requests.get(f"{server.url}/api/v2.2/me/", auth=auth, timeout=10).json()["username"] == "testpress"
    text = cassette.read_text(encoding="utf-8")
    assert "somebody" in text
    assert '"username":"testpress"' not in text
