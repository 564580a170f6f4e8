"""One token per account for all auth objects of this process that share the store: the accounts' sources live here.

Knows nothing of tokens: it hands out what a page's `make` builds, once per account and password (S5).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self


class MemoryStore:
    """Share tokens between auth objects in one process: threads, event loops and clients alike.

    ```python
    STORE = MemoryStore()
    auth = TestpressJWTAuth("testpress", "demo", subdomain="demo", store=STORE)
    ```

    Objects for the same origin, user name and password share the token, the login under way and the memory of
    failures. A store that is pickled arrives empty: tokens do not travel.
    """

    __slots__ = ("__weakref__", "_sources")

    _sources: dict[Hashable, Any]

    def __new__(cls, *_: Any, **__: Any) -> Self:
        store = super().__new__(cls)  # not in `__init__`: a user's own store may not call ours
        store._sources = {}
        return store

    def source(self, account: Hashable, make: Callable[[], Any]) -> Any:
        """Return the account's token source, made at the first asking. (`setdefault` is atomic: no lock to fork.)"""
        found = self._sources.get(account)
        return found if found is not None else self._sources.setdefault(account, make())

    def __getstate__(self) -> Any:
        """Leave the sources out; what a subclass keeps in its `__dict__` travels."""
        return getattr(self, "__dict__", None)

    def __repr__(self) -> str:
        return f"<MemoryStore of {len(self._sources)} accounts>"
