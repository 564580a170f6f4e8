"""What to tell a user who gave one client's page to another client, or another client's session to a page.

Knows the clients by name alone.
"""

from __future__ import annotations

from typing import Final

from .errors import ConfigurationError

_PAGES: Final = ("requests", "httpx", "httpx2")


def not_for(client: str, given: object) -> ConfigurationError:
    """Say that a page is for `client`, though another one called it with a request of its own."""
    use = f": {advice}" if (advice := _advice(given)) else ""
    return ConfigurationError(f"this TestpressJWTAuth is for {client}, and was given a {kind_of(given)}{use}")


def not_a_transport(setting: str, given: object, wanted: str) -> ConfigurationError:
    """Say what `session=` or `client=` takes."""
    use = f", or {advice}" if (advice := _advice(given)) else ""
    return ConfigurationError(f"{setting} is a {kind_of(given)}: pass {wanted}{use}", setting=setting)


def _library(given: object) -> str:
    return type(given).__module__.partition(".")[0]


def kind_of(given: object) -> str:
    """Name the type of a thing with its library, as in "httpx2.Client"."""
    library, name = _library(given), type(given).__qualname__
    return name if library == "builtins" else f"{library}.{name}"


def _advice(given: object) -> str:
    library = _library(given)
    return f"use `from testpress_auth.{library} import TestpressJWTAuth`" if library in _PAGES else ""
