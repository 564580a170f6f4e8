"""The suite for stores passes a good store, and tells what is wrong with a bad one."""

# ruff: noqa: S603 (what is run as a subprocess is pytest, and Python itself)

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import testpress_auth.testing
from testpress_auth.stores.file import FileStore
from testpress_auth.stores.shared import TokenStore
from testpress_auth.testing import StoreConformance


class ToyStore(TokenStore):
    """All that a store must do, in twenty lines: documentation shows it."""

    def __init__(self) -> None:
        self.lock, self.values, self.leases = threading.Lock(), {}, {}  # type: ignore[var-annotated]

    def load(self, key: str) -> tuple[str, float | None] | None:
        value, end = self.values.get(key, (None, None))
        return None if value is None else (value, None if end is None else end - time.monotonic())

    def save(self, key: str, value: str, seconds: float | None) -> None:
        with self.lock:
            self.values[key] = value, None if seconds is None else time.monotonic() + seconds

    def delete(self, key: str, login_id: str) -> None:
        with self.lock:
            if key in self.values and json.loads(self.values[key][0])["id"] == login_id:
                del self.values[key]

    def lease(self, key: str, holder: str, seconds: float) -> bool:
        with self.lock:
            now, (other, end) = time.monotonic(), self.leases.get(key, (holder, 0.0))
            if free := other == holder or end <= now:
                self.leases[key] = holder, now + seconds
            return bool(free)

    def release(self, key: str, holder: str) -> None:
        with self.lock:
            if self.leases.get(key, ("", 0.0))[0] == holder:
                del self.leases[key]


class TestToyStore(StoreConformance):
    @pytest.fixture
    def store(self) -> TokenStore:
        return ToyStore()


class TestFileStore(StoreConformance):
    tells_seconds = False

    @pytest.fixture
    def store(self, tmp_path: Path) -> TokenStore:
        return FileStore(tmp_path / "tokens")

    def another(self, store: TokenStore) -> TokenStore:
        assert isinstance(store, FileStore)
        return FileStore(store.path)


class _OnlyTimesOut(ToyStore):
    """What a cache that knows `add` alone can do."""

    def lease(self, key: str, holder: str, seconds: float) -> bool:
        return super().lease(key, f"{holder} {time.monotonic_ns()}", seconds)

    def release(self, key: str, holder: str) -> None:
        """It cannot."""

    def load(self, key: str) -> tuple[str, float | None] | None:
        found = super().load(key)
        return None if found is None or (found[1] or 1.0) <= 0 else (found[0], None)


class TestWhatCannotDoAll(StoreConformance):
    tells_seconds = False
    lease_can_be_released = False
    lease_can_be_renewed = False

    @pytest.fixture
    def store(self) -> TokenStore:
        return _OnlyTimesOut()


# Stores that are wrong in one thing each


class _KeepsTheFirst(ToyStore):
    def save(self, key: str, value: str, seconds: float | None) -> None:
        super().save(key, self.values.get(key, (value, None))[0], seconds)


class _OneKeyForAll(ToyStore):
    def save(self, key: str, value: str, seconds: float | None) -> None:
        super().save("", value, seconds)

    def load(self, key: str) -> tuple[str, float | None] | None:
        return super().load("")


class _WritesAnew(ToyStore):
    def load(self, key: str) -> tuple[str, float | None] | None:
        found = super().load(key)
        return None if found is None else (json.dumps(json.loads(found[0])), found[1])


class _CutsShort(ToyStore):
    def save(self, key: str, value: str, seconds: float | None) -> None:
        super().save(key, value[:10_000], seconds)


class _WritesInTwoSteps(ToyStore):
    def save(self, key: str, value: str, seconds: float | None) -> None:
        super().save(key, value[:50], seconds)
        time.sleep(0.001)
        super().save(key, value, seconds)


class _TellsWhatItWasSavedWith(ToyStore):
    def load(self, key: str) -> tuple[str, float | None] | None:
        found = super().load(key)
        return None if found is None else (found[0], None if found[1] is None else 60.0)


class _EndsAll(ToyStore):
    def save(self, key: str, value: str, seconds: float | None) -> None:
        super().save(key, value, 3600.0 if seconds is None else seconds)


class _DeletesAny(ToyStore):
    def delete(self, key: str, login_id: str) -> None:
        self.values.pop(key, None)


class _ComparesFirst(ToyStore):
    def delete(self, key: str, login_id: str) -> None:
        if json.loads(self.values.get(key, ('{"id": ""}',))[0])["id"] == login_id:
            time.sleep(0.01)
            self.values.pop(key, None)


class _DeletesNothing(ToyStore):
    def delete(self, key: str, login_id: str) -> None: ...


class _LeasesToAll(ToyStore):
    def lease(self, key: str, holder: str, seconds: float) -> bool:
        return True


class _LooksFirst(ToyStore):
    def lease(self, key: str, holder: str, seconds: float) -> bool:
        if self.leases.get(key, (holder, 0.0))[0] != holder:
            return super().lease(key, holder, seconds)
        time.sleep(0.01)
        self.leases[key] = holder, time.monotonic() + seconds
        return True


class _NeverEnds(ToyStore):
    def lease(self, key: str, holder: str, seconds: float) -> bool:
        return super().lease(key, holder, 3600.0)


class _KeepsTheFirstEnd(ToyStore):
    def lease(self, key: str, holder: str, seconds: float) -> bool:
        before = self.leases.get(key)
        taken = super().lease(key, holder, seconds)
        if taken and before is not None and before[0] == holder:
            self.leases[key] = before
        return taken


class _AnyoneReleases(ToyStore):
    def release(self, key: str, holder: str) -> None:
        self.leases.pop(key, None)


class _NothingReleases(ToyStore):
    def release(self, key: str, holder: str) -> None: ...


class _SavingReleases(ToyStore):
    def save(self, key: str, value: str, seconds: float | None) -> None:
        super().save(key, value, seconds)
        self.leases.pop(key, None)


class _FailsOnNothing(ToyStore):
    def load(self, key: str) -> tuple[str, float | None] | None:
        return super().load(key) or ("{}", None)


BAD: dict[str, tuple[Callable[[], TokenStore], str]] = {
    "a key without a value holds none": (_FailsOnNothing, "test_a_key_without_a_value_holds_none"),
    "a later value": (_KeepsTheFirst, "test_a_later_value_takes_the_place_of_an_earlier_one"),
    "other keys": (_OneKeyForAll, "test_other_keys_stay_as_they_are"),
    "every character": (_WritesAnew, "test_every_character_that_json_can_hold_comes_back"),
    "16 KiB": (_CutsShort, "test_a_value_of_nearly_16_kib_comes_back"),
    "half a value": (_WritesInTwoSteps, "test_a_reader_never_sees_half_a_value"),
    "seconds left, told": (_TellsWhatItWasSavedWith, "test_a_value_whose_time_is_over_is_not_said_to_have_any_left"),
    "seconds left, not told": (_OnlyTimesOut, "test_the_seconds_left_are_told"),
    "no known end": (_EndsAll, "test_a_value_whose_end_is_not_known_stays_without_one"),
    "deletes any": (_DeletesAny, "test_only_the_login_that_is_meant_is_deleted"),
    "deletes nothing": (_DeletesNothing, "test_only_the_login_that_is_meant_is_deleted"),
    "compares, then deletes": (
        _ComparesFirst,
        "test_a_newer_token_survives_a_delete_that_comes_at_the_same_moment",
    ),
    "leases to all": (_LeasesToAll, "test_a_lease_keeps_all_others_out"),
    "looks, then leases": (_LooksFirst, "test_of_many_threads_one_gets_the_lease"),
    "a lease that never ends": (_NeverEnds, "test_a_lease_ends_by_itself_after_its_time"),
    "a woken holder": (_AnyoneReleases, "test_a_lease_ends_by_itself_after_its_time"),
    "cannot renew": (_OnlyTimesOut, "test_its_holder_may_take_it_again_for_longer"),
    "renewed for nothing": (_KeepsTheFirstEnd, "test_its_holder_may_take_it_again_for_longer"),
    "cannot release": (_NothingReleases, "test_its_holder_releases_it"),
    "anyone releases": (_AnyoneReleases, "test_nobody_else_releases_it"),
    "saving releases": (_SavingReleases, "test_a_lease_and_a_value_do_not_touch_each_other"),
}


class _Suite(StoreConformance):
    __test__ = False  # said by the subclass itself, so it stays


@pytest.mark.parametrize("name", BAD)
def test_a_store_that_is_wrong_in_one_thing_fails_the_test_of_it(name: str) -> None:
    make, test = BAD[name]
    with pytest.raises(AssertionError):
        getattr(_Suite(), test)(make())


def test_a_store_that_processes_do_not_share_is_found_out() -> None:
    class Alone(_Suite):
        __test__ = False

        def another(self, store: TokenStore) -> TokenStore:
            return ToyStore()

    with pytest.raises(AssertionError, match="another process does not see it"):
        Alone().test_what_is_saved_is_loaded(ToyStore())


def test_a_store_that_raises_in_a_thread_fails_the_test() -> None:
    class Raises(ToyStore):
        def lease(self, key: str, holder: str, seconds: float) -> bool:
            raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        _Suite().test_of_many_threads_one_gets_the_lease(Raises())


def test_every_test_of_the_suite_has_a_store_that_fails_it() -> None:
    tests = {name for name in dir(StoreConformance) if name.startswith("test")}
    assert tests - {test for _, test in BAD.values()} == {"test_what_is_saved_is_loaded"}  # Alone fails that one


def test_pytest_collects_the_subclass_and_not_the_suite(tmp_path: Path) -> None:
    module = tmp_path / "test_mine.py"
    module.write_text(
        "from testpress_auth.testing import StoreConformance\n"
        "class TestMine(StoreConformance): ...\n"
        "class TestLater(StoreConformance):\n"
        "    __test__ = False\n"
    )
    options = ["-q", "--collect-only", "-p", "no:cacheprovider", "-W", "error", str(module)]
    command = [sys.executable, "-m", "pytest", *options]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=50)
    lines = [line for line in found.stdout.splitlines() if "::" in line]
    assert len(lines) == len([name for name in dir(StoreConformance) if name.startswith("test")])
    assert all("TestMine" in line for line in lines)


def test_the_suite_loads_no_pytest() -> None:
    code = "import sys, testpress_auth.testing as t; t.StoreConformance; sys.exit('pytest' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)


def test_the_module_of_test_tools_has_no_other_names() -> None:
    missing: Any = testpress_auth.testing
    with pytest.raises(AttributeError, match="no attribute 'StoreConformence'"):
        _ = missing.StoreConformence
