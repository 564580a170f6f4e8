"""`testpress-auth serve`: the stand-in server in the foreground, and a line for each request it answers.

Knows how to start and stop it and what to tell of it. Must never show what a client sent along: a password, a token.
"""

from __future__ import annotations

import signal
import sys
import time
from contextlib import ExitStack, suppress

from ..testing import StandInServer
from ..testing.answers import Answer
from ..testing.wire import Request

_WELCOME = """\
Stand-in Testpress server on {url}
User testpress, password demo; a token lasts {lifetime:g} s. Ctrl-C stops it.

Log in with curl:

curl {url}/api/v2.2/auth-token/ \\
     -d username=testpress -d password=demo

Or have Python do it:

import requests
from testpress_auth.requests import TestpressJWTAuth

base_url = "{url}"
auth = TestpressJWTAuth("testpress", "demo", base_url=base_url)
print(requests.get(f"{{base_url}}/api/v2.2/me/", auth=auth).json())
"""


class _TalkingServer(StandInServer):
    """Tells of each request, and keeps none: this one may run for days."""

    def _respond(self, request: Request) -> Answer:
        answer = super()._respond(request)
        self.forget()
        # To lose a line is better than to lose the answer: whoever read the lines may be gone.
        with suppress(OSError):
            # In one piece, for connections are served at the same time.
            sys.stdout.write(f"{request.method} {_shown(request.path)} {answer.status}\n")
            sys.stdout.flush()
        return answer


def serve(port: int, lifetime: float) -> int:
    """Run the stand-in server until Ctrl-C or SIGTERM, which end it well; return the exit code."""
    server = _TalkingServer(port=port, token_lifetime=lifetime)
    with ExitStack() as undo, suppress(KeyboardInterrupt):
        for name in (signal.SIGINT, signal.SIGTERM):
            # SIGINT too: a shell starts what it runs in the background with that ignored.
            undo.callback(signal.signal, name, signal.signal(name, signal.default_int_handler))
        try:
            undo.enter_context(server)
        except OSError as error:
            hint = "pass another --port, or none for a free one"
            print(f"testpress-auth serve: port {port}: {error.strerror}; {hint}", file=sys.stderr)
            return 2
        print(_WELCOME.format(url=server.url, lifetime=lifetime), flush=True)
        while True:
            time.sleep(3600)  # a signal ends it; a lock would not be woken on Windows
    return 0


def _shown(path: str) -> str:
    """Leave the query out, in which anything may stand, and what a terminal would obey."""
    path, question, _ = path.partition("?")
    return "".join(letter if "!" <= letter <= "~" else "?" for letter in path) + (question and "?...")
