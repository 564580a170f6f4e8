"""A directory of this user's alone, and small files in it that are whole or not there.

Knows nothing of tokens. What somebody else could have put there or changed is refused, with what to do about it.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress

from ..errors import ConfigurationError

_LEFTOVERS = (".tmp", ".alive")  # what a process that was killed cannot remove itself


class PrivateFolder:
    """Files under one path: mode 0700 for it, 0600 for them, from their first byte on.

    On Windows there are no such modes: the directory is as private as the one it stands in.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def at(self, name: str) -> str:
        return os.path.join(self.path, name)

    def check(self) -> bool:
        """Whether the directory is there. Raises ConfigurationError where another user could have a hand in it."""
        try:
            status = os.lstat(self.path)
        except FileNotFoundError:
            return False
        if stat.S_ISLNK(status.st_mode):
            raise _refused(f"{self.path} is a symbolic link: pass the directory itself")
        if not stat.S_ISDIR(status.st_mode):
            raise _refused(f"{self.path} is not a directory: pass the path of one, or of one to make")
        _check_owner(self.path, status, "chmod 700")
        return True

    def make(self) -> None:
        """Make the directory if it is not there, and check it."""
        if not self.check():
            _make(self.path)
            self.check()  # somebody else may have been faster

    def read(self, name: str, limit: int = 1 << 16) -> bytes | None:
        """Return what the file holds, `limit` bytes of it at most; None for no file.

        Raises ConfigurationError for a link, for what is no file, and for a file that others can write or own.
        """
        path = self.at(name)
        if os.path.islink(path):
            raise _refused(f"{path} is a symbolic link: remove it")
        # O_NOFOLLOW: it could have become a link since. O_NONBLOCK: opening a named pipe would wait for its writer.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            number = os.open(path, flags)
        except FileNotFoundError:
            return None
        try:
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode):
                raise _refused(f"{path} is not a file: remove it")
            _check_owner(path, status, "chmod 600")
            return os.read(number, limit)  # in one go: a file of ours is never written to, only replaced
        finally:
            os.close(number)

    def write(self, name: str, content: bytes) -> None:
        """Put the file there, whole: whoever reads meanwhile gets the old one or the new one."""
        temporary = self.at(f"{name}.{os.urandom(8).hex()}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        number = os.open(temporary, flags, 0o600)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(content)
            os.replace(temporary, self.at(name))
        except BaseException:
            self.remove(os.path.basename(temporary))
            raise

    def remove(self, name: str) -> None:
        with suppress(OSError):  # not there; on Windows: somebody has it open
            os.unlink(self.at(name))

    def sweep(self, age: float = 3600.0) -> None:
        """Remove what killed processes left behind, once its last change is `age` seconds ago."""
        ended = time.time() - age
        with os.scandir(self.path) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.name.endswith(_LEFTOVERS) and entry.stat(follow_symlinks=False).st_mtime < ended:
                        os.unlink(entry.path)

    def __repr__(self) -> str:
        return f"PrivateFolder({self.path!r})"


def _refused(message: str) -> ConfigurationError:
    return ConfigurationError(message, setting="store")


def _check_owner(path: str, status: os.stat_result, remedy: str) -> None:
    if not hasattr(os, "geteuid"):  # Windows
        return
    if status.st_uid != os.geteuid():
        raise _refused(f"{path} belongs to another user: use a path of your own, FileStore(path)")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _refused(f"others can write to {path}: {remedy} {path}")


def _make(path: str) -> None:
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        _make(parent)
    with suppress(FileExistsError):  # another process made it
        os.mkdir(path, 0o700)  # not `makedirs`, which leaves the modes of the parents to the umask
