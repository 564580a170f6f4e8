"""What every client page shares: its settings, its account's source, and the verbs that need no request.

Knows no client: a page says how a login is sent (`_send_login`), and which exceptions of its own it raises.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from . import _tasks
from ._credentials import Secret
from ._failure import Failure
from ._fleet import forget
from ._flow import renew, usable
from ._login import LoginRequest
from ._origin import Origin, belongs_on_https
from ._pickling import check_travels
from ._reply import Reply
from ._settings import Settings, environment
from ._shared import Shared
from ._source import TokenSource
from ._steps import AskPassword, Send, Sleep, UseStore, Wait, drive
from ._token import Login, Token
from .errors import ConfigurationError, TestpressAuthError
from .events import logger
from .stores.memory import MemoryStore
from .stores.shared import TokenStore

if TYPE_CHECKING:
    from typing_extensions import Self


class Page:
    """Base of every `TestpressJWTAuth`. Frozen settings, one source, and the login last seen fresh."""

    __test__ = False  # pytest would collect `TestpressJWTAuth` in every test module that imports it
    _transport_name: ClassVar[str]
    _own_errors: ClassVar[Mapping[type[TestpressAuthError], type[TestpressAuthError]]]

    def __init__(
        self,
        username: str,
        password: str | Callable[[], str] | Secret,
        transport: Any,
        *,
        store: MemoryStore | None = None,
        **options: Any,
    ) -> None:
        other = {"session": "client", "client": "session"}[self._transport_name]
        if other in options:
            raise ConfigurationError(f"{other}= is for another client: pass {self._transport_name}=", setting=other)
        if store is not None and not isinstance(store, MemoryStore):
            raise ConfigurationError(f"store is a {type(store).__name__}: pass store=MemoryStore()", setting="store")
        self._take(Settings(username, password, **options), store, transport)

    @classmethod
    def from_env(cls, **more: Any) -> Self:
        """Make one from TESTPRESS_USERNAME, _PASSWORD, _SUBDOMAIN or _BASE_URL, and _API_VERSION.

        Args:
            **more: any of the constructor's arguments; they win over the environment.

        Raises:
            ConfigurationError: a variable that is needed is not set, or a value is wrong.
        """
        return cls(**environment(more))

    def token(self) -> Token:
        """Return a usable token, logging in if there is none.

        Raises:
            TestpressAuthError: the login failed; see `testpress_auth.errors`.
        """
        return self._logged_in().token

    def header(self) -> dict[str, str]:
        """Return the header line of an API call, `{"Authorization": "JWT …"}`, logging in if need be.

        Raises:
            TestpressAuthError: the login failed; see `testpress_auth.errors`.
        """
        return {"Authorization": self._logged_in().header}

    def invalidate(self) -> None:
        """Forget the token and any remembered failure: the next call logs in."""
        self._forget()

    def _forget(self) -> Login | None:
        """Drop the token here and, if it is still ours, in a shared store; return its login."""
        return drive(forget(self._source, self._settings), self._perform)

    def _take(self, settings: Settings, store: MemoryStore | None, transport: Any) -> None:
        self._settings = settings
        self._store = store
        self._transport = transport
        self._now = settings.clock.monotonic
        self._ready: tuple[Login | None, float] = (None, 0.0)
        self._seen_elsewhere = False
        origin, credentials = settings.origin, settings.credentials

        def make() -> TokenSource:
            shared = Shared(store, origin, credentials.username) if isinstance(store, TokenStore) else None
            return TokenSource(origin, credentials.username, shared)

        self._source: TokenSource = make() if store is None else store.source((origin, credentials.key), make)

    def _fresh(self) -> Login | None:
        """Return the login to use, None if one must be made or waited for. The hot path: one read, one clock."""
        login, until = self._ready
        if login is self._source.login and self._now() < until:
            return login
        return self._look()

    def _look(self) -> Login | None:
        """Look at the source again: what changed there, or is the token due?"""
        policy, now = self._settings.policy, self._now()
        login = self._source.fresh(policy, now)
        if login is not None:
            ahead_at = self._source.ahead_at(policy, login)
            self._ready = (login, min(policy.stale_at(login), ahead_at))
            if now >= ahead_at and self._source.claim_ahead(login, now, self._settings.timeout):
                return login if self._renew() else None
        return login

    def _renew(self) -> bool:
        """Renew ahead in a daemon thread: no request waits, and the interpreter's exit does not either (F2).

        A page that has no such way returns False: then the caller renews on its way.
        """
        try:
            threading.Thread(target=self._renew_here, name="testpress-auth renewal", daemon=True).start()
        except RuntimeError:
            self._source.back_off(self._now())  # no more threads: the interpreter is ending
        return True

    def _renew_here(self) -> None:
        try:
            drive(renew(self._source, self._settings), self._perform)
        except Exception as error:
            logger.warning("renewing ahead failed: %s", type(error).__name__)

    def _logged_in(self, request: Any = None) -> Login:
        login = self._fresh()
        if login is not None:
            return login
        return self._result(drive(usable(self._source, self._settings), self._perform), request)

    def _result(self, outcome: Login | Failure, request: Any = None) -> Login:
        if isinstance(outcome, Failure):
            raise self._error(outcome, request)
        return outcome

    def _perform(self, step: Any) -> Any:
        """Perform one step in this thread."""
        if isinstance(step, Send):
            return self._send_login(step.request, step.deadline)
        if isinstance(step, AskPassword):
            return self._settings.credentials.password()
        if isinstance(step, UseStore):
            return step.work()
        if isinstance(step, Sleep):
            return self._settings.clock.sleep(step.seconds)
        assert isinstance(step, Wait)  # noqa: S101 (for the type checker: there is no other step)
        return self._block(step)

    def _block(self, step: Wait) -> None:
        if step.flight.leads_here() and _tasks.in_event_loop():
            raise ConfigurationError(
                "a blocking call inside the event loop that is logging in would wait for itself: "
                "use an async client there, or `await auth.atoken()` first"
            )
        step.flight.wait(step.seconds)

    def _send_login(self, request: LoginRequest, deadline: float) -> Reply | Failure:
        raise NotImplementedError

    def _error(self, failure: Failure, request: Any = None) -> TestpressAuthError:
        """Build this page's own exception: a new instance for each caller, and nothing secret in it (X1)."""
        kind = self._own_errors.get(failure.error, failure.error)
        error = kind(failure.message, request=request, **failure.fields)
        if failure.cause is not None:
            error.__cause__ = OSError(failure.cause)
        return error

    def _may_go_to(self, origin: Origin | None) -> bool:
        """Whether this origin may see the token (O1); the first that may not is logged."""
        allowed = self._settings.allowed
        if origin in allowed:
            return True
        if not self._seen_elsewhere and (origin is None or not belongs_on_https(origin, allowed)):
            self._seen_elsewhere = True
            logger.info("no token for requests to %s: it belongs to %s", origin or "an unclear origin", allowed[0])
        return False

    def __repr__(self) -> str:
        kind = f"{type(self).__module__}.{type(self).__name__}"
        if "_settings" not in self.__dict__:
            return f"<{kind} in the making>"
        return f"<{kind} of {self._settings.credentials.username!r} at {self._settings.base_url}>"

    def __copy__(self) -> Self:
        """A copy shares the token, as one more caller of the same account."""
        copy = type(self).__new__(type(self))
        copy.__dict__.update(self.__dict__)
        return copy

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def __getstate__(self) -> dict[str, Any]:
        """A pickle carries settings and credentials, never a token (S4)."""
        check_travels(
            self,
            {
                "password": self._settings.credentials,
                "on_event": self._settings.on_event,
                self._transport_name: self._transport,
            },
        )
        return {"settings": self._settings, "store": self._store, "transport": self._transport}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._take(**state)


def hide(password: Any) -> Any:
    """Keep a password's text out of the frames that follow: crash reporters show their locals."""
    return password if callable(password) or isinstance(password, Secret) else Secret(password)
