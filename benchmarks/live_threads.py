"""Ours and the peers as callers of a live server from threads, each built cold the way its documentation says.

Where a peer has no lazy first login (Authlib), the caller does what its users write: "if there is no token, fetch one".
A leeway is set to one second where it can be, for the tokens of a measure may live only four.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, Final

import httpx
import requests
from requests.adapters import HTTPAdapter

import testpress_auth.httpx
import testpress_auth.requests

from .result import OURS
from .server import ServerProcess

GOOGLE_EARLY: Final = 225  # seconds before expiry at which google-auth renews; a constant of its own
TIMEOUT: Final = 120
CREDENTIALS: Final = {"client_id": "id", "client_secret": "secret"}
_REFRESH: Final = {"refresh_token": "refresh"}

Call = Callable[[], int]  # one call; returns the status
Open = Callable[[], Call]  # what each thread does first: a session of its own, around what is shared
Sync = Callable[[ServerProcess, float, Any], Open]


def session() -> requests.Session:
    fresh = requests.Session()
    fresh.trust_env = False
    fresh.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=1))
    return fresh


def _by_session(api: str, auth: Any) -> Open:
    def open_one() -> Call:
        own = session()
        own.auth = auth
        return lambda: own.get(api, timeout=TIMEOUT).status_code

    return open_one


def _by_client(api: str, auth: Any) -> Open:
    def open_one() -> Call:
        client = httpx.Client(auth=auth, timeout=TIMEOUT, trust_env=False)
        return lambda: client.get(api).status_code

    return open_one


def token_of(server: ServerProcess) -> str:
    token: str = requests.post(server.token(3600), timeout=TIMEOUT).json()["access_token"]
    return token


def constant_on_requests(server: ServerProcess, lasts: float, hear: Any) -> Open:
    """Be what nothing can beat: a token that is there already."""
    raw = token_of(server)

    def constant(request: Any) -> Any:
        request.headers["Authorization"] = f"JWT {raw}"
        return request

    return _by_session(server.api, constant)


def ours_on_requests(server: ServerProcess, lasts: float, hear: Any) -> Open:
    auth = testpress_auth.requests.TestpressJWTAuth("testpress", "demo", base_url=server.url, on_event=hear)
    return _by_session(server.api, auth)


def _requests_auth(server: ServerProcess, lasts: float, hear: Any) -> Open:
    module = import_module("requests_auth")
    module.OAuth2.token_cache.clear()
    auth = module.OAuth2ClientCredentials(server.token(lasts), **CREDENTIALS, early_expiry=1)
    return _by_session(server.api, auth)


def _httpx_auth_sync(server: ServerProcess, lasts: float, hear: Any) -> Open:
    return _by_client(server.api, httpx_auth(server, lasts))


def httpx_auth(server: ServerProcess, lasts: float) -> Any:
    module = import_module("httpx_auth")
    module.OAuth2.token_cache.clear()
    return module.OAuth2ClientCredentials(server.token(lasts), **CREDENTIALS, early_expiry=1)


def _oauth2client(server: ServerProcess, lasts: float, hear: Any) -> Open:
    module = import_module("requests_oauth2client")
    client = module.OAuth2Client(token_endpoint=server.token(lasts), **CREDENTIALS, testing=True)
    return _by_session(server.api, module.OAuth2ClientCredentialsAuth(client, leeway=1))


def _authlib(server: ServerProcess, lasts: float, hear: Any) -> Open:
    module = import_module("authlib.integrations.requests_client")
    endpoint = server.token(lasts)
    shared = module.OAuth2Session(
        **CREDENTIALS, token_endpoint=endpoint, grant_type="client_credentials", leeway=1, default_timeout=TIMEOUT
    )
    shared.trust_env = False
    shared.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=400))

    def call() -> int:
        if not shared.token:
            shared.fetch_token(endpoint, grant_type="client_credentials")
        status: int = shared.get(server.api).status_code
        return status

    return lambda: call


def google(server: ServerProcess, lasts: float) -> Any:
    """google-auth renews 225 s ahead and cannot be told otherwise: its tokens live so much longer than the others'."""
    return import_module("google.oauth2.credentials").Credentials(
        None, token_uri=server.token(lasts + GOOGLE_EARLY), **CREDENTIALS, **_REFRESH
    )


def _google_sync(background: bool, server: ServerProcess, lasts: float, hear: Any) -> Open:
    credentials = google(server, lasts)
    if background:
        credentials.with_non_blocking_refresh()
    module = import_module("google.auth.transport.requests")

    def open_one() -> Call:
        own = module.AuthorizedSession(credentials)
        own.trust_env = False
        return lambda: int(own.get(server.api, timeout=TIMEOUT).status_code)

    return open_one


THREADS: Final[dict[str, Sync]] = {
    OURS: ours_on_requests,
    "Authlib": _authlib,
    "google-auth": partial(_google_sync, False),
    "google-auth, background": partial(_google_sync, True),
    "requests_auth": _requests_auth,
    "requests_oauth2client": _oauth2client,
    "httpx_auth, sync": _httpx_auth_sync,
}
