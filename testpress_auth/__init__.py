"""Testpress authentication for requests and httpx: `from testpress_auth.requests import TestpressJWTAuth`.

The import path is the choice of client. This root holds what all clients share, each name imported when first used:
it loads no client, no jwt, and costs next to nothing.
"""

from ._version import __version__

TYPE_CHECKING = False  # `typing` costs more than all the rest; type checkers know the name
if TYPE_CHECKING:
    from ._policy import RefreshPolicy
    from ._token import Token
    from .errors import (
        ConfigurationError,
        InvalidCredentials,
        LoginThrottled,
        LoginTimeout,
        LoginUnavailable,
        TestpressAuthError,
        UnexpectedLoginResponse,
    )
    from .events import (
        Event,
        LoginAwaited,
        LoginFailed,
        LoginStarted,
        LoginSucceeded,
        RefreshScheduled,
        StoreUnavailable,
        TokenRejected,
        TokenReused,
    )
    from .stores.file import FileStore
    from .stores.memory import MemoryStore
    from .stores.redis import RedisStore
    from .stores.shared import TokenStore

__all__ = [
    "ConfigurationError",
    "Event",
    "FileStore",
    "InvalidCredentials",
    "LoginAwaited",
    "LoginFailed",
    "LoginStarted",
    "LoginSucceeded",
    "LoginThrottled",
    "LoginTimeout",
    "LoginUnavailable",
    "MemoryStore",
    "RedisStore",
    "RefreshPolicy",
    "RefreshScheduled",
    "StoreUnavailable",
    "TestpressAuthError",
    "Token",
    "TokenRejected",
    "TokenReused",
    "TokenStore",
    "UnexpectedLoginResponse",
    "__version__",
]

if not TYPE_CHECKING:  # pragma: no branch (always so at run time; type checkers would take any name for good)

    def __getattr__(name):
        if name not in __all__:
            hint = ""
            if name == "TestpressJWTAuth":
                hint = ": import it from testpress_auth.requests or testpress_auth.httpx"
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
        from importlib import import_module

        homes = {
            "Token": "_token",
            "RefreshPolicy": "_policy",
            "FileStore": "stores.file",
            "MemoryStore": "stores.memory",
            "RedisStore": "stores.redis",
            "TokenStore": "stores.shared",
        }
        for home in [homes[name]] if name in homes else ["errors", "events"]:
            module = import_module(f".{home}", __name__)
            if hasattr(module, name):
                value = globals()[name] = getattr(module, name)
                return value
        raise AssertionError(name)

    def __dir__():
        return sorted({*globals(), *__all__})
