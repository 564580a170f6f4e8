"""What can go wrong, as a user catches it: the tree, the clients' own types, and that no error tells a secret (X1).

And what happens, as a user hears it: the events and the logger.
"""

from __future__ import annotations

import copy
import io
import logging
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import httpx
import jwt
import pytest
import requests

import testpress_auth
import testpress_auth.httpx
import testpress_auth.requests
from testpress_auth import errors, events
from testpress_auth._failure import Failure, unreachable
from testpress_auth._origin import Origin
from testpress_auth._policy import Clock
from testpress_auth._source import TokenSource
from testpress_auth.events import tell

PASSWORD = "hunter2-hunter2"
TOKEN = jwt.encode({"username": "testpress"}, "a key of 32 bytes or more, as it is", "HS256")
PAGES = [errors, testpress_auth.requests, testpress_auth.httpx]
# Each error with all that it carries.
CARRIES: dict[str, dict[str, Any]] = {
    "TestpressAuthError": {},
    "ConfigurationError": {"setting": "base_url"},
    "InvalidCredentials": {"status": 400, "detail": "Unable to log in."},
    "LoginThrottled": {"retry_after": 30.0},
    "LoginUnavailable": {"status": 503},
    "LoginTimeout": {"timeout": 10.0, "status": None},
    "UnexpectedLoginResponse": {"status": 200, "reason": "a body that is not JSON"},
}
EVERY_ERROR = pytest.mark.parametrize(
    ("page", "name"),
    [pytest.param(page, name, id=f"{page.__name__}.{name}") for page in PAGES for name in CARRIES],
)
WITH_REQUEST: dict[ModuleType, Callable[[], Any]] = {
    errors: lambda: "any request",
    testpress_auth.requests: lambda: requests.Request("GET", "https://demo.testpress.in/me/").prepare(),
    testpress_auth.httpx: lambda: httpx.Request("GET", "https://demo.testpress.in/me/"),
}


# The tree


@pytest.mark.parametrize(
    ("name", "bases"),
    [
        ("TestpressAuthError", [Exception]),
        ("ConfigurationError", ["TestpressAuthError", ValueError]),
        ("InvalidCredentials", ["TestpressAuthError"]),
        ("LoginThrottled", ["TestpressAuthError"]),
        ("LoginUnavailable", ["TestpressAuthError"]),
        ("LoginTimeout", ["TestpressAuthError", "LoginUnavailable"]),
        ("UnexpectedLoginResponse", ["TestpressAuthError"]),
    ],
)
def test_errors_tell_by_whose_fault(name: str, bases: list[str | type]) -> None:
    kind = getattr(testpress_auth, name)
    assert kind is getattr(errors, name)
    assert all(issubclass(kind, getattr(errors, base) if isinstance(base, str) else base) for base in bases)
    unrelated = {each for each in CARRIES if each not in bases and each != name}
    assert not any(issubclass(kind, getattr(errors, each)) for each in unrelated)


CLIENT_TYPES = [
    ("InvalidCredentials", requests.RequestException, httpx.RequestError),
    ("LoginThrottled", requests.RequestException, httpx.RequestError),
    ("LoginUnavailable", requests.ConnectionError, httpx.TransportError),
    ("LoginTimeout", requests.Timeout, httpx.TimeoutException),
    ("LoginTimeout", requests.ConnectionError, httpx.TransportError),
    ("UnexpectedLoginResponse", requests.RequestException, httpx.RequestError),
]


@pytest.mark.parametrize(("name", "on_requests", "on_httpx"), CLIENT_TYPES)
def test_each_page_s_errors_are_the_client_s_own_too(name: str, on_requests: type, on_httpx: type) -> None:
    """The table of the design: code that catches the client's exceptions goes on working."""
    for page, own in ((testpress_auth.requests, on_requests), (testpress_auth.httpx, on_httpx)):
        kind = getattr(page, name)
        assert issubclass(kind, own)
        assert issubclass(kind, getattr(errors, name))
        assert kind is not getattr(errors, name)
        assert kind.__module__ == page.__name__
    assert issubclass(getattr(testpress_auth.httpx, name), httpx.HTTPError)


@pytest.mark.parametrize("page", PAGES[1:], ids=["requests", "httpx"])
def test_a_page_s_timeout_is_a_page_s_unavailable(page: ModuleType) -> None:
    assert issubclass(page.LoginTimeout, page.LoginUnavailable)


@pytest.mark.parametrize("page", PAGES[1:], ids=["requests", "httpx"])
def test_a_page_exports_every_error(page: ModuleType) -> None:
    assert set(page.__all__) == {*CARRIES, "TestpressJWTAuth"}
    assert page.__all__ == sorted(page.__all__)
    assert page.ConfigurationError is errors.ConfigurationError
    assert issubclass(page.TestpressAuthError, errors.TestpressAuthError)
    assert all(
        issubclass(getattr(page, name), page.TestpressAuthError) for name in CARRIES if "Configuration" not in name
    )


def test_a_page_s_base_is_the_client_s_own_too() -> None:
    """The table's first row."""
    assert issubclass(testpress_auth.requests.TestpressAuthError, requests.RequestException)
    assert issubclass(testpress_auth.httpx.TestpressAuthError, httpx.RequestError)


def test_pytest_collects_nothing_of_ours_in_a_user_s_test_module() -> None:
    """Section 3."""
    public = [getattr(page, name) for page in (*PAGES, testpress_auth) for name in page.__all__]
    for each in public:
        if getattr(each, "__name__", "").lower().startswith("test"):
            assert each.__test__ is False


# What they carry


@EVERY_ERROR
def test_an_error_carries_what_the_table_says(page: ModuleType, name: str) -> None:
    error = getattr(page, name)("it went wrong", **CARRIES[name])
    assert str(error) == "it went wrong"
    assert error.args == ("it went wrong",)
    for attribute, value in CARRIES[name].items():
        assert getattr(error, attribute) == value


@EVERY_ERROR
def test_an_error_needs_no_argument(page: ModuleType, name: str) -> None:
    error = getattr(page, name)()
    assert str(error) == ""
    for attribute in CARRIES[name]:
        assert getattr(error, attribute) in (None, "")


@EVERY_ERROR
@pytest.mark.parametrize("requested", [False, True], ids=["without request", "with request"])
def test_an_error_pickles_and_copies_with_all_it_carries(page: ModuleType, name: str, requested: bool) -> None:
    request = {"request": WITH_REQUEST[page]()} if requested else {}
    error = getattr(page, name)("it went wrong", **CARRIES[name], **request)
    pickled = [pickle.loads(pickle.dumps(error, protocol)) for protocol in (2, pickle.HIGHEST_PROTOCOL)]  # noqa: S301
    for other in (*pickled, copy.copy(error), copy.deepcopy(error)):
        assert other is not error
        assert type(other) is type(error)
        assert other.args == error.args
        assert str(other) == str(error)
        for attribute in CARRIES[name]:
            assert getattr(other, attribute) == getattr(error, attribute)
        if requested:
            assert getattr(other.request, "url", other.request) == getattr(error.request, "url", error.request)


def test_an_error_s_request_is_the_one_it_was_given() -> None:
    """X1."""
    for page in PAGES[1:]:
        request = WITH_REQUEST[page]()
        for name in CARRIES:
            assert getattr(page, name)("it went wrong", request=request).request is request
    assert testpress_auth.requests.LoginThrottled("it went wrong").request is None  # as on any RequestException
    bare = testpress_auth.httpx.LoginThrottled("it went wrong")
    with pytest.raises(RuntimeError):  # as on any httpx.RequestError
        _ = bare.request


# X1: nothing secret, wherever one looks


class Frozen:
    """A clock that no login has to wait for: it moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.25
        self.clock = Clock(wall=lambda: self.now, monotonic=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Failing(requests.adapters.BaseAdapter):
    """A way for requests that is closed, and says more than it should."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            raise ConnectionRefusedError(111, "Connection refused")
        except ConnectionRefusedError as error:
            raise requests.ConnectionError(f"while sending {request.body!r}", request=request) from error

    def close(self) -> None:
        pass


def failing(request: httpx.Request) -> httpx.Response:
    try:
        raise ConnectionRefusedError(111, "Connection refused")
    except ConnectionRefusedError as error:
        raise httpx.ConnectError(f"while sending {request.content!r}", request=request) from error


def on_requests(**options: Any) -> testpress_auth.requests.TestpressJWTAuth:
    session = requests.Session()
    session.mount("https://", Failing())
    return testpress_auth.requests.TestpressJWTAuth(
        "testpress", PASSWORD, subdomain="demo", session=session, _clock=Frozen().clock, **options
    )


def on_httpx(**options: Any) -> testpress_auth.httpx.TestpressJWTAuth:
    client = httpx.Client(transport=httpx.MockTransport(options.pop("answer", failing)))
    return testpress_auth.httpx.TestpressJWTAuth(
        "testpress", PASSWORD, subdomain="demo", client=client, _clock=Frozen().clock, **options
    )


@pytest.mark.parametrize(
    ("make", "why", "kind"),
    [
        (on_requests, "ConnectionError: Connection refused", testpress_auth.requests.LoginUnavailable),
        (on_httpx, "ConnectError: Connection refused", testpress_auth.httpx.LoginUnavailable),
    ],
)
def test_a_network_failure_has_a_sanitised_cause(make: Callable[[], Any], why: str, kind: type[Exception]) -> None:
    """X1: the client's own exception holds the login, and its password."""
    with pytest.raises(errors.LoginUnavailable) as caught:
        make().token()
    error = caught.value
    assert type(error) is kind
    assert str(error) == f"login at https://demo.testpress.in/api/v2.2/auth-token/ failed: {why}"
    assert type(error.__cause__) is OSError
    assert str(error.__cause__) == why
    assert error.__cause__.__cause__ is None
    assert error.__cause__.__context__ is None
    assert error.__context__ is None
    assert error.status is None
    shown = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    assert PASSWORD not in shown
    assert not getattr(error.request, "content", b"")


def test_every_waiter_gets_an_error_of_its_own() -> None:
    """S1: an exception that two threads raise would grow both their tracebacks."""
    auth = on_requests()
    failure = unreachable("https://demo.testpress.in", OSError(111, "Connection refused"))
    first, second = auth._error(failure), auth._error(failure)
    assert first is not second
    assert first.__cause__ is not second.__cause__
    assert str(first) == str(second)


def test_without_a_cause_an_error_has_none() -> None:
    error = on_requests()._error(Failure(errors.LoginThrottled, "too many logins", retry_after=None))
    assert type(error) is testpress_auth.requests.LoginThrottled
    assert error.__cause__ is None


def test_an_error_that_no_page_has_one_of_its_own_for_is_the_core_s() -> None:
    error = on_requests()._error(Failure(errors.ConfigurationError, "wrong", setting="timeout"))
    assert type(error) is errors.ConfigurationError


# Events


ACCOUNT = TokenSource(Origin("https", "demo.testpress.in", 443), "testpress").account
EVENTS: list[tuple[Callable[..., events.Event], dict[str, Any], int]] = [
    (events.LoginStarted, {}, logging.DEBUG),
    (events.LoginSucceeded, {"seconds": 0.25, "lifetime": 299.0}, logging.INFO),
    (events.LoginFailed, {"seconds": 0.25, "error": "LoginThrottled", "status": 429}, logging.WARNING),
    (events.LoginAwaited, {"seconds": 0.25}, logging.DEBUG),
    (events.RefreshScheduled, {"left": 60.0}, logging.DEBUG),
    (events.TokenRejected, {"accepted": True}, logging.INFO),
    (events.TokenReused, {}, logging.DEBUG),
]
EVERY_EVENT = pytest.mark.parametrize(("kind", "fields", "level"), EVENTS)


@EVERY_EVENT
def test_an_event_is_a_frozen_value(kind: Callable[..., events.Event], fields: dict[str, Any], level: int) -> None:
    event = kind(account=ACCOUNT, **fields)
    assert isinstance(event, events.Event)
    assert event == kind(account=ACCOUNT, **fields)
    assert event != kind(account="0123456789ab", **fields)
    assert hash(event) == hash(kind(account=ACCOUNT, **fields))
    for name in ("account", *fields, "more"):
        with pytest.raises(AttributeError):
            setattr(event, name, 1)
    assert pickle.loads(pickle.dumps(event)) == copy.copy(event) == event  # noqa: S301
    assert not hasattr(event, "__dict__")


@EVERY_EVENT
def test_an_event_reaches_the_hook_and_the_logger(
    kind: Callable[..., events.Event], fields: dict[str, Any], level: int, caplog: pytest.LogCaptureFixture
) -> None:
    event = kind(account=ACCOUNT, **fields)
    heard: list[events.Event] = []
    with caplog.at_level(logging.DEBUG, "testpress_auth"):
        tell(heard.append, event)
    assert heard == [event]
    [record] = caplog.records
    assert record.name == "testpress_auth"
    assert record.levelno == level == event.level
    assert record.getMessage() == repr(event)


def test_an_event_below_the_logger_s_level_reaches_the_hook_alone(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[events.Event] = []
    with caplog.at_level(logging.WARNING, "testpress_auth"):
        tell(heard.append, events.LoginStarted(account=ACCOUNT))
        tell(None, events.LoginStarted(account=ACCOUNT))
    assert len(heard) == 1
    assert not caplog.records


def test_a_hook_that_raises_is_logged_and_swallowed(caplog: pytest.LogCaptureFixture) -> None:
    def hook(event: events.Event) -> None:
        raise RuntimeError("the hook's own trouble")

    with caplog.at_level(logging.WARNING, "testpress_auth"):
        tell(hook, events.LoginStarted(account=ACCOUNT))
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == f"on_event raised while it was given LoginStarted(account='{ACCOUNT}')"
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "the hook's own trouble"


def test_a_hook_that_ends_the_program_may() -> None:
    def hook(event: events.Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tell(hook, events.LoginStarted(account=ACCOUNT))


def answering(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"token": TOKEN})


def test_a_hook_that_raises_costs_no_login(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[events.Event] = []

    def hook(event: events.Event) -> None:
        heard.append(event)
        raise RuntimeError("the hook's own trouble")

    with caplog.at_level(logging.DEBUG, "testpress_auth"):
        assert on_httpx(answer=answering, on_event=hook).token().raw == TOKEN
    assert [type(event) for event in heard] == [events.LoginStarted, events.LoginSucceeded]
    assert {event.account for event in heard} == {ACCOUNT}
    levels = [record.levelno for record in caplog.records if record.name == "testpress_auth"]
    assert levels == [logging.DEBUG, logging.ERROR, logging.INFO, logging.ERROR]


def test_neither_events_nor_log_tell_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    """X1."""
    heard: list[events.Event] = []
    with caplog.at_level(logging.DEBUG, "testpress_auth"):
        on_httpx(answer=answering, on_event=heard.append).token()
        with pytest.raises(errors.LoginUnavailable):
            on_httpx(on_event=heard.append).token()
    assert [type(event) for event in heard] == [
        events.LoginStarted,
        events.LoginSucceeded,
        events.LoginStarted,
        events.LoginFailed,
    ]
    ours = "".join(record.getMessage() for record in caplog.records if record.name == "testpress_auth")
    assert ours == "".join(map(repr, heard))
    for secret in (PASSWORD, TOKEN, "testpress'", "demo.testpress.in"):
        assert secret not in ours


def test_an_account_is_twelve_hexadecimal_digits_of_origin_and_user_name() -> None:
    """S5."""
    demo, other = Origin("https", "demo.testpress.in", 443), Origin("https", "other.testpress.in", 443)
    accounts = {TokenSource(origin, name).account for origin in (demo, other) for name in ("testpress", "admin")}
    assert len(accounts) == 4
    for account in accounts:
        assert len(account) == 12
        assert set(account) <= set("0123456789abcdef")
    assert TokenSource(demo, "testpress").account == ACCOUNT


# The logger


def test_the_logger_has_a_null_handler_and_no_level() -> None:
    """A library's logger says nothing until it is asked, and leaves the level to the application."""
    script = (
        "import logging, testpress_auth.events, testpress_auth.requests\n"
        "logger = logging.getLogger('testpress_auth')\n"
        "assert [type(handler) for handler in logger.handlers] == [logging.NullHandler], logger.handlers\n"
        "assert logger.level == logging.NOTSET and logger.propagate\n"
        "assert not logging.getLogger().handlers\n"
        "logger.warning('unheard')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def application_log() -> Iterator[io.StringIO]:
    """The root logger of an application, at INFO."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield written
    root.removeHandler(handler)
    root.setLevel(before)


def test_the_application_s_level_counts(application_log: io.StringIO) -> None:
    tell(None, events.LoginStarted(account=ACCOUNT))
    tell(None, events.LoginSucceeded(account=ACCOUNT, seconds=0.25, lifetime=None))
    said = f"LoginSucceeded(account='{ACCOUNT}', lifetime=None, seconds=0.25)\n"
    assert application_log.getvalue() == said
