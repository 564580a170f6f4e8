"""What a store that processes share must do, so that a fleet logs in once: five short methods.

Knows nothing of tokens: a value is a text to it, and a key is a hash of origin and user name.
"""

from __future__ import annotations

from .memory import MemoryStore


class TokenStore(MemoryStore):
    """Base of stores that outlive a process. Write your own by giving these five methods.

    ```python
    class MyStore(TokenStore):
        def load(self, key): ...
        def save(self, key, value, seconds): ...
        def delete(self, key, login_id): ...
        def lease(self, key, holder, seconds): ...
        def release(self, key, holder): ...
    ```

    Each may block for a moment (async pages call them in a worker thread) and may raise whatever it likes: then the
    process logs in on its own, and asks the store again after a pause. Keys are 32 hexadecimal digits. Values are JSON
    objects of less than 16 KiB that hold a token and a random `id`: whoever can read them can use the account. Auth
    objects of one process that are given the same store object share one token in memory, as with `MemoryStore`.

    `testpress_auth.testing.StoreConformance` is a test suite for such a store.
    """

    def load(self, key: str) -> tuple[str, float | None] | None:
        """Return the value under `key` and the seconds it has left, None for nothing there.

        The seconds are None where the store cannot tell; then those that the value was saved with count, by the clocks
        of the machine that saved and of the one that loads. A value whose time is over may be returned or not.
        """
        raise NotImplementedError

    def save(self, key: str, value: str, seconds: float | None) -> None:
        """Keep `value` under `key` for so many seconds, in place of any other; None where its end is not known."""
        raise NotImplementedError

    def delete(self, key: str, login_id: str) -> None:
        """Remove the value under `key` if its JSON's `id` is still this one. Nothing there is no error."""
        raise NotImplementedError

    def lease(self, key: str, holder: str, seconds: float) -> bool:
        """Take the lease on `key` for so many seconds, without waiting; False if another holder has it.

        It ends by itself after that time, or when it is released. `holder` is a text of its own for each login; one
        who holds the lease already gets it for `seconds` from now on.
        """
        raise NotImplementedError

    def release(self, key: str, holder: str) -> None:
        """End the lease on `key` if this holder still has it. Nothing there is no error."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


__all__ = ["TokenStore"]
