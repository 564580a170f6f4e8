"""Tokens in a directory: who may have a hand in it, what is left when a process dies, and when a lease ends."""

# ruff: noqa: S603 (what is run as a subprocess is Python itself)

from __future__ import annotations

import copy
import errno
import fcntl
import json
import os
import pickle
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import filelock
import pytest

from testpress_auth.errors import ConfigurationError
from testpress_auth.stores import file as store_module
from testpress_auth.stores.file import FileStore
from testpress_auth.stores.folder import PrivateFolder

KEY = "ab" * 16
VALUE = json.dumps({"id": "first", "token": "a.b.c"})
LATER = json.dumps({"id": "second", "token": "d.e.f"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


@pytest.fixture
def store(folder: Path) -> FileStore:
    return FileStore(folder)


class LaterStore(FileStore):
    """The same store on a machine whose clock shows more, or less."""

    by = 0.0

    def _now(self) -> float:
        return time.time() + self.by


def later(folder: Path, seconds: float) -> LaterStore:
    store = LaterStore(folder)
    store.by = seconds
    return store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def use(store: FileStore) -> None:
    """Each method once, so that every kind of file is there, a lease included."""
    store.save(KEY, VALUE, 60.0)
    store.lease(KEY, "a", 60.0)
    store.delete(KEY, "another")
    store.load(KEY)


# Where, and for whom


def test_without_a_path_tokens_are_in_the_users_cache_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import platformdirs

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store = FileStore()
    assert store.path == platformdirs.user_cache_dir("testpress-auth", appauthor=False)
    assert repr(store) == f"FileStore({store.path!r})"


def test_a_path_means_the_same_place_after_a_change_of_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert FileStore("tokens").path == str(tmp_path / "tokens")
    assert FileStore("~/tokens").path == str(tmp_path / "home" / "tokens")


def test_making_a_store_and_reading_it_leaves_nothing_on_the_disk(folder: Path, store: FileStore) -> None:
    assert store.load(KEY) is None
    assert not folder.exists()


@pytest.fixture
def wide_open() -> Iterator[None]:
    """A umask that takes nothing away: files have just the modes that they are made with."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("wide_open")
def test_nobody_else_can_read_or_write_from_the_first_byte_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made: dict[str, int] = {}
    real = os.open

    def watched(path: Any, flags: int, *more: Any, **options: Any) -> int:
        number = real(path, flags, *more, **options)
        if flags & os.O_CREAT:
            made.setdefault(Path(path).suffix, stat.S_IMODE(os.fstat(number).st_mode))
        return number

    monkeypatch.setattr(os, "open", watched)
    use(FileStore(tmp_path / "new" / "tokens"))
    assert made == {".lock": 0o600, ".tmp": 0o600, ".alive": 0o600}
    assert [mode(tmp_path / "new"), mode(tmp_path / "new" / "tokens")] == [0o700, 0o700]
    assert {path.suffix: mode(path) for path in (tmp_path / "new" / "tokens").iterdir()} == {
        ".json": 0o600,
        ".lock": 0o600,
        ".lease": 0o600,
        ".alive": 0o600,
    }


METHODS: dict[str, Callable[[FileStore], object]] = {
    "load": lambda store: store.load(KEY),
    "save": lambda store: store.save(KEY, LATER, 60.0),
    "delete": lambda store: store.delete(KEY, "first"),
    "lease": lambda store: store.lease(KEY, "b", 60.0),
    "release": lambda store: store.release(KEY, "a"),
}


def _open_to_group(path: Path) -> None:
    path.chmod(0o770)


def _open_to_others(path: Path) -> None:
    path.chmod(0o702)


def _a_link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def _a_file(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.touch()


BAD_FOLDERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "others of the group can write": (_open_to_group, "others can write to .*: chmod 700 /"),
    "others can write": (_open_to_others, "others can write to .*: chmod 700 /"),
    "a symbolic link": (_a_link, "is a symbolic link: pass the directory itself"),
    "a file": (_a_file, "is not a directory: pass the path of one"),
}


@pytest.mark.parametrize("method", ["the constructor", *METHODS])
@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_a_directory_that_others_could_have_a_hand_in_is_refused(
    name: str, method: str, folder: Path, store: FileStore
) -> None:
    use(store)
    spoil, message = BAD_FOLDERS[name]
    spoil(folder)
    with pytest.raises(ConfigurationError, match=message) as caught:
        FileStore(folder) if method == "the constructor" else METHODS[method](store)
    assert caught.value.setting == "store"


def test_another_users_directory_is_refused(monkeypatch: pytest.MonkeyPatch, folder: Path, store: FileStore) -> None:
    use(store)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigurationError, match="belongs to another user: use a path of your own"):
        FileStore(folder)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        store.load(KEY)


def test_another_users_file_is_refused_in_a_directory_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, folder: Path, store: FileStore
) -> None:
    use(store)
    real = os.fstat

    def of_another(number: int) -> os.stat_result:
        values = list(real(number))
        values[stat.ST_UID] += 1
        return os.stat_result(values)

    monkeypatch.setattr(os, "fstat", of_another)
    with pytest.raises(ConfigurationError, match=r"ab\.json belongs to another user"):
        store.load(KEY)


def _link_to_secret(path: Path) -> None:
    secret = path.parent.parent / "secret"
    secret.write_text(VALUE)
    secret.chmod(0o600)
    path.symlink_to(secret)


def _writable_file(path: Path) -> None:
    path.write_text(VALUE)
    path.chmod(0o666)


BAD_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "others can write": (_writable_file, "others can write to .*: chmod 600 /"),
    "a symbolic link": (_link_to_secret, "is a symbolic link: remove it"),
    "a named pipe": (lambda path: os.mkfifo(path, 0o600), "is not a file: remove it"),
    "a directory": (lambda path: path.mkdir(0o700), "is not a file: remove it"),
}


@pytest.mark.parametrize(("suffix", "method"), [(".json", "load"), (".json", "delete"), (".lease", "lease")])
@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_others_could_have_a_hand_in_is_refused(
    name: str, suffix: str, method: str, folder: Path, store: FileStore
) -> None:
    folder.mkdir(0o700)
    spoil, message = BAD_FILES[name]
    spoil(folder / f"{KEY}{suffix}")
    with pytest.raises(ConfigurationError, match=message):
        METHODS[method](store)
    assert (folder / f"{KEY}{suffix}").exists()


@pytest.mark.parametrize("name", ["others can write", "a symbolic link", "a named pipe"])
def test_saving_puts_a_file_of_our_own_in_the_place_of_such_a_file(name: str, folder: Path, store: FileStore) -> None:
    folder.mkdir(0o700)
    BAD_FILES[name][0](folder / f"{KEY}.json")
    store.save(KEY, LATER, 60.0)
    assert store.load(KEY) == (LATER, None)
    secret = folder.parent / "secret"
    assert not secret.exists() or secret.read_text() == VALUE, "the link was followed"


def test_a_link_that_was_planted_after_the_look_is_not_followed(
    monkeypatch: pytest.MonkeyPatch, folder: Path, store: FileStore
) -> None:
    folder.mkdir(0o700)
    _link_to_secret(folder / f"{KEY}.json")
    monkeypatch.setattr(os.path, "islink", lambda path: False)
    with pytest.raises(OSError):
        store.load(KEY)


@pytest.mark.parametrize("method", ["save", "delete", "lease", "release"])
def test_a_link_in_the_place_of_the_lock_is_not_followed(method: str, folder: Path, store: FileStore) -> None:
    folder.mkdir(0o700)
    secret = folder.parent / "secret"
    secret.write_text("kept")
    (folder / "ab.lock").symlink_to(secret)
    with pytest.raises(OSError):
        METHODS[method](store)
    assert secret.read_text() == "kept"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("key", ["../secret", "", "a/b", ".", "ab\0"])
def test_no_key_leads_out_of_the_directory(
    key: str, method: str, store: FileStore, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(f"{__name__}.KEY", key)
    with pytest.raises(ValueError, match="hexadecimal"):
        METHODS[method](store)
    assert not folder.exists()


def test_a_directory_that_somebody_made_at_the_same_moment_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, folder: Path, store: FileStore
) -> None:
    real = os.mkdir

    def too_late(path: str, mode: int) -> None:
        real(path)
        Path(path).chmod(0o777)
        real(path, mode)

    monkeypatch.setattr(os, "mkdir", too_late)
    with pytest.raises(ConfigurationError, match="others can write"):
        store.save(KEY, VALUE, 60.0)
    assert list(folder.iterdir()) == []


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(
    monkeypatch: pytest.MonkeyPatch, folder: Path, store: FileStore
) -> None:
    monkeypatch.setattr(os, "urandom", bytes)
    folder.mkdir(0o700)
    secret = folder.parent / "secret"
    secret.write_text("kept")
    (folder / f"{KEY}.json.0000000000000000.tmp").symlink_to(secret)
    with pytest.raises(FileExistsError):
        store.save(KEY, VALUE, 60.0)
    assert secret.read_text() == "kept"


def test_no_file_stays_open(folder: Path, store: FileStore) -> None:
    def lowest_free() -> int:
        number = os.open(os.devnull, os.O_RDONLY)
        os.close(number)
        return number

    use(store)
    (folder / f"{'cd' * 16}.json").mkdir()
    before = lowest_free()
    for _ in range(3):
        use(store)
        with pytest.raises(ConfigurationError):
            store.load("cd" * 16)
    assert lowest_free() == before


# What is in the files


@pytest.mark.parametrize(
    "content",
    [
        b"",
        VALUE.encode()[:20],
        b"[1]",
        b'"text"',
        b"\xff\xfe",
        VALUE.encode("utf-16"),
        b"\xef\xbb\xbf" + VALUE.encode(),
        b'{"id": "\xed\xa0\x80"}',
        b"[" * 60_000,
        b'{"id": "' + b"x" * 70_000 + b'"}',
    ],
    ids=["empty", "half", "a list", "a text", "no text", "utf-16", "bom", "a surrogate", "deep", "too long"],
)
def test_a_broken_file_counts_as_empty_and_the_next_token_takes_its_place(
    content: bytes, folder: Path, store: FileStore
) -> None:
    store.save(KEY, VALUE, 60.0)
    (folder / f"{KEY}.json").write_bytes(content)
    assert store.load(KEY) is None
    store.delete(KEY, "first")
    store.save(KEY, LATER, 60.0)
    assert store.load(KEY) == (LATER, None)


@pytest.mark.parametrize(
    "record",
    [
        "",
        "[]",
        "{}",
        '{"alive": "../secret.alive", "until": 1e12, "seconds": 1e12}',
        '{"alive": "ab.lock", "until": 9e9, "seconds": 9e9}',
        '{"alive": null, "until": null, "seconds": null}',
        '{"alive": "x.alive", "until": NaN, "seconds": 60}',
        '{"alive": "x.alive", "until": "soon", "seconds": 60}',
        '{"alive": "x.alive", "until": Infinity, "seconds": Infinity}',
        '{"alive": "x.alive", "until": 1' + "0" * 400 + ', "seconds": 60}',
        '{"alive": "gone.alive", "until": 4e9, "seconds": 9e9}',
    ],
)
def test_a_broken_lease_is_none_and_leads_nowhere(record: str, folder: Path, store: FileStore) -> None:
    use(store)
    store.release(KEY, "a")
    secret = folder.parent / "secret.alive"
    secret.touch()
    (folder / f"{KEY}.lease").write_text(record)
    assert store.lease(KEY, "b", 60.0)
    assert not store.lease(KEY, "c", 60.0)
    assert secret.exists()
    assert (folder / "ab.lock").exists()


def test_a_key_has_one_file_and_a_lease_two_while_it_is_held(folder: Path, store: FileStore) -> None:
    for _ in range(3):
        store.save(KEY, VALUE, 60.0)
        assert store.lease(KEY, "a", 60.0)
    assert sorted(path.suffix for path in folder.iterdir()) == [".alive", ".json", ".lease", ".lock"]
    store.release(KEY, "a")
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".lock"]


def test_a_directory_that_was_cleared_away_comes_back(folder: Path, store: FileStore) -> None:
    use(store)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert store.load(KEY) is None
    assert store.lease(KEY, "b", 60.0)
    store.release(KEY, "a")
    assert not store.lease(KEY, "c", 60.0)
    store.save(KEY, VALUE, 60.0)
    assert store.load(KEY) == (VALUE, None)


def test_a_disk_that_is_full_costs_neither_the_old_token_nor_a_leftover(
    monkeypatch: pytest.MonkeyPatch, folder: Path, store: FileStore
) -> None:
    store.save(KEY, VALUE, 60.0)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            store.save(KEY, LATER, 60.0)
    assert store.load(KEY) == (VALUE, None)
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".lock"]


def test_what_killed_processes_left_is_swept_once_it_is_an_hour_old(folder: Path, store: FileStore) -> None:
    use(store)
    now = time.time()
    for name, age in {
        "old.tmp": 3700,
        "old.alive": 3700,
        "young.tmp": 3500,
        "young.alive": 3500,
        "mine.txt": 9e5,
    }.items():
        (folder / name).touch()
        os.utime(folder / name, (now - age, now - age))
    store.save(KEY, VALUE, 60.0)
    left = {path.name for path in folder.iterdir()}
    assert left >= {"young.tmp", "young.alive", "mine.txt"}
    assert not left & {"old.tmp", "old.alive"}
    assert not store.lease(KEY, "b", 60.0), "the file that shows that a holder lives was swept"


def test_what_shows_that_a_holder_lives_is_swept_an_hour_after_its_lease_not_before(
    folder: Path, store: FileStore
) -> None:
    assert store.lease(KEY, "a", 60.0)
    assert store.lease(KEY, "a", 10_000.0)
    alive = next(folder.glob("*.alive"))
    PrivateFolder(str(folder)).sweep(age=-9_000.0)
    assert alive.exists()
    PrivateFolder(str(folder)).sweep(age=-11_000.0)
    assert not alive.exists()


# When a lease ends


def test_a_lease_ends_with_its_time_and_the_late_holder_harms_nobody(folder: Path, store: FileStore) -> None:
    assert store.lease(KEY, "a", 60.0)
    assert not later(folder, 59.0).lease(KEY, "b", 60.0)
    after = later(folder, 61.0)
    assert after.lease(KEY, "b", 60.0)
    assert not after.lease(KEY, "a", 60.0), "it had the lease once, and has it no more"
    store.release(KEY, "a")
    assert not after.lease(KEY, "c", 60.0)


def test_a_lease_that_was_renewed_ends_with_its_new_time(folder: Path, store: FileStore) -> None:
    assert store.lease(KEY, "a", 60.0)
    assert later(folder, 50.0).lease(KEY, "a", 60.0)
    assert not later(folder, 100.0).lease(KEY, "b", 60.0)
    assert later(folder, 111.0).lease(KEY, "b", 60.0)


def test_a_holder_whose_time_was_over_may_take_the_lease_anew(folder: Path, store: FileStore) -> None:
    assert store.lease(KEY, "a", 60.0)
    assert later(folder, 61.0).lease(KEY, "a", 60.0)
    assert not later(folder, 120.0).lease(KEY, "b", 60.0)
    assert len(list(folder.glob("*.alive"))) == 1


def test_a_clock_that_was_set_back_does_not_make_a_lease_longer(folder: Path) -> None:
    assert later(folder, 3600.0).lease(KEY, "a", 60.0)
    assert FileStore(folder).lease(KEY, "b", 60.0)


def test_a_lease_holds_on_a_clock_that_stands_still(monkeypatch: pytest.MonkeyPatch, store: FileStore) -> None:
    """`(now + 0.1) - now` is more than 0.1 for a time of today: rounding must not look like a clock set back."""
    monkeypatch.setattr(FileStore, "_now", staticmethod(lambda: 1_800_000_000.3))
    for tenths in range(1, 50):
        assert store.lease(KEY, "a", tenths / 10)
        assert not store.lease(KEY, "b", tenths / 10)


def test_who_cannot_get_at_the_files_says_so_and_reads_on(monkeypatch: pytest.MonkeyPatch, store: FileStore) -> None:
    """A process that was stopped within its few system calls: the others do not wait for it for long."""
    use(store)
    monkeypatch.setattr(store_module, "_MUTEX_SECONDS", 0.01)
    with filelock.FileLock(os.path.join(store.path, "ab.lock")):
        for method in ("save", "delete", "lease", "release"):
            with pytest.raises(TimeoutError):
                METHODS[method](store)
        assert store.load(KEY) == (VALUE, None)


def test_a_lease_taken_in_one_thread_is_released_in_another(folder: Path, store: FileStore) -> None:
    """Async pages call a store in worker threads."""
    thread = threading.Thread(target=store.lease, args=(KEY, "a", 60.0))
    thread.start()
    thread.join()
    assert not store.lease(KEY, "b", 60.0), "it ended with its thread"
    assert store.lease(KEY, "a", 60.0)
    store.release(KEY, "a")
    assert store.lease(KEY, "b", 60.0)
    assert len(list(folder.glob("*.alive"))) == 1


def test_where_the_file_system_knows_no_locks_the_store_says_so(
    monkeypatch: pytest.MonkeyPatch, store: FileStore
) -> None:
    """filelock would take a lock that outlives its holder, or dies with another's pid."""

    def none(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSYS)):
        store.lease(KEY, "a", 60.0)


HOLDER = f"""
import sys
from testpress_auth.stores.file import FileStore
store = FileStore(sys.argv[1])
print(store.lease({KEY!r}, "holder", 60.0), flush=True)
sys.stdin.readline()
store.release({KEY!r}, "holder")
print("released", flush=True)
sys.stdin.readline()
"""


class Other:
    """Another process that runs a script, told to go on by lines."""

    def __init__(self, script: str, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdin
        assert self.process.stdout
        self.stdin: IO[str] = self.process.stdin
        self.stdout: IO[str] = self.process.stdout

    def says(self) -> str:
        return self.stdout.readline().strip()

    def go_on(self) -> None:
        print(file=self.stdin, flush=True)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Other:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.stdin.close()
        self.stdout.close()


def test_a_lease_ends_with_the_process_that_was_killed(folder: Path, store: FileStore) -> None:
    with Other(HOLDER, folder) as other:
        assert other.says() == "True"
        assert not store.lease(KEY, "b", 60.0)
        other.kill()
        assert store.lease(KEY, "b", 60.0)
    assert len(list(folder.glob("*.alive"))) == 1, "what showed that the dead one lived is still there"


def test_a_stopped_process_loses_the_lease_after_its_time_and_wakes_up_harmless(folder: Path, store: FileStore) -> None:
    with Other(HOLDER, folder) as other:
        assert other.says() == "True"
        other.process.send_signal(signal.SIGSTOP)
        assert not store.lease(KEY, "b", 60.0)
        after = later(folder, 61.0)
        assert after.lease(KEY, "b", 60.0)
        other.process.send_signal(signal.SIGCONT)
        other.go_on()
        assert other.says() == "released"
        assert not after.lease(KEY, "c", 60.0)
    after.release(KEY, "b")
    assert sorted(path.suffix for path in folder.iterdir()) == [".lock"]


FORKED = f"""
import os, sys
from testpress_auth.stores.file import FileStore
store = FileStore(sys.argv[1])
print(store.lease({KEY!r}, "holder", 60.0), flush=True)
if os.fork() == 0:
    print(store.lease({KEY!r}, "holder", 60.0), flush=True)
    store.release({KEY!r}, "holder")
    print(store.lease({KEY!r}, "holder", 60.0), store.lease({KEY!r}, "child", 60.0), flush=True)
    sys.stdin.readline()
    print(store.lease({KEY!r}, "holder", 60.0), store.lease({KEY!r}, "child", 60.0), flush=True)
    sys.stdin.readline()  # until the test closes it
    os._exit(0)
os.wait()
"""


def test_a_child_neither_has_nor_ends_nor_outlives_its_parents_lease(folder: Path, store: FileStore) -> None:
    with Other(FORKED, folder) as other:
        assert other.says() == "True"
        assert other.says() == "False", "the child has the lease of its parent"
        assert other.says() == "False False", "the child ended the lease of its parent"
        assert not store.lease(KEY, "b", 60.0), "the child ended the lease of its parent"
        other.kill()
        assert store.lease(KEY, "b", 60.0), "the child keeps the lease of its dead parent"
        other.go_on()
        assert other.says() == "False False"


def test_a_child_may_take_the_lease_that_its_dead_parent_had(folder: Path) -> None:
    with Other(FORKED, folder) as other:
        assert other.says() == "True"
        assert other.says() == "False"
        assert other.says() == "False False"
        other.kill()
        other.go_on()
        assert other.says() == "True False"


# Killed in the middle of each step


DEADLY = f"""
import os, signal, sys
from testpress_auth.stores.file import FileStore
store = FileStore(sys.argv[1])
method, step, number = sys.argv[2:]
store.lease({KEY!r}, "holder", 60.0)
calls = 0

def deadly(name, real):
    def call(*arguments, **options):
        global calls
        calls += name == step
        if calls == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call

for name in ("open", "fdopen", "replace", "unlink", "utime"):
    setattr(os, name, deadly(name, getattr(os, name)))
if method == "lease":
    store.release({KEY!r}, "holder")
    calls = 0
{{
    "save": lambda: store.save({KEY!r}, {LATER!r}, 60.0),
    "delete": lambda: store.delete({KEY!r}, "first"),
    "lease": lambda: store.lease({KEY!r}, "holder", 60.0),
    "renew": lambda: store.lease({KEY!r}, "holder", 90.0),
    "release": lambda: store.release({KEY!r}, "holder"),
}}[method]()
"""
STEPS = [
    *[("save", step, 1) for step in ("fdopen", "replace")],
    ("delete", "unlink", 1),
    *[("lease", "open", number) for number in (1, 2, 3)],
    *[("lease", step, 1) for step in ("utime", "fdopen", "replace")],
    *[("renew", step, 1) for step in ("utime", "fdopen", "replace")],
    *[("release", "unlink", number) for number in (1, 2)],
]


@pytest.mark.parametrize(("method", "step", "number"), STEPS)
def test_whoever_is_killed_at_any_point_leaves_a_store_that_works(
    method: str, step: str, number: int, folder: Path, store: FileStore
) -> None:
    store.save(KEY, VALUE, 60.0)
    command = [sys.executable, "-c", DEADLY, str(folder), method, step, str(number)]
    done = subprocess.run(command, check=False, timeout=50)
    assert done.returncode == -signal.SIGKILL, "it never came to this point"
    assert store.load(KEY) == (VALUE, None)
    assert store.lease(KEY, "b", 60.0)
    assert not store.lease(KEY, "c", 60.0)
    store.release(KEY, "b")
    for path in folder.iterdir():
        os.utime(path, (1.0, 1.0))
    store.save(KEY, LATER, 60.0)
    assert store.load(KEY) == (LATER, None)
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".lock"]


@pytest.mark.slow
def test_forty_processes_killed_and_stopped_at_random_never_hold_one_lease_together() -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.stress.files", "--seconds", "10"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, check=True, timeout=50)
    counted = json.loads(done.stdout)
    assert counted["killed"] > 40
    assert counted["leases"] > 40
    assert counted["reads"] > 40
    wrong = {name: counted.get(name, 0) for name in ("torn", "overlaps", "failed by themselves", "left over")}
    assert not any(wrong.values()), wrong
    assert counted["files before sweeping"] < 4 + counted["killed"]


def test_a_newer_token_is_not_deleted_by_a_process_that_read_the_older_one(
    monkeypatch: pytest.MonkeyPatch, store: FileStore
) -> None:
    """`delete` has read the old token and is about to remove it: the new one waits until it has."""
    store.save(KEY, VALUE, 60.0)
    saver = threading.Thread(target=store.save, args=(KEY, LATER, 60.0))
    real = PrivateFolder.remove

    def remove(folder: PrivateFolder, name: str) -> None:
        saver.start()
        saver.join(0.05)  # it would have come in between by now
        real(folder, name)

    with monkeypatch.context() as patch:
        patch.setattr(PrivateFolder, "remove", remove)
        store.delete(KEY, "first")
    saver.join()
    assert store.load(KEY) == (LATER, None)


# As a Python object


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, lambda store: pickle.loads(pickle.dumps(store))])  # noqa: S301
def test_a_copy_is_the_same_store(make: Callable[[FileStore], FileStore], store: FileStore) -> None:
    use(store)
    twin = make(store)
    assert twin.path == store.path
    assert twin.load(KEY) == (VALUE, None)
    assert not twin.lease(KEY, "b", 60.0)
    twin.release(KEY, "a")
    assert store.lease(KEY, "b", 60.0)


def test_no_token_and_no_lease_is_in_the_pickle(store: FileStore) -> None:
    use(store)
    assert b"a.b.c" not in pickle.dumps(store)
    assert b"alive" not in pickle.dumps(store)


def test_reading_and_making_a_store_loads_no_locks() -> None:
    code = f"""
import sys
from testpress_auth.stores.file import FileStore
FileStore(sys.argv[1]).load({KEY!r})
sys.exit(str([name for name in ("filelock", "platformdirs", "jwt", "asyncio", "logging") if name in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "nowhere"], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.stderr.strip() == "[]"


def test_without_filelock_the_constructor_says_what_to_install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(ImportError, match=r"FileStore needs filelock: pip install 'testpress-auth\[file\]'"):
        FileStore(folder)


def test_without_platformdirs_a_path_is_needed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    FileStore(folder)
    with pytest.raises(ImportError, match=r"FileStore needs platformdirs: pip install 'testpress-auth\[file\]'"):
        FileStore()
