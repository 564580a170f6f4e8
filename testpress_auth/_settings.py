"""The constructor every page shares: each argument checked once, with an error that says what to write instead.

Knows no client and sends nothing. What it makes never changes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypedDict

from ._address import base_url_from, checked_url
from ._credentials import Credentials, Secret
from ._origin import Origin, origin_of
from ._policy import SYSTEM, Clock, RefreshPolicy
from ._token import seconds
from .errors import ConfigurationError
from .events import Event
from .stores.memory import MemoryStore

LOGOUT_PATH: Final = "/api/v2.4/auth/logout/"
_NOT_FOR_LOGIN: Final = (
    "authorization",
    "accept-encoding",
    "content-type",
    "content-length",
    "transfer-encoding",
    "host",
)
_LONGEST_TIMEOUT: Final = 24 * 60 * 60.0  # seconds; locks and sockets overflow at some thousand times that
_DEFAULT_POLICY: Final = RefreshPolicy()


class Options(TypedDict, total=False):
    """The keyword arguments that every `TestpressJWTAuth` takes, after `username` and `password`.

    Args:
        subdomain (str | None): "demo" for https://demo.testpress.in. Exactly one of this and `base_url`.
        base_url (str | None): "https://lms.example.com", with or without a path.
        api_version (str): of the login's URL; v2.2 (the default), v2.3 and v2.5 serve it.
        refresh (RefreshPolicy): when to log in again.
        store (MemoryStore | None): where tokens are shared; by default each object keeps its own.
        timeout (float): seconds for one whole login, from connecting to the last byte; 10 by default.
        login_headers (Mapping[str, str] | None): further headers of the login alone, such as X-Device-UID.
        allow_http (bool): allow plain http to a host that is not loopback.
        also_send_to (Iterable[str]): further origins that may see the token.
        on_event (Callable[[Event], object] | None): is given each event of `testpress_auth.events`.
    """

    subdomain: str | None
    base_url: str | None
    api_version: str
    refresh: RefreshPolicy
    store: MemoryStore | None
    timeout: float
    login_headers: Mapping[str, str] | None
    allow_http: bool
    also_send_to: Iterable[str]
    on_event: Callable[[Event], object] | None
    _clock: Clock


class Settings:
    """What one auth object was told, checked: see `Options`."""

    __slots__ = (
        "allowed",
        "api_version",
        "base_url",
        "clock",
        "credentials",
        "login_headers",
        "on_event",
        "policy",
        "timeout",
    )

    def __init__(
        self,
        username: str,
        password: str | Callable[[], str] | Secret,
        *,
        subdomain: str | None = None,
        base_url: str | None = None,
        api_version: str = "v2.2",
        refresh: RefreshPolicy = _DEFAULT_POLICY,
        timeout: float = 10.0,
        login_headers: Mapping[str, str] | None = None,
        allow_http: bool = False,
        also_send_to: Iterable[str] = (),
        on_event: Callable[[Event], object] | None = None,
        _clock: Clock = SYSTEM,
    ) -> None:
        self.credentials = Credentials(username, password)
        _of_type("allow_http", allow_http, bool, "True or False")
        self.base_url = base_url_from(subdomain, base_url, allow_http)
        self.allowed = _allowed(self.base_url, also_send_to, allow_http)
        self.api_version = _api_version(api_version)
        self.policy = _of_type("refresh", refresh, RefreshPolicy, "refresh=RefreshPolicy(leeway=30)")
        self.timeout = _timeout(timeout)
        self.login_headers = _login_headers(login_headers)
        if on_event is not None and not callable(on_event):
            raise ConfigurationError("on_event: pass a callable that takes one event", setting="on_event")
        self.on_event = on_event
        self.clock = _clock

    @property
    def origin(self) -> Origin:
        """The origin of `base_url`, which the account belongs to."""
        return self.allowed[0]

    @property
    def login_url(self) -> str:
        return f"{self.base_url}/api/{self.api_version}/auth-token/"

    @property
    def logout_url(self) -> str:
        return f"{self.base_url}{LOGOUT_PATH}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), {name: getattr(self, name) for name in self.__slots__ if name != "clock"})


def _restore(cls: type[Settings], values: dict[str, Any]) -> Settings:
    settings = cls.__new__(cls)
    for name, value in {"clock": SYSTEM, **values}.items():
        setattr(settings, name, value)
    return settings


def environment(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constructor's arguments that TESTPRESS_* hold; what is `given` in code wins.

    Raises:
        ConfigurationError: a variable that is needed is not set, or two that exclude each other are.
    """
    found = {name: value for name, value in given.items() if value is not None}
    names = ["username", "password", "api_version"]
    if not {"subdomain", "base_url"} & found.keys():
        names += ["subdomain", "base_url"]
    for name in names:
        value = os.environ.get(f"TESTPRESS_{name.upper()}")
        if value and name not in found:
            found[name] = Secret(value) if name == "password" else value
    for name in ("username", "password"):
        if name not in found:
            name = f"TESTPRESS_{name.upper()}"
            raise ConfigurationError(f"the environment variable {name} is not set or empty: set it", setting=name)
    if not {"subdomain", "base_url"} & found.keys():
        raise ConfigurationError(
            "set the environment variable TESTPRESS_SUBDOMAIN (demo) or TESTPRESS_BASE_URL (https://lms.example.com)",
            setting="TESTPRESS_SUBDOMAIN",
        )
    if {"subdomain", "base_url"} <= found.keys() and not {"subdomain", "base_url"} <= given.keys():
        name = "TESTPRESS_SUBDOMAIN"
        raise ConfigurationError(f"{name} and TESTPRESS_BASE_URL are both set: unset one", setting=name)
    return found


def _allowed(base_url: str, also_send_to: Iterable[str], allow_http: bool) -> tuple[Origin, ...]:
    if isinstance(also_send_to, str) or not isinstance(also_send_to, Iterable):
        raise ConfigurationError(
            'also_send_to: pass a tuple of origins: also_send_to=("https://files.example.com",)', setting="also_send_to"
        )
    urls = [base_url, *(checked_url("also_send_to", url, allow_http, path=False) for url in also_send_to)]
    return tuple(origin for origin in map(origin_of, urls) if origin is not None)


def _api_version(version: str) -> str:
    if isinstance(version, str) and re.fullmatch(r"v[0-9]+(\.[0-9]+)*", version):
        return version
    number = re.fullmatch(r"[vV]?([0-9]+(\.[0-9]+)*)", str(version))
    raise ConfigurationError(
        f'api_version={version!r}: write api_version="v{number[1] if number else "2.2"}"', setting="api_version"
    )


def _timeout(timeout: float) -> float:
    number = seconds(timeout)
    if number is None or not 0 < number <= _LONGEST_TIMEOUT:
        raise ConfigurationError(
            f"timeout={timeout!r:.40}: pass the seconds one whole login may take, such as timeout=10.0",
            setting="timeout",
        )
    return number


def _login_headers(headers: Mapping[str, str] | None) -> dict[str, str] | None:
    if not headers:
        return None
    for name, value in dict(_of_type("login_headers", headers, Mapping, '{"X-Device-UID": "…"}')).items():
        if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ConfigurationError(
                f'login_headers: {name!r} is no header name: write it like "X-Device-UID"', setting="login_headers"
            )
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or value != value.strip():
            raise ConfigurationError(
                f"login_headers: the value of {name} must be a str of printable ASCII, without blanks around it",
                setting="login_headers",
            )
        if name.lower() in _NOT_FOR_LOGIN:
            raise ConfigurationError(
                f"login_headers: {name} is set by the login itself: leave it out", setting="login_headers"
            )
    return dict(headers)


def _of_type(setting: str, value: Any, kind: type, example: str) -> Any:
    if not isinstance(value, kind):
        raise ConfigurationError(f"{setting} is a {type(value).__name__}: pass {example}", setting=setting)
    return value


__all__ = ["Options", "Settings", "environment"]
