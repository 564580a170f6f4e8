"""Forty processes on one FileStore, killed and stopped at random: `python -m tests.stress.files --seconds 30`.

Each takes the lease, saves a value, and lets go. They log when; what they log must never show two holders at once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

from testpress_auth.stores.file import FileStore

KEY = "ab" * 16
LEASE = 0.3  # seconds
_SIZES = (100, 9_000, 2_000)


def work(folder: Path) -> None:
    """Take the lease again and again, and write down from when until when it was held for sure."""
    store, dice, me = FileStore(folder / "tokens"), random.Random(os.getpid()), os.getpid()  # noqa: S311
    log = os.open(folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(what: str, *times: float) -> None:
        os.write(log, f"{json.dumps([me, what, *times])}\n".encode())

    while True:
        before = time.time()
        try:
            if not store.lease(KEY, str(me), LEASE):
                time.sleep(dice.uniform(0, 0.02))
                continue
            note("took", time.time(), before + LEASE)
            store.save(KEY, json.dumps({"id": str(me), "token": "x" * dice.choice(_SIZES)}), 60.0)
            time.sleep(dice.uniform(0, 0.01))
            if dice.random() < 0.3:
                store.delete(KEY, str(me))
            note("left", time.time())
            store.release(KEY, str(me))
        except TimeoutError:  # one that holds the mutex is stopped just now
            note("waited in vain")


class Herd:
    """Forty workers, and what happens to them."""

    def __init__(self, folder: Path, seed: int, number: int = 40) -> None:
        self.folder = folder
        self.dice = random.Random(seed)  # noqa: S311
        self.counted: Counter[str] = Counter()
        self.killed: dict[int, float] = {}
        self.stopped: dict[int, float] = {}
        self.running = [self._start() for _ in range(number)]

    def _start(self) -> int:
        if pid := os.fork():
            return pid
        try:
            work(self.folder)
        finally:
            os._exit(1)  # `work` never returns: whoever gets here has failed

    def play(self, seconds: float) -> None:
        """Kill one, stop one, let one go on, and read what is saved, until the time is over; then kill all."""
        store, end = FileStore(self.folder / "tokens"), time.time() + seconds
        while time.time() < end:
            index = self.dice.randrange(len(self.running))
            if self.dice.random() < 0.5:
                self._kill(index)
                self.running[index] = self._start()
            elif (pid := self.running[index]) not in self.stopped:
                os.kill(pid, signal.SIGSTOP)
                self.stopped[pid] = time.time() + self.dice.uniform(0, 3 * LEASE)
            for pid in [pid for pid, until in self.stopped.items() if until < time.time()]:
                del self.stopped[pid]
                os.kill(pid, signal.SIGCONT)
            self._read(store)
            time.sleep(self.dice.uniform(0, 0.05))
        self.end()

    def _kill(self, index: int) -> None:
        pid = self.running[index]
        self.stopped.pop(pid, None)
        self.killed[pid] = time.time()
        os.kill(pid, signal.SIGKILL)
        how = os.waitpid(pid, 0)[1]
        self.counted["killed" if os.WIFSIGNALED(how) else "failed by themselves"] += 1

    def end(self) -> None:
        while self.running:
            self._kill(-1)
            del self.running[-1]

    def _read(self, store: FileStore) -> None:
        found = store.load(KEY)
        whole = found is None or len(json.loads(found[0])["token"]) in _SIZES
        self.counted["reads" if whole else "torn"] += 1

    def holders(self) -> list[tuple[float, float, int]]:
        """When the lease was held for sure: from its taking until its release, its end or its holder's death."""
        held: list[tuple[float, float, int]] = []
        latest: dict[int, int] = {}
        for line in (self.folder / "log").read_text().splitlines():
            pid, what, *times = json.loads(line)
            if what == "took":
                latest[pid] = len(held)
                held.append((times[0], min(times[1], self.killed[pid]), pid))
            elif what == "left":
                start, until, _ = held[latest[pid]]
                held[latest[pid]] = start, min(until, times[0]), pid
            else:
                self.counted[what] += 1
        return sorted(span for span in held if span[0] < span[1])

    def report(self) -> dict[str, int]:
        """What happened, counted; what must not happen is `torn`, `overlaps`, `failed by themselves`, `left over`."""
        held = self.holders()
        overlaps = sum(later[0] < earlier[1] for earlier, later in pairwise(held))
        tokens = self.folder / "tokens"
        self.counted["leases"] = len(held)
        self.counted["overlaps"] = overlaps
        self.counted["files before sweeping"] = len(os.listdir(tokens))
        for path in tokens.iterdir():
            os.utime(path, (1.0, 1.0))
        FileStore(tokens).save(KEY, '{"id": "", "token": ""}', 60.0)
        kept = {f"{KEY}.json", f"{KEY}.lease", f"{KEY[:2]}.lock"}
        self.counted["left over"] = len(set(os.listdir(tokens)) - kept)
        return dict(self.counted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        herd = Herd(Path(folder), given.seed)
        try:
            herd.play(given.seconds)
        finally:
            herd.end()
        print(json.dumps(herd.report()))


if __name__ == "__main__":
    main()
