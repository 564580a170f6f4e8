"""The server that a test holds in its hand: starts and stops, fails when told to, and counts what it sees.

It knows neither what Testpress answers nor how HTTP is written.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from testpress_auth.testing import answers
from testpress_auth.testing.answers import Answer
from testpress_auth.testing.site import Site
from testpress_auth.testing.wire import Listener, Recorded, Request


class StandInServer(Site):
    """A Testpress server for tests, on 127.0.0.1, with real HTTP and without Internet.

    Use it as a context manager, or call `start()` and `stop()`; started again, it takes the same port.
    Every argument is an attribute as well, which a test may set while the server runs, from any thread.
    Answers follow the Testpress documents, and where these are silent django-rest-framework-jwt and DRF.

    It has `POST auth-token/`, `GET me/`, `GET exams/?page=N` (45 exams, 20 a page) and `POST echo/` below
    `/api/v2.2/`, `/api/v2.3/` and `/api/v2.5/`, `POST /api/v2.4/auth/logout/`, and `GET /api/v2.5/admin/users/?page=N`
    (110 users), for which every user counts as an administrator.

    Args:
        users: password by user name. DRF trims what it is sent: a password with outer blanks never fits.
        token_lifetime: seconds from a login to the `exp` of its token (django-rest-framework-jwt: 300).
        enforce_exp: whether a token past its `exp` is refused. The real server probably does not look.
        clock: Unix seconds; used for `exp` and the `Date` header.
        latency: seconds before an API answer.
        login_latency: seconds before a login answer.
        port: TCP port, 0 for a free one.
    """

    def __init__(
        self,
        *,
        users: Mapping[str, str] | None = None,
        token_lifetime: float = 300.0,
        enforce_exp: bool = True,
        clock: Callable[[], float] = time.time,
        latency: float = 0.0,
        login_latency: float = 0.0,
        port: int = 0,
    ) -> None:
        users = {"testpress": "demo"} if users is None else users
        super().__init__(dict(users), token_lifetime, enforce_exp, clock)
        self.latency = latency
        self.login_latency = login_latency
        self.port = port
        #: Login requests that arrived.
        self.logins = 0
        #: Highest number of login requests in progress at the same moment.
        self.most_logins_at_once = 0
        self._logins_now = 0
        self._arrivals = itertools.count()
        self._records: dict[int, Recorded] = {}
        self._login_script: deque[Answer] = deque()
        self._api_script: deque[Answer] = deque()
        self._stopping = threading.Event()
        self._listener: Listener | None = None

    @property
    def url(self) -> str:
        """Base URL, "http://127.0.0.1:PORT", without slash at the end; right once the server has started."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "StandInServer":
        """Begin to listen, and return the server.

        Raises:
            RuntimeError: it runs already.
            OSError: the port is taken.
        """
        if self._listener is not None:
            raise RuntimeError("this stand-in server runs already")
        self._stopping.clear()
        # The clock is looked up each time, because a test may set another one.
        self._listener = Listener(self.port, self._respond, lambda: self.clock())
        self.port = self._listener.server_address[1]
        return self

    def stop(self) -> None:
        """Cut every connection, also those that wait for an answer, and leave no thread.

        Records and sessions stay. A server that does not run is left as it is.
        """
        listener, self._listener = self._listener, None
        if listener is not None:
            self._stopping.set()
            listener.close()

    def __enter__(self) -> "StandInServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def fail_logins(
        self,
        n: int,
        status: int = 500,
        body: bytes | str | Mapping[str, Any] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Give the next `n` login requests this answer, after those of earlier calls.

        Args:
            n: number of requests.
            status: HTTP status.
            body: bytes or text, sent as HTML unless `headers` say otherwise, or a mapping, sent as JSON.
            headers: further headers; they win over the server's own, `Date` and `Content-Length` included.
        """
        self._login_script.extend([answers.of_body(status, body, headers or {})] * n)

    def fail_requests(
        self,
        n: int,
        status: int = 500,
        body: bytes | str | Mapping[str, Any] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Give the next `n` API calls this answer, whatever token they carry; see `fail_logins`."""
        self._api_script.extend([answers.of_body(status, body, headers or {})] * n)

    def throttle(self, n: int, seconds: float) -> None:
        """Answer the next `n` API calls with DRF's 429: "... available in N seconds.", and `Retry-After`."""
        self._api_script.extend([answers.throttled(seconds)] * n)

    @property
    def requests(self) -> list[Recorded]:
        """All requests that were given an answer, in the order in which they arrived."""
        with self._lock:
            return [self._records[number] for number in sorted(self._records)]

    @property
    def login_requests(self) -> list[Recorded]:
        """The requests to a login address, in the order in which they arrived."""
        return [record for record in self.requests if _is_login(record)]

    @property
    def api_requests(self) -> list[Recorded]:
        """The requests to any other address, in the order in which they arrived."""
        return [record for record in self.requests if not _is_login(record)]

    def forget(self) -> None:
        """Clear the records and the counters; users, sessions and queued answers stay."""
        with self._lock:
            self._records.clear()
            self.logins = self.granted = 0
            self.most_logins_at_once = self._logins_now

    def _respond(self, request: Request) -> Answer:
        is_login = _is_login(request)
        with self._lock:
            number = next(self._arrivals)
            self.logins += is_login
            self._logins_now += is_login
            self.most_logins_at_once = max(self.most_logins_at_once, self._logins_now)
        try:
            # Not time.sleep: a server that stops must not wait for its own slow answers.
            if self._stopping.wait(self.login_latency if is_login else self.latency):
                raise ConnectionAbortedError("the stand-in server stops")
            answer = self._scripted(is_login) or self._answer(request)
        finally:
            with self._lock:
                self._logins_now -= is_login
        # Recorded before it is sent, so that whoever has the answer finds the record.
        record = Recorded(**vars(request), status=answer.status)
        with self._lock:
            self._records[number] = record
        return answer

    def _scripted(self, is_login: bool) -> Answer | None:
        script = self._login_script if is_login else self._api_script
        with self._lock:
            return script.popleft() if script else None


def _is_login(request: Request) -> bool:
    return answers.route(request.path)[0] == "login"
