"""The command line: `testpress-auth demo` and `testpress-auth serve`.

Knows the arguments alone. What a subcommand needs is imported when it is called: `--help` loads no client, no server.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from .._version import __version__

_INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; `argv` is `sys.argv[1:]` by default."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        print(file=sys.stderr)  # the shell's prompt gets a line of its own
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has left (`| head`); else the interpreter would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(arguments: argparse.Namespace) -> int:
    if arguments.command == "serve":
        from .serve import serve

        return serve(arguments.port, arguments.lifetime)
    from .demo import demo

    return demo()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="testpress-auth", description="See what testpress-auth does, without a Testpress account."
    )
    parser.add_argument("--version", action="version", version=f"testpress-auth {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    text = "play what matters on each client installed, in about three seconds"
    commands.add_parser("demo", help=text, description=f"{text[0].upper()}{text[1:]}. Nothing leaves this machine.")
    text = "run a stand-in Testpress server on 127.0.0.1"
    serve = commands.add_parser("serve", help=text, description=f"{text[0].upper()}{text[1:]}, until Ctrl-C.")
    serve.add_argument("--port", type=_port, default=0, metavar="N", help="TCP port (default: a free one)")
    serve.add_argument(
        "--lifetime", type=_lifetime, default=300.0, metavar="SECONDS", help="how long a token lasts (default: 300)"
    )
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a TCP port: pass 0 to 65535")
    return int(text)


def _lifetime(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 1e9:  # also turns nan away
        raise argparse.ArgumentTypeError(f"{text!r} is not a lifetime: pass 1 or more seconds")
    return seconds
