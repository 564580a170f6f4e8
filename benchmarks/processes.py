"""E: processes that start cold, each with an auth object of its own: how many logins does a fleet make?

With a `FileStore` to share, and without; `--redis-url` adds a `RedisStore`, under a prefix of its own each time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

import testpress_auth
from testpress_auth.requests import TestpressJWTAuth

from .result import HERE, OURS, Measure, Row, main, median
from .server import LOGIN_TAKES, ServerProcess


def run(given: argparse.Namespace) -> Iterator[Row]:
    stores = given.store or ["none", "file", *(["redis"] if given.redis_url else [])]
    times = 1 if given.quick else 3
    with ServerProcess() as server, tempfile.TemporaryDirectory() as folder:
        for number in (2, 8, 32):
            ideal = median(_fleet(server, number, ["--constant"])[1] for _ in range(times)) + LOGIN_TAKES
            for store in stores:
                found = []
                for turn in range(times):
                    where = given.redis_url if store == "redis" else folder
                    own = f"benchmark-{os.getpid()}-{number}-{turn}"
                    found.append(_fleet(server, number, [f"--store={store}", f"--where={where}", f"--own={own}"]))
                logins, failed = (max(each[i] for each in found) for i in (0, 2))
                figures: dict[str, float | int | str] = {
                    **{"logins": logins, "seconds": median(each[1] for each in found)},
                    **{"over_ideal": median(each[1] for each in found) / ideal, "failed": failed},
                }
                yield Row(f"{number} processes", OURS if store == "none" else f"{OURS}, {store} store", figures)


def _fleet(server: ServerProcess, number: int, arguments: list[str]) -> tuple[int, float, int]:
    """Start so many processes, have all call at once; return logins, seconds to the last answer, and failures."""
    command = [sys.executable, "-m", "benchmarks.processes", "--be-one", server.url, *arguments]
    fleet = [
        subprocess.Popen(command, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
        for _ in range(number)
    ]
    for each in fleet:
        assert each.stdout is not None  # noqa: S101 (for the type checker)
        if each.stdout.readline() != "ready\n":  # it has imported everything and made its object
            raise SystemExit("processes: one of the fleet could not start; its error is above")
    server.forget()
    started = time.monotonic()
    for each in fleet:
        assert each.stdin is not None  # noqa: S101
        each.stdin.write("go\n")
        each.stdin.flush()
    ends = [each.communicate()[0].split() for each in fleet]
    last = max(float(end) for end, _ in ends) - started
    return server.seen().logins, last, sum(status != "200" for _, status in ends)


def be_one(given: argparse.Namespace) -> None:
    """Be one process of the fleet: ready, wait for the word, one call; print when it was answered, and how."""
    session = requests.Session()
    session.trust_env = False
    if given.constant:
        token = requests.post(f"{given.be_one}/token/3600", timeout=60).json()["access_token"]
        session.headers["Authorization"] = f"JWT {token}"
    else:
        store = _store(given.store[0], given.where, given.own)
        session.auth = TestpressJWTAuth("testpress", "demo", base_url=given.be_one, store=store)
    print("ready", flush=True)
    sys.stdin.readline()
    status = session.get(f"{given.be_one}/api/v2.2/me/", timeout=60).status_code
    print(time.monotonic(), status, flush=True)


def _store(name: str, where: str, own: str) -> Any:
    """Return an empty store: what it holds is under a name of this fleet's own."""
    if name == "redis":
        return testpress_auth.RedisStore(where, prefix=own)
    return testpress_auth.FileStore(Path(where, own)) if name == "file" else None


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", action="append", choices=["none", "file", "redis"], help="by default all there are")
    parser.add_argument("--redis-url", help="redis://127.0.0.1:6379/0; what is written there ends within the hour")


MEASURE = Measure(
    name="processes",
    title="E. Processes starting cold",
    columns={
        "logins": "logins (the most of any run)",
        "seconds": "s to the last answer",
        "over_ideal": "the same over the ideal",
        "failed": "calls that failed",
    },
    chart="logins",
    run=run,
    notes=("No peer's cache has a lock: each logs in once per process, as ours does without a store.",),
    options=_options,
)

if __name__ == "__main__":
    if "--be-one" in sys.argv:
        parser = argparse.ArgumentParser()
        parser.add_argument("--be-one")
        parser.add_argument("--constant", action="store_true")
        parser.add_argument("--where", default="")
        parser.add_argument("--own", default="")
        _options(parser)
        be_one(parser.parse_args())
    else:
        main(MEASURE)
