"""D: what an import costs over the bare client, in time and in resident memory.

Each in a fresh interpreter, the contestants interleaved.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from .result import OURS, Measure, Row, main, median

_SCRIPT: Final = """
import time
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
before, started = resident(), time.perf_counter()
{}
print(time.perf_counter() - started, resident() - before)
"""
_NOTHING: Final = "pass"
_CLIENTS: Final = {
    "requests": {
        "requests": "import requests",
        OURS: "from testpress_auth.requests import TestpressJWTAuth",
        "Authlib": "from authlib.integrations.requests_client import OAuth2Session",
        "google-auth": "from google.auth.transport.requests import AuthorizedSession\nimport google.oauth2.credentials",
        "requests_auth": "from requests_auth import OAuth2ClientCredentials",
        "requests-oauthlib": "from requests_oauthlib import OAuth2Session",
        "requests_oauth2client": "from requests_oauth2client import OAuth2ClientCredentialsAuth",
    },
    "httpx": {
        "httpx": "import httpx",
        OURS: "from testpress_auth.httpx import TestpressJWTAuth",
        "Authlib": "import warnings\nimport authlib.deprecate\nwarnings.simplefilter('ignore')\n"
        "from authlib.integrations.httpx_client import OAuth2Client",
        "httpx_auth": "from httpx_auth import OAuth2ClientCredentials",
    },
    "no client": {"nothing": _NOTHING, OURS: "import testpress_auth"},
}


def run(given: argparse.Namespace) -> Iterator[Row]:
    rounds = 5 if given.quick else 21
    for client, statements in _CLIENTS.items():
        found: dict[str, list[tuple[float, float]]] = {who: [] for who in statements}
        for turn in range(rounds + 1):
            for who, statement in statements.items():
                one = _import(statement)
                if turn:  # the first round writes the bytecode
                    found[who].append(one)
        bare = found[next(iter(statements))]
        for who, own in found.items():
            seconds, resident = (median(each[i] for each in own) for i in (0, 1))
            over = median(mine[0] - base[0] for mine, base in zip(own, bare, strict=True))
            figures: dict[str, float | int | str] = {
                "ms": seconds * 1000,
                "over_ms": over * 1000,
                "mb": resident / 2**20,
            }
            if client != "no client":
                figures["ratio"] = median(mine[0] / base[0] for mine, base in zip(own, bare, strict=True))
            yield Row(f"import, {client}", who, figures)


def _import(statement: str) -> tuple[float, float]:
    command = [sys.executable, "-I", "-c", _SCRIPT.format(statement)]
    seconds, resident = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()  # noqa: S603
    return float(seconds), float(resident)


MEASURE = Measure(
    name="imports",
    title="D. Import, over the client alone",
    columns={
        "ratio": "time over the client's own import",
        "ms": "ms in all",
        "over_ms": "ms over the client's",
        "mb": "MiB resident",
    },
    chart="ms",
    run=run,
    notes=("The import alone, without the interpreter's start. Medians of pairs; bytecode is written before.",),
)

if __name__ == "__main__":
    main(MEASURE)
