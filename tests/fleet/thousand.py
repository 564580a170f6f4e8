"""A thousand workers over several token lifetimes: `python -m tests.fleet.thousand --seconds 20`.

Each is an auth object of its own with a store of its own, as in a process of its own; they share nothing but Valkey.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time

import httpx
import redis

from testpress_auth import RedisStore
from testpress_auth.events import Event, LoginAwaited, LoginStarted
from testpress_auth.httpx import TestpressJWTAuth
from testpress_auth.testing import StandInServer

from ..valkey import Valkey


class Seen:
    """What all workers met."""

    def __init__(self) -> None:
        self.calls = self.failed = self.logins = self.waited = 0

    def __call__(self, event: Event) -> None:
        self.logins += isinstance(event, LoginStarted)
        self.waited += isinstance(event, LoginAwaited)


async def live(workers: int, seconds: float, lifetime: float) -> tuple[Seen, int, int]:
    """Return what they met, the trips to the store and the logins that the server saw."""
    seen = Seen()
    with StandInServer(login_latency=0.1, token_lifetime=lifetime) as server, Valkey() as valkey:
        shared = redis.Redis.from_url(valkey.url, max_connections=50)
        async with httpx.AsyncClient() as client:
            auths = [
                TestpressJWTAuth(
                    "testpress", "demo", base_url=server.url, store=RedisStore(shared), client=client, on_event=seen
                )
                for _ in range(workers)
            ]
            end = time.monotonic() + seconds

            async def work(auth: TestpressJWTAuth) -> None:
                while time.monotonic() < end:
                    try:
                        await auth.atoken()
                        seen.calls += 1
                    except Exception:
                        seen.failed += 1
                    await asyncio.sleep(random.uniform(0.2, 0.6))  # noqa: S311

            await asyncio.gather(*[work(auth) for auth in auths])
            await asyncio.sleep(0.5)  # renewals beside
        trips = shared.info("commandstats")["cmdstat_eval"]["calls"] + server.logins  # all but a save run a script
        shared.close()
        return seen, trips, server.logins


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--lifetime", type=float, default=6, help="of a token, in seconds")
    given = parser.parse_args()
    seen, trips, logins = asyncio.run(live(given.workers, given.seconds, given.lifetime))
    print(
        f"{given.workers} workers, {given.seconds:g} s, tokens of {given.lifetime:g} s: {logins} logins, "
        f"{seen.calls} tokens handed out, {seen.failed} failed, {trips} trips to the store"
    )


if __name__ == "__main__":
    main()
