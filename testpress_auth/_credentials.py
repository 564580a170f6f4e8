"""Who logs in: a user name, and where the password comes from.

Keeps the password out of every repr. Must not know how or where it is sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import Final

from .errors import ConfigurationError

_INSTEAD: Final = 'pass the password as str, or a callable that returns one: password=lambda: read("testpress")'

_PROCESS_KEY: Final = os.urandom(32)
_SURROGATE: Final = "holds a lone surrogate, which no UTF-8 text can: decode it properly first"


class Secret:
    """A string that shows itself only when asked to: crash reporters see this object in a frame, not its text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text  # or what a user gave instead, until it is refused

    def reveal(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "<secret>"


class Credentials:
    """A user name with its password, or with a callable that fetches the password for each login.

    Args:
        username (str): not empty.
        password (str | Callable[[], str]): not empty.

    Raises:
        ConfigurationError: one of them is empty, or of another type.
    """

    __slots__ = ("_source", "username")

    def __init__(self, username: str, password: str | Callable[[], str] | Secret) -> None:
        if not isinstance(username, str):
            raise ConfigurationError(
                f"username is a {type(username).__name__}: pass the Testpress user name as str", setting="username"
            )
        if not username.strip():
            raise ConfigurationError("username is empty: pass the Testpress user name as str", setting="username")
        if not _is_encodable(Secret(username)):
            raise ConfigurationError(f"username {_SURROGATE}", setting="username")
        self.username = username
        self._source: Secret | Callable[[], str] = password if callable(password) else _checked_password(password)

    @property
    def is_fetched(self) -> bool:
        """Whether the password comes from a callable, which may take its time."""
        return not isinstance(self._source, Secret)

    def password(self) -> Secret:
        """Return the password, calling the callable if it is one.

        Raises:
            ConfigurationError: the callable returned no string, or an empty one.
        """
        return self._source if isinstance(self._source, Secret) else _checked_password(self._source())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Credentials):
            return NotImplemented
        return self.username == other.username and self._source == other._source

    __hash__ = None  # type: ignore[assignment]  # `key` is what a dictionary may keep

    @property
    def key(self) -> Hashable:
        """What tells two accounts of one process apart (S5): the user name, and the password under a keyed hash (X2).

        Raises:
            ConfigurationError: the password is a callable that cannot be hashed.
        """
        if isinstance(self._source, Secret):
            return self.username, blake2b(self._source.reveal().encode(), key=_PROCESS_KEY).digest()
        try:
            hash(self._source)
        except TypeError:
            raise ConfigurationError(
                "password: with store=, pass a callable that has a hash, such as a function", setting="password"
            ) from None
        return self.username, self._source

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r})"


def _checked_password(given: object) -> Secret:
    secret = given if isinstance(given, Secret) else Secret(given)  # type: ignore[arg-type]  # checked next
    del given  # no traceback's locals shall show it
    if not isinstance(secret.reveal(), str):
        raise ConfigurationError(f"password is a {type(secret.reveal()).__name__}: {_INSTEAD}", setting="password")
    if not secret.reveal().strip():
        raise ConfigurationError(f"password is empty: {_INSTEAD}", setting="password")
    if not _is_encodable(secret):
        raise ConfigurationError(f"password {_SURROGATE}", setting="password")
    return secret


def _is_encodable(secret: Secret) -> bool:
    """Whether it has a UTF-8 form. (The codec's own error would hold the whole string, so it is not used.)"""
    return not any("\ud800" <= character <= "\udfff" for character in secret.reveal())
