"""A test suite for token stores: what the protocol promises, tried on yours.

Knows the five methods of `TokenStore` and no store; needs pytest to run, not to import.
"""

# ruff: noqa: S101 (these are tests)

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from ..stores.shared import TokenStore


class StoreConformance:
    """Run the tests of a shared store on your own: subclass it in a test module, and give it a fixture `store`.

    ```python
    from testpress_auth.testing import StoreConformance

    class TestMyStore(StoreConformance):
        @pytest.fixture
        def store(self):
            return MyStore(...)
    ```

    pytest collects the subclass, as its own naming rules have it, and not this class. Every test takes keys of its own,
    so the store need not be empty; what they leave behind ends within two minutes where the store keeps to `seconds`.

    Attributes:
        tells_seconds (bool): whether `load` tells the seconds left of a value saved with an end. Default True.
        lease_can_be_released (bool): False if a lease can only time out. Default True.
        lease_can_be_renewed (bool): False if its holder, too, must wait for the lease's end. Default True.
        wait (float): seconds, the shortest time that the store can measure. Some tests wait for one and a half of it.
            Default 0.2; a store that counts whole seconds needs 2.
    """

    __test__: ClassVar[bool] = False

    tells_seconds: ClassVar[bool] = True
    lease_can_be_released: ClassVar[bool] = True
    lease_can_be_renewed: ClassVar[bool] = True
    wait: ClassVar[float] = 0.2

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__test__" not in cls.__dict__:
            cls.__test__ = True

    def another(self, store: TokenStore) -> TokenStore:
        """Return the store as another process sees it: override this with a second connection, or a second object.

        Each test then saves through one and loads through the other. By default it is `store` itself.
        """
        return store

    # What is saved

    def test_a_key_without_a_value_holds_none(self, store: TokenStore) -> None:
        assert store.load(_key()) is None

    def test_what_is_saved_is_loaded(self, store: TokenStore) -> None:
        key, value = _key(), _value()
        store.save(key, value, 60.0)
        assert _loaded(store, key) == value
        assert _loaded(self.another(store), key) == value, "another process does not see it"

    def test_a_later_value_takes_the_place_of_an_earlier_one(self, store: TokenStore) -> None:
        key, later = _key(), _value()
        store.save(key, _value(token="x" * 8000), 60.0)
        self.another(store).save(key, later, 60.0)
        assert _loaded(store, key) == later

    def test_other_keys_stay_as_they_are(self, store: TokenStore) -> None:
        key, other, value = _key(), _key(), _value()
        store.save(other, value, 60.0)
        store.save(key, _value(login="another"), 60.0)
        store.delete(key, "another")
        assert _loaded(store, other) == value

    def test_every_character_that_json_can_hold_comes_back(self, store: TokenStore) -> None:
        strange = "".join(map(chr, (*range(0x250), 0x2028, 0x2029, 0xFEFF, 0xFFFF, 0x1F511, 0x10FFFF)))
        for ascii_only in (True, False):
            key, value = _key(), json.dumps({"id": "1", "token": strange + "%s {0} ${x}"}, ensure_ascii=ascii_only)
            store.save(key, value, 60.0)
            assert _loaded(self.another(store), key) == value, "the value has changed on its way"

    def test_a_value_of_nearly_16_kib_comes_back(self, store: TokenStore) -> None:
        key, value = _key(), _value(token="x" * 16_000)
        store.save(key, value, 60.0)
        assert _loaded(self.another(store), key) == value

    def test_a_reader_never_sees_half_a_value(self, store: TokenStore) -> None:
        key, values = _key(), [_value(token=letter * size) for letter, size in (("a", 100), ("b", 9_000), ("c", 2_000))]
        seen: set[str] = set()
        written: list[bool] = []
        store.save(key, values[0], 60.0)

        def write() -> None:
            try:
                for number in range(30):
                    store.save(key, values[number % 3], 60.0)
            finally:
                written.append(True)

        def read() -> None:
            reader = self.another(store)
            while not written:
                seen.add(_loaded(reader, key) or "nothing")

        _at_once([write, write, read])
        assert seen <= set(values), "a value was loaded that nobody has saved"

    # How long

    def test_the_seconds_left_are_told(self, store: TokenStore) -> None:
        key = _key()
        store.save(key, _value(), 100.0)
        found = store.load(key)
        assert found is not None, "the value is gone"
        if self.tells_seconds:
            assert found[1] is not None, "load tells no seconds: say tells_seconds = False if it cannot"
            assert 50.0 < found[1] <= 101.0, f"saved for 100 seconds, {found[1]} are said to be left"
        else:
            assert found[1] is None, "load tells the seconds left although tells_seconds is False"

    def test_a_value_whose_end_is_not_known_stays_without_one(self, store: TokenStore) -> None:
        key, value = _key(), _value()
        store.save(key, _value(), 60.0)
        store.save(key, value, None)
        assert self.another(store).load(key) == (value, None)
        store.delete(key, _login(value))

    def test_a_value_whose_time_is_over_is_not_said_to_have_any_left(self, store: TokenStore) -> None:
        key, value = _key(), _value()
        store.save(key, value, self.wait)
        time.sleep(self.wait * 1.5)
        found = store.load(key)
        assert found is None or found[0] == value
        assert found is None or found[1] is None or found[1] <= 0, f"it has been over, {found[1]} seconds are told"

    # Deleting

    def test_only_the_login_that_is_meant_is_deleted(self, store: TokenStore) -> None:
        key, value = _key(), _value()
        store.save(key, value, 60.0)
        store.delete(key, "an older one")
        assert _loaded(store, key) == value, "delete removed another login's token"
        self.another(store).delete(key, _login(value))
        assert store.load(key) is None, "delete left the value there"
        store.delete(key, _login(value))  # nothing there is no error
        store.save(key, value, 60.0)
        assert _loaded(store, key) == value

    def test_a_newer_token_survives_a_delete_that_comes_at_the_same_moment(self, store: TokenStore) -> None:
        other = self.another(store)
        for _ in range(10):
            key, old, new = _key(), _value(), _value()
            store.save(key, old, 60.0)
            _at_once([partial(store.save, key, new, 60.0), partial(other.delete, key, _login(old))])
            assert _loaded(store, key) == new, "delete compared the id, and removed what came after"

    # The lease

    def test_a_lease_keeps_all_others_out(self, store: TokenStore) -> None:
        key, other = _key(), self.another(store)
        assert store.lease(key, "one", 60.0) is True, "nobody has the lease"
        assert other.lease(key, "two", 60.0) is False, "two hold it"
        assert store.lease(key, "two", 60.0) is False, "two hold it"
        assert other.lease(_key(), "two", 60.0) is True, "a lease on another key is another lease"
        assert store.load(key) is None, "a lease is no value"

    def test_a_lease_and_a_value_do_not_touch_each_other(self, store: TokenStore) -> None:
        key, value = _key(), _value()
        assert store.lease(key, "one", 60.0) is True
        store.save(key, value, 60.0)
        assert store.lease(key, "two", 60.0) is False, "saving ended the lease"
        store.release(key, "one")
        assert _loaded(store, key) == value, "releasing removed the value"
        store.lease(key, "one", 60.0)
        store.delete(key, _login(value))
        assert store.lease(key, "two", 60.0) is False, "deleting ended the lease"

    def test_a_lease_ends_by_itself_after_its_time(self, store: TokenStore) -> None:
        key = _key()
        assert store.lease(key, "one", self.wait) is True
        time.sleep(self.wait * 1.5)
        assert self.another(store).lease(key, "two", 60.0) is True, "a holder that is gone keeps the lease"
        store.release(key, "one")  # it wakes up, and does not know
        assert store.lease(key, "three", 60.0) is False, "a holder whose time was over ended another's lease"

    def test_its_holder_may_take_it_again_for_longer(self, store: TokenStore) -> None:
        key = _key()
        assert store.lease(key, "one", self.wait) is True
        if self.lease_can_be_renewed:
            assert store.lease(key, "one", 60.0) is True, "say lease_can_be_renewed = False if it cannot"
            time.sleep(self.wait * 1.5)
            assert self.another(store).lease(key, "two", 60.0) is False, "it still ended at its first time"
        else:
            time.sleep(self.wait * 1.5)
            assert store.lease(key, "one", 60.0) is True, "its holder, too, gets it when its time is over"

    def test_its_holder_releases_it(self, store: TokenStore) -> None:
        key = _key()
        assert store.lease(key, "one", 60.0) is True
        store.release(key, "one")
        expected = self.lease_can_be_released
        assert self.another(store).lease(key, "two", 60.0) is expected, f"lease_can_be_released is {expected}"

    def test_nobody_else_releases_it(self, store: TokenStore) -> None:
        key, other = _key(), self.another(store)
        store.release(key, "two")  # nothing there is no error
        assert store.lease(key, "one", 60.0) is True
        other.release(key, "two")
        store.release(key, "two")
        assert other.lease(key, "two", 60.0) is False, "the lease was ended by one that never had it"

    def test_of_many_threads_one_gets_the_lease(self, store: TokenStore) -> None:
        stores = [store, self.another(store)]
        for _ in range(3):
            key, got = _key(), Counter[bool]()

            def take(number: int, key: str = key, got: Counter[bool] = got) -> None:
                got[stores[number % 2].lease(key, f"holder {number}", 60.0)] += 1

            _at_once([partial(take, number) for number in range(16)])
            assert got[True] == 1, f"{got[True]} threads of 16 hold one lease"


def _key() -> str:
    return secrets.token_hex(16)


def _value(login: str | None = None, token: str = "a.b.c") -> str:
    return json.dumps({"v": 1, "id": login or secrets.token_hex(16), "token": token})


def _login(value: str) -> str:
    return str(json.loads(value)["id"])


def _loaded(store: TokenStore, key: str) -> str | None:
    found = store.load(key)
    return None if found is None else found[0]


def _at_once(tasks: list[Callable[[], None]]) -> None:
    """Run each task in a thread, all at once, and raise the first error of any."""
    gate = threading.Barrier(len(tasks))
    errors: list[BaseException] = []

    def run(task: Callable[[], None]) -> None:
        try:
            gate.wait()
            task()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
