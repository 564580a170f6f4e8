"""`TestpressJWTAuth` for httpx2: `httpx2.get(url, auth=auth)`, `Client(auth=auth)`, `AsyncClient(auth=auth)`.

Knows which library it is for. All that httpx2 and httpx have in common is in `HttpxPage`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

try:
    import httpx2
except ImportError as missing:
    if sys.version_info < (3, 11):
        raise ImportError("httpx2 needs Python 3.11 or newer: here, use testpress_auth.httpx") from missing
    raise ImportError("httpx2 is not installed: pip install 'testpress-auth[httpx2]'") from missing

from ._httpx2_errors import (
    OWN,
    InvalidCredentials,
    LoginThrottled,
    LoginTimeout,
    LoginUnavailable,
    TestpressAuthError,
    UnexpectedLoginResponse,
)
from ._httpx_library import Library
from ._httpx_page import HttpxPage
from ._page import hide
from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Unpack

    from ._settings import Options

__all__ = [
    "ConfigurationError",
    "InvalidCredentials",
    "LoginThrottled",
    "LoginTimeout",
    "LoginUnavailable",
    "TestpressAuthError",
    "TestpressJWTAuth",
    "UnexpectedLoginResponse",
]


class TestpressJWTAuth(HttpxPage, httpx2.Auth):  # type: ignore[misc]  # the base is typed for httpx
    """Testpress's JWT authentication for httpx2: one object for sync and async clients, on asyncio and trio.

    Args:
        username (str): the Testpress user name.
        password (str | Callable[[], str]): the password, or what fetches it, called once per login (in a worker
            thread from async code).
        client (httpx2.Client | httpx2.AsyncClient | None): what logins are sent with; sync for sync use, async for
            async. By default they go through the client that makes the call: its transport, proxy, certificates and
            mocks serve the login too, and so do its hooks; a cookie that the login sets stays in it.
        **options: see `testpress_auth._settings.Options`.

    Raises:
        ConfigurationError: an argument is missing or wrong; the message says what to write.
    """

    _httpx = Library(httpx2, UnexpectedLoginResponse)
    _own_errors = OWN

    def __init__(
        self,
        username: str,
        password: str | Callable[[], str],
        *,
        client: httpx2.Client | httpx2.AsyncClient | None = None,
        **options: Unpack[Options],
    ) -> None:
        password = hide(password)
        super().__init__(username, password, client, **options)
