"""Every client under one face, so that one list of behaviours runs against all: requests, httpx, httpx2, on two loops.

A caller opens one client of its kind around one auth object. Async clients live in an event loop of their own thread.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from types import ModuleType
from typing import Any

import anyio
import anyio.from_thread
import httpx
import requests

import testpress_auth.httpx
import testpress_auth.requests

if sys.version_info >= (3, 11):  # httpx2 needs it: on 3.10 nothing here, nor any test that asks CALLERS, runs on it
    import httpx2

    import testpress_auth.httpx2


class Answer:
    """What any client's response says."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.status: int = response.status_code
        self.history: list[int] = [earlier.status_code for earlier in response.history]
        self.body: bytes = response.content
        self.sent_to = str(response.request.url)


class Caller:
    """One client with one auth object."""

    library: ModuleType
    page: ModuleType
    error: type[Exception]  # the client's own base of exceptions
    redirects: dict[str, bool]  # the argument of a call that makes it follow redirects

    def __init__(self, auth: Any) -> None:
        self.auth = auth

    def call(self, method: str, url: str, **how: Any) -> Answer:
        raise NotImplementedError

    def get(self, url: str, **how: Any) -> Answer:
        return self.call("GET", url, **how)

    def many(self, number: int, url: str) -> list[Answer | BaseException]:
        """Call at once from so many threads or tasks."""
        raise NotImplementedError

    def own(self, error: type[Exception]) -> type[Exception]:
        """Return what this client raises where a test names httpx's error; httpx2 has it by the same name."""
        found: type[Exception] = getattr(self.library, error.__name__) if error.__module__ == "httpx" else error
        return found

    def ask(self, verb: str) -> Any:
        """Call token, header, invalidate or logout, or its async form."""
        return getattr(self.auth, verb)()

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class SyncCaller(Caller):
    def many(self, number: int, url: str) -> list[Answer | BaseException]:
        found: list[Answer | BaseException] = []

        def one() -> None:
            try:
                found.append(self.get(url))
            except BaseException as error:
                found.append(error)

        threads = [threading.Thread(target=one) for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


class Requests(SyncCaller):
    library = requests
    page = testpress_auth.requests
    error = requests.RequestException
    redirects = {"allow_redirects": True}  # noqa: RUF012

    def __enter__(self) -> Caller:
        self.session = requests.Session()
        self.session.auth = self.auth
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def call(self, method: str, url: str, **how: Any) -> Answer:
        if "content" in how:
            how["data"] = how.pop("content")
        how.setdefault("allow_redirects", False)
        return Answer(self.session.request(method, url, **how))


class Httpx(SyncCaller):
    library: ModuleType = httpx
    page: ModuleType = testpress_auth.httpx
    error: type[Exception] = httpx.HTTPError
    redirects = {"follow_redirects": True}  # noqa: RUF012

    def __enter__(self) -> Caller:
        limits = self.library.Limits(max_connections=None)
        self.client = self.library.Client(auth=self.auth, timeout=20, limits=limits, verify=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def call(self, method: str, url: str, **how: Any) -> Answer:
        return Answer(self.client.request(method, url, **how))


class AsyncHttpx(Caller):
    library: ModuleType = httpx
    page: ModuleType = testpress_auth.httpx
    error: type[Exception] = httpx.HTTPError
    redirects = {"follow_redirects": True}  # noqa: RUF012
    backend: str

    def __enter__(self) -> Caller:
        self._stack = ExitStack()
        self.portal = self._stack.enter_context(anyio.from_thread.start_blocking_portal(self.backend))
        limits = self.library.Limits(max_connections=None)
        client = self.library.AsyncClient(auth=self.auth, timeout=20, limits=limits, verify=False)
        opened: AbstractContextManager[Any] = self.portal.wrap_async_context_manager(client)
        self.client = self._stack.enter_context(opened)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def _call(self, method: str, url: str, how: dict[str, Any]) -> Answer:
        return Answer(await self.client.request(method, url, **how))

    def call(self, method: str, url: str, **how: Any) -> Answer:
        answer: Answer = self.portal.call(self._call, method, url, how)
        return answer

    def many(self, number: int, url: str) -> list[Answer | BaseException]:
        found: list[Answer | BaseException] = []

        async def one() -> None:
            try:
                found.append(await self._call("GET", url, {}))
            except Exception as error:
                found.append(error)

        async def all_of_them() -> None:
            async with anyio.create_task_group() as group:
                for _ in range(number):
                    group.start_soon(one)

        self.portal.call(all_of_them)
        return found

    def ask(self, verb: str) -> Any:
        return self.portal.call(getattr(self.auth, f"a{verb}"))


class HttpxAsyncio(AsyncHttpx):
    backend = "asyncio"


class HttpxTrio(AsyncHttpx):
    backend = "trio"


CALLERS: dict[str, type[Caller]] = {
    "requests": Requests,
    "httpx": Httpx,
    "httpx-asyncio": HttpxAsyncio,
    "httpx-trio": HttpxTrio,
}

if sys.version_info >= (3, 11):

    class Httpx2(Httpx):
        library = httpx2
        page = testpress_auth.httpx2
        error = httpx2.HTTPError

    class Httpx2Asyncio(HttpxAsyncio):
        library = httpx2
        page = testpress_auth.httpx2
        error = httpx2.HTTPError

    class Httpx2Trio(HttpxTrio):
        library = httpx2
        page = testpress_auth.httpx2
        error = httpx2.HTTPError

    CALLERS.update({"httpx2": Httpx2, "httpx2-asyncio": Httpx2Asyncio, "httpx2-trio": Httpx2Trio})

Open = Callable[..., Caller]


def opener(kind: type[Caller], url: str) -> Iterator[Open]:
    """Give a function that opens callers of one kind against one server, and close them all at the end."""
    with ExitStack() as stack:

        def open_caller(username: str = "testpress", password: Any = "demo", **options: Any) -> Caller:
            if not {"base_url", "subdomain"} & options.keys():
                options["base_url"] = url
            auth = options.pop("auth", None) or kind.page.TestpressJWTAuth(username, password, **options)
            return stack.enter_context(kind(auth))

        open_caller.kind = kind  # type: ignore[attr-defined]
        yield open_caller
