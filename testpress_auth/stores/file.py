"""Tokens shared by the processes of one machine and user: a file per account in a private directory.

Knows what makes a lease end: its release, the death of its holder, its time. Of a value it knows its JSON's `id`.
"""

from __future__ import annotations

import json
import os
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from .folder import PrivateFolder
from .shared import TokenStore

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from filelock import FileLock

_MUTEX_SECONDS = 1.0  # how long to wait for another process's few system calls, before the store counts as failed
_HELD: dict[tuple[str, str, str], FileLock] = {}  # what shows that this process lives: per path, key and holder


class FileStore(TokenStore):
    """Share tokens between processes of the same user on one machine. Needs `pip install 'testpress-auth[file]'`.

    ```python
    auth = TestpressJWTAuth("testpress", "demo", subdomain="demo", store=FileStore())
    ```

    Args:
        path (str | PathLike | None): a directory, made with mode 0700 when first needed; it must belong to this user,
            and nobody else may be able to write to it. Default: `testpress-auth` in the user's cache directory.

    A lease ends with the process that holds it, at once, however it dies; one that was stopped loses it when its time
    is over, by the machine's clock (set that clock, and a lease may end early). All processes must see each other's
    locks (`flock`): those of one machine and of its containers do, machines that share a network drive may not.

    Raises:
        ConfigurationError: the directory is another user's, others can write to it, or it is none. Also raised by the
            methods, for a file too; OSError where the disk fails, TimeoutError where another process does not let go.
        ImportError: filelock is not installed, or platformdirs, which the default path needs.
    """

    _now = staticmethod(time.time)

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        _demand("filelock")
        if path is None:
            _demand("platformdirs")
            from platformdirs import user_cache_dir

            path = user_cache_dir("testpress-auth", appauthor=False)
        self._folder = PrivateFolder(os.path.abspath(os.path.expanduser(os.fspath(path))))
        self._folder.check()

    @property
    def path(self) -> str:
        """The directory (str), absolute."""
        return self._folder.path

    def load(self, key: str) -> tuple[str, float | None] | None:
        """Return the value, and None for the seconds: the value's own count. A broken file is none."""
        name = _checked(key) + ".json"
        content = self._folder.read(name) if self._folder.check() else None
        return None if content is None or _object(content) is None else (content.decode(), None)

    def save(self, key: str, value: str, seconds: float | None) -> None:
        """Replace the key's file, and remove what processes killed over an hour ago have left in the directory."""
        with self._mutex(key):
            self._folder.write(f"{key}.json", value.encode())
        self._folder.sweep()

    def delete(self, key: str, login_id: str) -> None:
        """Remove the key's file if it still holds this login; a newer one cannot come in between."""
        with self._mutex(key):
            value = _object(self._folder.read(f"{key}.json"))
            if value is not None and value.get("id") == login_id:
                self._folder.remove(f"{key}.json")

    def lease(self, key: str, holder: str, seconds: float) -> bool:
        """Take the lease or renew one's own; False while another holds it, lives, and has time left."""
        with self._mutex(key):
            lease = self._lease(key)
            if lease is not None and self._runs(lease):
                own = _HELD.get((self.path, key, holder))
                if own is None or not own.is_locked or own.lock_file != self._folder.at(lease.alive):
                    return False
                self._write(key, lease._replace(until=self._now() + seconds, seconds=seconds))
                return True
            if lease is not None:
                self._folder.remove(lease.alive)
            self._forget(key, holder)
            self._take(key, holder, seconds)
            return True

    def release(self, key: str, holder: str) -> None:
        """End the lease if this process took it for this holder and nobody else has it by now."""
        with self._mutex(key):
            own = self._forget(key, holder)
            lease = self._lease(key)
            if lease is not None and lease.alive == own:
                self._folder.remove(f"{key}.lease")

    def _take(self, key: str, holder: str, seconds: float) -> None:
        """Lock a file that no other lease has used, which the kernel unlocks when this process ends, and name it."""
        alive = f"{key}.{os.urandom(8).hex()}.alive"
        lock = _lock(self._folder.at(alive))
        lock.acquire(blocking=False)
        _HELD[self.path, key, holder] = lock
        self._write(key, _Lease(alive, self._now() + seconds, seconds))

    def _forget(self, key: str, holder: str) -> str | None:
        """Drop what shows that this holder lives, and return its name."""
        own = _HELD.pop((self.path, key, holder), None)
        if own is None or not own.is_locked:  # filelock takes a child's locks away after a fork: they are its parent's
            return None
        own.release()
        name = os.path.basename(own.lock_file)
        self._folder.remove(name)
        return name

    def _runs(self, lease: _Lease) -> bool:
        """Whether the lease has time left and its holder lives. Never judged by a pid: a container has its own."""
        if not 0 < lease.until - self._now() < lease.seconds + 1:  # more left than it was given: the clock was set back
            return False
        from filelock import Timeout

        try:
            with _lock(self._folder.at(lease.alive)).acquire(blocking=False):  # made anew if it is gone
                return False
        except Timeout:
            return True

    def _lease(self, key: str) -> _Lease | None:
        record = _object(self._folder.read(f"{key}.lease")) or {}
        try:
            lease = _Lease(str(record["alive"]), float(record["until"]), float(record["seconds"]))
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        return lease if os.path.basename(lease.alive) == lease.alive and lease.alive.endswith(".alive") else None

    def _write(self, key: str, lease: _Lease) -> None:
        os.utime(self._folder.at(lease.alive), (lease.until, lease.until))  # swept an hour after its end, not before
        self._folder.write(f"{key}.lease", json.dumps(lease._asdict()).encode())

    def _mutex(self, key: str) -> AbstractContextManager[Any]:
        """Make the directory if need be, and keep other processes and threads from these keys for a moment.

        Its file is never removed, or two could lock two files of the same name; so there are 256 at most.
        """
        name = _checked(key)[:2] + ".lock"
        self._folder.make()
        return _lock(self._folder.at(name)).acquire(timeout=_MUTEX_SECONDS, poll_interval=0.005)

    def __repr__(self) -> str:
        return f"FileStore({self.path!r})"


class _Lease(NamedTuple):
    alive: str  # the name of the file that its holder has locked for as long as it lives
    until: float  # by the machine's clock, in seconds since 1970
    seconds: float


def _lock(path: str) -> FileLock:
    from filelock import FileLock  # not before it is needed: it takes longer to import than all else here

    # No soft lock where the file system knows no real one: it would judge by the pid, and outlive its holder.
    return FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)


def _object(content: bytes | None) -> dict[str, Any] | None:
    """Return the JSON object in `content`, None if it is something else or broken."""
    try:
        found = None if content is None else json.loads(content.decode())  # of bytes it would take UTF-16 too
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _checked(key: str) -> str:
    if not (key.isascii() and key.isalnum()):
        raise ValueError("a key is made of hexadecimal digits")  # it becomes a file's name
    return key


def _demand(module: str) -> None:
    if find_spec(module) is None:
        raise ImportError(f"FileStore needs {module}: pip install 'testpress-auth[file]'")
