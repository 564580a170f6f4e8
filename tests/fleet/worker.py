"""One process of a fleet: `python -m tests.fleet.worker '{"store": "redis://…", …}'`. Prints what it met as JSON lines.

Says "ready", waits for a line on its input, and then calls the API again and again.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import Any

import requests

from testpress_auth import FileStore, MemoryStore, RedisStore
from testpress_auth.events import Event, StoreUnavailable
from testpress_auth.requests import TestpressJWTAuth


def store_of(where: str) -> MemoryStore:
    """Return a store by its address: redis://…, unix://… or a directory."""
    return RedisStore(where) if "://" in where else FileStore(where)


def run(store: str, base_url: str, calls: int, pause: float, timeout: float) -> None:
    failures: list[float] = []

    def hear(event: Event) -> None:
        if isinstance(event, StoreUnavailable):
            failures.append(event.seconds)

    auth = TestpressJWTAuth(
        "testpress", "demo", base_url=base_url, store=store_of(store), timeout=timeout, on_event=hear
    )
    seen: Counter[Any] = Counter()
    longest = 0.0
    with requests.Session() as session:
        session.auth = auth
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(calls):
            began = time.monotonic()
            try:
                seen[session.get(f"{base_url}/api/v2.2/me/", timeout=60).status_code] += 1
            except Exception as error:
                seen[type(error).__name__] += 1
            longest = max(longest, time.monotonic() - began)
            time.sleep(pause)
    print(json.dumps({"seen": seen, "longest": longest, "store_failures": len(failures)}), flush=True)


if __name__ == "__main__":
    run(**json.loads(sys.argv[1]))
