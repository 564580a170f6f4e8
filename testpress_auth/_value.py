"""What makes a value: named fields that never change, equality, and a repr that can keep quiet.

Knows nothing of what the values mean. (`dataclasses` would do this too, and costs four milliseconds to import.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

_T = TypeVar("_T")

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Callable[[_T], _T]:
        return lambda cls: cls


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Value:
    """A frozen value whose fields are its `__slots__`; `_hidden` names those that its repr leaves out."""

    __slots__: tuple[str, ...] = ()
    _hidden: tuple[str, ...] = ()

    def __init__(self, **fields: Any) -> None:
        names = type(self).__slots__
        if fields.keys() != set(names):
            raise TypeError(f"{type(self).__name__} takes {', '.join(names)}")
        for name in names:
            object.__setattr__(self, name, fields[name])

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name!r} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name!r} cannot be deleted")

    def _fields(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), self._fields()))

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__slots__ if name not in self._hidden)
        return f"{type(self).__name__}({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), dict(zip(self.__slots__, self._fields(), strict=True)))


def _rebuild(cls: type[_T], fields: dict[str, Any]) -> _T:
    value = cls.__new__(cls)
    Value.__init__(value, **fields)  # type: ignore[arg-type]  # `cls` is always a kind of Value
    return value
