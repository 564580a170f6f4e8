"""What somebody sees who types `testpress-auth demo` or `testpress-auth serve`."""

# ruff: noqa: S603 (what is run as a subprocess is this package's own command)

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from math import inf
from typing import Any

import pytest

import testpress_auth.requests
from testpress_auth import __version__
from testpress_auth._page import Page
from testpress_auth._policy import RefreshPolicy
from testpress_auth._single_flight import Flight, SingleFlight
from testpress_auth.cli import demo, main, stage
from testpress_auth.cli.scenario import STEPS
from testpress_auth.cli.screen import Screen

TYPED = (sys.executable, "-W", "error", "-c", "import sys; from testpress_auth.cli import main; sys.exit(main())")
PASSWORDS = ("correct-horse", "battery-staple")
TOKEN = "eyJ"  # how every JWT begins
CLIENTS = ("requests", "httpx", "async httpx")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No latency: what the demo comes to is the same without."""
    monkeypatch.setattr(stage, "_LATENCY", 0.0)
    monkeypatch.setattr(stage, "_LOGIN_LATENCY", 0.02)
    monkeypatch.setattr(stage, "_PATIENCE", 0.5)


@pytest.fixture(autouse=True)
def _no_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of the user's taste in colour."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def table(output: str) -> list[list[str]]:
    """The cells of the table at the end."""
    lines = output[output.index("client  ") :].splitlines()
    return [re.split(r"\s{2,}", line.strip()) for line in lines[1 : lines.index("")]]


# The arguments


def test_the_package_installs_the_command() -> None:
    (command,) = entry_points(group="console_scripts", name="testpress-auth")
    assert command.load() is main


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"testpress-auth {__version__}\n"


def test_without_a_subcommand_the_help_is_shown_and_the_exit_code_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "demo" in shown.err
    assert "serve" in shown.err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--port", "65536"], "pass 0 to 65535"),
        (["--port", "-1"], "pass 0 to 65535"),
        (["--port", "http"], "pass 0 to 65535"),
        (["--lifetime", "0"], "pass 1 or more seconds"),
        (["--lifetime", "nan"], "pass 1 or more seconds"),
        (["--lifetime", "inf"], "pass 1 or more seconds"),
        (["--lifetime", "soon"], "pass 1 or more seconds"),
    ],
)
def test_a_value_that_cannot_be_served_is_refused_with_what_to_pass(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", *arguments])
    assert ended.value.code == 2
    assert hint in capsys.readouterr().err


def test_help_loads_no_client_no_server_and_no_jwt() -> None:
    code = """if True:
        import sys
        from testpress_auth.cli import main
        try:
            main(["--help"])
        except SystemExit:
            print("loaded:", sorted(sys.modules))
    """
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(re.findall(r"'([^']+)'", shown.partition("loaded:")[2]))
    assert "testpress_auth.cli" in loaded
    heavy = {"requests", "httpx", "http.server", "jwt", "asyncio", "testpress_auth.testing", "testpress_auth._policy"}
    assert not heavy & loaded


# The demo


@pytest.mark.usefixtures("_quick")
def test_the_demo_ends_with_a_table_in_which_all_is_as_promised(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert table(shown.out) == [[client, "46", "5", "0", "✓"] for client in CLIENTS]
    assert "All as promised" in shown.out
    for step in STEPS:
        (row,) = (line for line in shown.out.splitlines() if step.title in line)
        assert row.count(f"✓ {step.good}") == 3, row
        assert step.text in shown.out
    assert "the server refused the user name and password (400)" in " ".join(shown.out.split())


def test_the_demo_as_typed_takes_few_seconds_fits_80_columns_and_is_plain_in_a_pipe() -> None:
    proxy = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9")
    ended = subprocess.run(
        [*TYPED, "demo"],
        capture_output=True,
        timeout=30,
        check=True,
        encoding="utf-8",
        env={**os.environ, **proxy, "PYTHONIOENCODING": "utf-8"},
    )
    assert ended.stderr == ""
    assert max(map(len, ended.stdout.splitlines())) <= 80
    assert "\x1b" not in ended.stdout
    took = re.search(r"in (\d+\.\d) s", ended.stdout)
    assert took is not None
    assert float(took[1]) < 10
    assert not [secret for secret in (*PASSWORDS, TOKEN) if secret in ended.stdout]


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(
    ("stream", "environment", "coloured"),
    [
        (Terminal, {}, True),
        (Terminal, {"NO_COLOR": ""}, True),
        (Terminal, {"NO_COLOR": "0"}, False),
        (Terminal, {"TERM": "dumb"}, False),
        (io.StringIO, {}, False),
    ],
)
def test_colour_is_for_terminals_whose_user_did_not_say_no(
    stream: type[io.StringIO], environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(demo, "STEPS", STEPS[:1])
    monkeypatch.setattr(sys, "stdout", stream())
    assert main(["demo"]) == 0
    assert isinstance(sys.stdout, io.StringIO)
    shown = sys.stdout.getvalue()
    assert ("\x1b[" in shown) is coloured
    assert re.sub(r"\x1b\[\d+m", "", shown).count("✓ 1 login") == 3


def test_an_old_terminal_gets_words_for_the_marks_that_it_cannot_print() -> None:
    raw = io.BytesIO()
    screen = Screen(io.TextIOWrapper(raw, encoding="ascii", newline="\n"))
    screen.verdict(True, "1 login", width=12)
    screen.verdict(False)
    assert raw.getvalue() == b"ok 1 login  FAIL"


def _all_lead(self: SingleFlight, now: float, deadline: float) -> tuple[Flight, bool]:
    return Flight(deadline), True


@pytest.mark.usefixtures("_quick")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "name", "broken", "title", "words", "verdicts"),
    [
        (SingleFlight, "join", _all_lead, "Twenty calls at once", "httpx, logins: expected 1, saw 20", "✗✗✗"),
        (
            testpress_auth.requests,
            "_can_be_sent_again",
            lambda response: False,
            "The server revokes",
            "requests, answers: expected 1 x 200, saw 1 x 401",
            "✗✓✓",
        ),
        (
            RefreshPolicy,
            "due_at",
            lambda self, login: inf,
            "The token is about to",
            "async httpx, renewals ahead: expected 1, saw 0",
            "✗✗✗",
        ),
        (
            Page,
            "_may_go_to",
            lambda self, origin: True,
            "A link to another host",
            "requests, tokens given away: expected 0, saw 1",
            "✗✗✗",
        ),
    ],
)
def test_a_broken_promise_makes_the_demo_exit_with_1_and_shows_at_which_step(
    owner: Any,
    name: str,
    broken: Callable[..., object],
    title: str,
    words: str,
    verdicts: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owner, name, broken)
    assert main(["demo"]) == 1
    shown = capsys.readouterr().out
    (row,) = (line for line in shown.splitlines() if title in line)
    assert re.sub("[^✓✗]", "", row) == verdicts
    step = shown[shown.index(title) :]
    assert words in step
    assert [row[-1] for row in table(shown)] == list(verdicts)
    assert "All as promised" not in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.usefixtures("_quick")
def test_a_401_that_reaches_a_caller_is_in_the_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testpress_auth.requests, "_can_be_sent_again", lambda response: False)
    assert main(["demo"]) == 1
    assert [row[3] for row in table(capsys.readouterr().out)] == ["1", "0", "0"]


def _uninstall(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, f"testpress_auth.{library}")
    monkeypatch.setitem(sys.modules, library, None)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(
    ("library", "others"), [("httpx", ["requests"]), ("requests", ["httpx", "async httpx"])], ids=["httpx", "requests"]
)
def test_without_one_client_the_demo_plays_on_the_other_and_says_how_to_install_it(
    library: str, others: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _uninstall(library, monkeypatch)
    assert main(["demo"]) == 0
    shown = capsys.readouterr().out
    assert shown.count(f"{library} is not installed: pip install 'testpress-auth[{library}]'") == 1
    assert [row[0] for row in table(shown)] == others


def test_without_any_client_the_demo_says_how_to_install_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _uninstall("requests", monkeypatch)
    _uninstall("httpx", monkeypatch)
    assert main(["demo"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "pip install 'testpress-auth[requests]'" in shown.err
    assert "pip install 'testpress-auth[httpx]'" in shown.err


@pytest.mark.usefixtures("_quick")
def test_ctrl_c_ends_the_demo_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(stage: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "STEPS", (STEPS[0], STEPS[1]._replace(play=interrupt)))
    before = threading.active_count()
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "\n"
    assert threading.active_count() == before


def test_a_reader_that_leaves_early_ends_the_demo_without_a_traceback() -> None:
    process = subprocess.Popen([*TYPED, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == b""
    assert process.wait(30) == 1


LOST = """
import os, sys
from testpress_auth.cli import demo, main
def lost():
    raise BrokenPipeError
demo.demo = lost
status = main(["demo"])
os.write(1, b"unread")
sys.exit(status)
"""


def test_what_is_left_to_print_goes_nowhere_once_the_reader_has_left() -> None:
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


# The server


@contextmanager
def served(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """Run `testpress-auth serve` as typed: the process, its URL, and the lines it has shown at the start."""
    process = subprocess.Popen(
        [*TYPED, "serve", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process, process.stdout, process.stderr:
        try:
            welcome = [process.stdout.readline()]
            while process.poll() is None and "print(" not in welcome[-1]:
                welcome.append(process.stdout.readline())
            process.stdout.readline()
            yield process, welcome[0].split()[-1], welcome
        finally:
            process.kill()


def log_in(url: str, password: str = "demo", path: str = "/api/v2.2/auth-token/") -> int:
    request = urllib.request.Request(  # noqa: S310 (a loopback URL)
        f"{url}{path}",
        json.dumps({"username": "testpress", "password": password}).encode(),
        {"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_the_server_answers_a_login_shows_it_in_a_line_and_ends_with_0(name: str) -> None:
    with served() as (process, url, _):
        assert log_in(url) == 200
        assert log_in(url, "battery-staple") == 400
        assert log_in(url, path="/api/v2.2/me/?token=secret&page=2") == 401
        process.send_signal(getattr(signal, name))
        assert process.wait(10) == 0
        assert process.stdout is not None
        assert process.stdout.read().splitlines() == [
            "POST /api/v2.2/auth-token/ 200",
            "POST /api/v2.2/auth-token/ 400",
            "POST /api/v2.2/me/?... 401",
        ]
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_the_curl_line_and_the_python_lines_can_be_pasted() -> None:
    with served("--lifetime", "60") as (_, url, welcome):
        text = "".join(welcome)
        assert "a token lasts 60 s" in text
        assert max(map(len, text.splitlines())) <= 80
        curl = text[text.index("curl http") :].partition("\n\n")[0].replace("\\\n", "").split()
        assert curl == ["curl", f"{url}/api/v2.2/auth-token/", "-d", "username=testpress", "-d", "password=demo"]
        python = text[text.index("import requests") :]
        answered = subprocess.run([sys.executable, "-c", python], capture_output=True, text=True, check=True)
        assert "'username': 'testpress'" in answered.stdout


def test_a_port_in_use_is_one_clear_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert f"port {port}: Address already in use; pass another --port" in shown.err


class Watched(io.StringIO):
    """A stdout that does something once it has been shown the server's URL, and breaks when told to."""

    broken = False

    def __init__(self, once_served: Callable[[str], None]) -> None:
        super().__init__()
        self.once_served = once_served
        self.thread: threading.Thread | None = None

    def write(self, text: str) -> int:
        if self.broken:
            raise BrokenPipeError
        url = re.search(r"http://127\.0\.0\.1:\d+", text)
        if url and self.thread is None:
            self.thread = threading.Thread(target=self.once_served, args=[url[0]])
            self.thread.start()
        return super().write(text)


def test_the_server_goes_on_answering_when_nobody_reads_its_lines_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = []

    def use(url: str) -> None:
        try:
            statuses.append(log_in(url))
            stdout.broken = True
            statuses.append(log_in(url))
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    stdout = Watched(use)
    monkeypatch.setattr(sys, "stdout", stdout)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert main(["serve", "--lifetime", "60"]) == 0
    assert stdout.thread is not None
    stdout.thread.join()
    assert statuses == [200, 200]
    assert "POST /api/v2.2/auth-token/ 200\n" in stdout.getvalue()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_no_request_can_write_to_the_terminal_what_it_would_obey() -> None:
    with served() as (process, url, _):
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as connection:
            connection.sendall(b"GET /\x1b[2J\xe9 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b" 404 " in connection.recv(64)
        assert process.stdout is not None
        assert process.stdout.readline() == "GET /?[2J? 404\n"
