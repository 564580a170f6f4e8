"""What a pickle can carry, told by the name of the argument that cannot (S4). Knows nothing of what they do."""

from __future__ import annotations

from collections.abc import Callable

_being_checked: set[int] = set()


def check_travels(whole: object, arguments: dict[str, object]) -> None:
    """Check that each argument of `whole` can be pickled.

    Raises:
        pickle.PicklingError: one cannot; the message names it.
    """
    if id(whole) in _being_checked:  # an argument holds the whole: a session whose auth is this very object
        return
    import pickle  # not at the top: hardly anyone pickles, and everyone would pay

    _being_checked.add(id(whole))
    try:
        for name, value in arguments.items():
            trouble = _trouble(pickle.dumps, value)
            if trouble:
                raise pickle.PicklingError(f"the argument {name} of {whole!r} cannot be pickled ({trouble})")
    finally:
        _being_checked.discard(id(whole))


def _trouble(dump: Callable[[object], object], value: object) -> str:
    try:
        dump(value)
    except Exception as error:
        return type(error).__name__
    return ""
