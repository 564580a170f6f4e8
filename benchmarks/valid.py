"""Auth objects that hold a valid token, ours and the peers', and clients with the network stubbed out.

No socket is ever opened. Knows nothing of how they are called or measured.
"""

from __future__ import annotations

import datetime
import io
import logging
import time
from functools import cache, partial
from importlib import import_module
from typing import Any, Final

import httpx
import jwt
import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

import testpress_auth.httpx
import testpress_auth.requests

BASE: Final = "https://demo.testpress.in"
API: Final = f"{BASE}/api/v2.2/me/"
CONSTANT: Final = "constant header"
_LASTS: Final = 3600  # seconds
_CLAIMS: Final = {"username": 1, "user_id": 1, "email": "", "exp": int(time.time()) + _LASTS}
RAW: Final = jwt.encode(_CLAIMS, "k" * 32, algorithm="HS256")
_CREDENTIALS: Final = {"client_id": "id", "client_secret": "secret"}
_HEADER: Final = f"JWT {RAW}"
_GRANTED: Final = {
    "access_token": RAW,
    "token_type": "Bearer",
    "expires_in": _LASTS,
    "expires_at": time.time() + _LASTS,
}


class StubAdapter(BaseAdapter):
    """Where requests would open a connection: answers at once, a login with the token and all else with `{}`."""

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        answer = requests.Response()
        answer.status_code = 200
        answer.request = request
        answer.url = request.url or ""
        answer.headers["Content-Type"] = "application/json"
        body = io.BytesIO(f'{{"token": "{RAW}"}}'.encode() if answer.url.endswith("/auth-token/") else b"{}")
        answer.raw = HTTPResponse(body, preload_content=False)
        return answer

    def close(self) -> None:
        """Nothing is open."""


def stub_session(session: requests.Session | None = None, auth: Any = None) -> requests.Session:
    session = requests.Session() if session is None else session
    session.trust_env = False
    session.mount("https://", StubAdapter())
    if auth is not None:
        session.auth = auth
    return session


def stub_transport() -> httpx.MockTransport:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"token": RAW} if request.url.path.endswith("/auth-token/") else {})

    return httpx.MockTransport(answer)


@cache
def ours_on_requests() -> Any:
    auth = testpress_auth.requests.TestpressJWTAuth("testpress", "demo", base_url=BASE, session=stub_session())
    stub_session(auth=auth).get(API)
    return auth


@cache
def ours_on_httpx() -> Any:
    auth = testpress_auth.httpx.TestpressJWTAuth("testpress", "demo", base_url=BASE)
    with httpx.Client(auth=auth, transport=stub_transport()) as client:
        client.get(API)
    return auth


def constant(request: Any) -> Any:
    """Do the least that any `auth=` can do."""
    request.headers["Authorization"] = _HEADER
    return request


@cache
def requests_auths() -> dict[str, Any]:
    """Return the peers' objects for `auth=` on requests, by name."""
    logging.disable(logging.DEBUG)  # as in production; two of them write a line per call
    bearer = {"token": _GRANTED, "client_id": "id"}
    plain = import_module("requests_auth")
    first = plain.OAuth2ClientCredentials(f"{BASE}/token", **_CREDENTIALS)
    plain.OAuth2.token_cache._add_access_token(first.state, RAW, _LASTS)
    second = import_module("requests_oauth2client")
    client = second.OAuth2Client(token_endpoint=f"{BASE}/token", **_CREDENTIALS)
    token = second.BearerToken(access_token=RAW, expires_in=_LASTS)
    authlib = import_module("authlib.integrations.requests_client").OAuth2Session(**bearer)
    return {
        "Authlib": authlib.token_auth,
        "requests_auth": first,
        "requests-oauthlib": import_module("requests_oauthlib").OAuth2(**bearer),
        "requests_oauth2client": second.OAuth2ClientCredentialsAuth(client, token=token),
        "google-auth": partial(_google, google(background=False)),
        "google-auth, background": partial(_google, google(background=True)),
    }


def _google(credentials: Any, request: Any) -> None:
    credentials.before_request(None, request.method, request.url, request.headers)


def google(*, background: bool) -> Any:
    expiry = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(seconds=_LASTS)
    credentials = import_module("google.oauth2.credentials").Credentials(RAW, expiry=expiry)
    if background:
        credentials.with_non_blocking_refresh()
    return credentials


@cache
def httpx_auths() -> dict[str, Any]:
    """Return the peers' objects for `auth=` on httpx, by name."""
    logging.disable(logging.DEBUG)
    plain = import_module("httpx_auth")
    first = plain.OAuth2ClientCredentials(f"{BASE}/token", **_CREDENTIALS)
    plain.OAuth2.token_cache._add_access_token(first.state, RAW, _LASTS)
    authlib = import_module("authlib.integrations.httpx_client").OAuth2Client("id", token=_GRANTED)
    return {"httpx_auth": first, "Authlib": authlib.token_auth}


def sessions(auths: dict[str, Any], peers: bool) -> dict[str, Any]:
    """Some peers are sessions rather than `auth=` objects: then their own session is called."""
    own_session = {name: stub_session(auth=auth) for name, auth in auths.items()}
    if peers:
        bearer = {"token": _GRANTED, "client_id": "id"}
        authorized = import_module("google.auth.transport.requests").AuthorizedSession
        own = {
            "Authlib": import_module("authlib.integrations.requests_client").OAuth2Session(**bearer),
            "requests-oauthlib": import_module("requests_oauthlib").OAuth2Session(**bearer),
            "google-auth": authorized(google(background=False)),
            "google-auth, background": authorized(google(background=True)),
        }
        own_session.update({name: stub_session(session) for name, session in own.items()})
    return own_session


def clients(auths: dict[str, Any], kind: Any, authlib: str) -> dict[str, Any]:
    found = {name: kind(auth=auth, transport=stub_transport()) for name, auth in auths.items() if name != "Authlib"}
    if "Authlib" in auths:
        own = getattr(import_module("authlib.integrations.httpx_client"), authlib)
        found["Authlib"] = own("id", token=_GRANTED, transport=stub_transport())
    return found
