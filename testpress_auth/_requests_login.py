"""How the login travels on requests: in a session of its own, or in one that the user gave (L2 to L4).

Knows requests, and nothing of when a login is due or what its answer means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import requests
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from ._failure import Failure, timed_out, unreachable
from ._login import LoginRequest
from ._reply import LARGEST_BODY, Intake, Reply
from ._settings import Settings


def opened(session: requests.Session | None) -> AbstractContextManager[requests.Session]:
    """Return the user's session, which is left open, or one for this login alone."""
    return requests.Session() if session is None else nullcontext(session)


def post(session: requests.Session, request: LoginRequest, seconds: float) -> requests.Response:
    """Send without the session's auth, headers, cookies and hooks, following no redirect (L1, L3).

    The session prepares nothing, so netrc does not come in; its environment settings (proxies, CA bundle) count.
    `seconds` is what each phase gets the rest of (L4).
    """
    body, pointed_to = request.body, ""

    def hide_location(answer: requests.Response, **_: Any) -> None:
        """A session reads all of a redirect's body to say where it would go next, unless it sees no Location."""
        nonlocal pointed_to
        pointed_to = answer.headers.pop("location", "")

    prepared = requests.Request(
        "POST",
        request.url,
        headers=request.headers,
        data=body.reveal().encode(),
        hooks={"response": hide_location},
    ).prepare()
    settings = session.merge_environment_settings(request.url, {}, True, None, None)
    limit = Timeout(total=max(seconds, 0.001))
    answer = session.send(prepared, allow_redirects=False, timeout=limit, **settings)  # type: ignore[arg-type]
    if pointed_to:
        answer.headers["location"] = pointed_to
    return answer


def send_login(
    session: requests.Session | None, request: LoginRequest, deadline: float, settings: Settings
) -> Reply | Failure:
    """Send the login and read its answer; the client's exceptions become data."""
    now = settings.clock.monotonic
    try:
        with opened(session) as way, post(way, request, deadline - now()) as response:
            return _read(response, deadline, now)
    except requests.Timeout:
        return timed_out(request.url, settings.timeout)
    except (requests.RequestException, HTTPError) as error:
        if now() >= deadline:  # a body that stops coming
            return timed_out(request.url, settings.timeout)
        return unreachable(request.url, error)


def drain(response: requests.Response, deadline: float, now: Callable[[], float]) -> None:
    """Read a refused answer, whose connection is wanted, and close it; what is too long or too slow is cut short."""
    with suppress(requests.RequestException, HTTPError):  # a 401 that breaks off is a 401 all the same
        response._content = _body(response, Intake({}, deadline=deadline, now=now), deadline, now)
        response._content_consumed = True  # type: ignore[attr-defined]
    response.close()


def _read(response: requests.Response, deadline: float, now: Callable[[], float]) -> Reply:
    intake = Intake(response.headers, deadline=deadline, now=now)
    body = _body(response, intake, deadline, now) if intake.trouble is None else b""
    return Reply(
        status=response.status_code,
        headers=response.headers,
        body=body,
        trouble=intake.trouble,
        late=intake.late,
        last=False,
    )


def _body(response: requests.Response, intake: Intake, deadline: float, now: Callable[[], float]) -> bytes:
    content = bytearray()
    for chunk in _as_it_comes(response, deadline, now):
        if not intake.takes(chunk):
            break
        content += chunk
    return bytes(content)


def _as_it_comes(response: requests.Response, deadline: float, now: Callable[[], float]) -> Iterator[bytes]:
    """Yield what has arrived, and never wait for more than one byte: a chunk's rest could come past the deadline."""
    read1 = getattr(response.raw, "read1", None) if isinstance(response.raw, HTTPResponse) else None
    if response.raw is None:  # an adapter of the user's own, which has it all already
        yield response.content or b""
        return
    if read1 is None:  # urllib3 before 2.1; vcrpy's own kind of response
        yield from response.iter_content(1)
        return
    while True:
        # Asked for anew each time: with its last byte read, the connection is the pool's again.
        socket = getattr(getattr(response.raw, "connection", None), "sock", None)
        if socket is not None:
            left = max(deadline - now(), 0.001)
            socket.settimeout(min(socket.gettimeout() or left, left))
        chunk = read1(LARGEST_BODY, decode_content=True)
        if not chunk:
            return
        yield chunk
