"""What a user may write into the constructor, and what each slip is answered: what to write instead (O3)."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from math import inf, nan
from types import ModuleType
from typing import Any

import httpx
import pytest
import requests

import testpress_auth.httpx
import testpress_auth.requests
from testpress_auth import ConfigurationError, MemoryStore, RefreshPolicy
from testpress_auth._credentials import Credentials, Secret
from testpress_auth._origin import Origin
from testpress_auth._policy import SYSTEM, Clock
from testpress_auth._settings import Settings

PASSWORD = "correct horse battery staple"
Make = Callable[..., Any]


@pytest.fixture(params=[testpress_auth.requests, testpress_auth.httpx], ids=["requests", "httpx"])
def page(request: pytest.FixtureRequest) -> ModuleType:
    """Each client's page: the class has one constructor everywhere."""
    found: ModuleType = request.param
    return found


@pytest.fixture
def make(page: ModuleType) -> Make:
    """Construct, for the demo institute unless told otherwise."""

    def make(username: Any = "testpress", password: Any = PASSWORD, **options: Any) -> Any:
        if not {"subdomain", "base_url"} & options.keys():
            options["subdomain"] = "demo"
        return page.TestpressJWTAuth(username, password, **options)

    return make


def settings(**options: Any) -> Settings:
    if not {"subdomain", "base_url"} & options.keys():
        options["subdomain"] = "demo"
    return Settings("testpress", PASSWORD, **options)


def refused(make: Callable[[], object], setting: str, *says: str) -> str:
    """Check that this is a ConfigurationError for `setting` that `says` all this, and not the password."""
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert isinstance(caught.value, ValueError)
    assert caught.value.setting == setting
    message = str(caught.value)
    for words in says:
        assert words in message
    assert PASSWORD not in message
    return message


# subdomain or base_url


def test_a_subdomain_is_all_it_takes(make: Make) -> None:
    auth = make(subdomain="demo")
    assert auth._settings.base_url == "https://demo.testpress.in"
    assert auth._settings.login_url == "https://demo.testpress.in/api/v2.2/auth-token/"
    assert auth._settings.logout_url == "https://demo.testpress.in/api/v2.4/auth/logout/"
    assert auth._settings.origin == Origin("https", "demo.testpress.in", 443)
    assert repr(auth) == f"<{type(auth).__module__}.TestpressJWTAuth of 'testpress' at https://demo.testpress.in>"


@pytest.mark.parametrize("subdomain", ["demo", "Demo", "DEMO", "a", "7", "lms-demo", "a--b", "x1"])
def test_a_single_name_is_a_subdomain(subdomain: str) -> None:
    assert settings(subdomain=subdomain).base_url == f"https://{subdomain.lower()}.testpress.in"


@pytest.mark.parametrize(
    ("subdomain", "instead"),
    [
        ("demo.testpress.in", 'pass subdomain="demo"'),
        ("Demo.Testpress.In", 'pass subdomain="demo"'),
        ("https://demo.testpress.in", 'pass subdomain="demo"'),
        ("http://demo.testpress.in/", 'pass subdomain="demo"'),
        ("https://demo.testpress.in/api/v2.2/", 'pass subdomain="demo"'),
        ("demo.testpress.in/", 'pass subdomain="demo"'),
        ("lms.example.com", 'pass base_url="https://lms.example.com"'),
        ("https://lms.example.com/portal", 'pass base_url="https://lms.example.com"'),
        ("a.b.testpress.in", 'pass base_url="https://a.b.testpress.in"'),
        ("", 'subdomain="demo" for https://demo.testpress.in'),
        ("  ", 'subdomain="demo" for https://demo.testpress.in'),
        (" demo ", 'subdomain="demo" for https://demo.testpress.in'),
        ("demo\n", 'subdomain="demo" for https://demo.testpress.in'),
        ("https://", 'subdomain="demo" for https://demo.testpress.in'),
        ("demo_1", 'subdomain="demo" for https://demo.testpress.in'),
        ("-demo", 'subdomain="demo" for https://demo.testpress.in'),
        ("demo-", 'subdomain="demo" for https://demo.testpress.in'),
        ("démo", 'subdomain="demo" for https://demo.testpress.in'),
        ("demo/", 'subdomain="demo" for https://demo.testpress.in'),
        ("evil.com#", "pass base_url="),
        (5, 'subdomain="demo" for https://demo.testpress.in'),
        (b"demo", 'subdomain="demo" for https://demo.testpress.in'),
    ],
)
def test_what_is_no_subdomain_is_refused_with_what_to_pass(make: Make, subdomain: object, instead: str) -> None:
    refused(lambda: make(subdomain=subdomain), "subdomain", "subdomain is not a single name: pass ", instead)


@pytest.mark.parametrize(
    "subdomain",
    [
        f"testpress:{PASSWORD}@demo.testpress.in",
        f"https://testpress:{PASSWORD}@demo.testpress.in",
        pytest.param(
            "https://testpress:correct.horse/battery staple@demo.testpress.in",
        ),
    ],
)
def test_a_password_in_a_subdomain_is_not_repeated(make: Make, subdomain: str) -> None:
    """O3 and X1."""
    message = refused(lambda: make(subdomain=subdomain), "subdomain")
    assert "horse" not in message


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"subdomain": None, "base_url": None}, "subdomain"),
        ({"subdomain": None}, "subdomain"),
        ({"base_url": None}, "subdomain"),
        ({"subdomain": "demo", "base_url": "https://demo.testpress.in"}, "base_url"),
        ({"subdomain": "", "base_url": ""}, "base_url"),
    ],
)
def test_exactly_one_of_subdomain_and_base_url_is_needed(make: Make, options: dict[str, Any], setting: str) -> None:
    instead = 'pass exactly one of subdomain="demo" (for https://demo.testpress.in) and base_url="https://'
    refused(lambda: make(**options), setting, instead)


@pytest.mark.parametrize(
    ("base_url", "plain"),
    [
        ("https://lms.example.com", "https://lms.example.com"),
        ("https://lms.example.com/", "https://lms.example.com"),
        ("https://lms.example.com//", "https://lms.example.com"),
        ("  https://lms.example.com\n", "https://lms.example.com"),
        ("HTTPS://LMS.Example.com", "https://lms.example.com"),
        ("https://lms.example.com:443", "https://lms.example.com"),
        ("https://lms.example.com:8443", "https://lms.example.com:8443"),
        ("https://lms.example.com/portal", "https://lms.example.com/portal"),
        ("https://lms.example.com/Portal/", "https://lms.example.com/Portal"),
        ("https://lms.example.com/a/b//", "https://lms.example.com/a/b"),
        ("https://[2001:DB8::1]/portal", "https://[2001:db8::1]/portal"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("http://localhost", "http://localhost"),
        ("http://localhost:8000/", "http://localhost:8000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.1.2.3", "http://127.1.2.3"),
        ("http://[::1]:8000/portal/", "http://[::1]:8000/portal"),
    ],
)
def test_a_base_url_may_have_a_path_and_a_slash_and_http_on_loopback(make: Make, base_url: str, plain: str) -> None:
    """O3."""
    auth = make(base_url=base_url)
    assert auth._settings.base_url == plain
    assert auth._settings.login_url == f"{plain}/api/v2.2/auth-token/"
    assert plain.startswith(str(auth._settings.origin))


@pytest.mark.parametrize(
    ("base_url", "instead"),
    [
        ("", "pass an absolute URL such as https://lms.example.com"),
        ("  ", "pass an absolute URL such as https://lms.example.com"),
        (5, "pass an absolute URL such as https://lms.example.com"),
        (b"https://lms.example.com", "pass an absolute URL such as https://lms.example.com"),
        ("lms.example.com", "write it like https://lms.example.com"),
        ("lms.example.com:8443/portal", "write it like https://lms.example.com"),
        ("//lms.example.com", "write it like https://lms.example.com"),
        ("https:lms.example.com", "write it like https://lms.example.com"),
        ("https://", "write it like https://lms.example.com"),
        ("https:///portal", "write it like https://lms.example.com"),
        ("ftp://lms.example.com", "write it like https://lms.example.com"),
        ("https://lms.example.com:port", "write it like https://lms.example.com"),
        ("https://lms.example.com:99999", "write it like https://lms.example.com"),
        ("https://lms example.com", "write it like https://lms.example.com"),
        ("https://lms.example.com/a b", "write it like https://lms.example.com"),
        ("https://lms.example.com\\@evil.com", "write it like https://lms.example.com"),
        ("https://lms.example.com\r\n.evil.com", "write it like https://lms.example.com"),
        ("https://bücher.example", "write its host in the xn-- form"),
        ("https://lms.example.com/tür", "not ASCII"),
        ("https://lms.example.com?page=2", "query and fragment have no place in it: write https://lms.example.com"),
        ("https://lms.example.com/p/?", "query and fragment have no place in it: write https://lms.example.com/p"),
        ("https://lms.example.com/p#top", "query and fragment have no place in it: write https://lms.example.com/p"),
        ("https://lms.example.com#", "query and fragment have no place in it: write https://lms.example.com"),
        ("http://lms.example.com", "write https://lms.example.com, or pass allow_http=True"),
        ("http://lms.example.com:8000/p/", "write https://lms.example.com:8000/p, or pass allow_http=True"),
        ("http://127.evil.com", "write https://127.evil.com, or pass allow_http=True"),
        ("http://127.0.0.1.evil.com", "write https://127.0.0.1.evil.com, or pass allow_http=True"),
        ("http://127.0.0.256", "write https://127.0.0.256, or pass allow_http=True"),
        ("http://localhost.evil.com", "write https://localhost.evil.com, or pass allow_http=True"),
    ],
)
def test_what_is_no_base_url_is_refused_with_what_to_write(make: Make, base_url: object, instead: str) -> None:
    """O3."""
    refused(lambda: make(base_url=base_url), "base_url", "base_url: ", instead)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://testpress:hunter2@lms.example.com",
        "https://testpress:hunter2@lms.example.com/portal/?x#y",
        "https://hunter2@lms.example.com",
        "http://testpress:hunter2@lms.example.com",
        "https://:hunter2@lms.example.com",
        "https://a:hunter2@b@lms.example.com",
    ],
)
def test_user_info_in_the_base_url_is_refused_and_not_repeated(make: Make, base_url: str) -> None:
    """O3 and X1."""
    message = refused(
        lambda: make(base_url=base_url), "base_url", "lms.example.com", "pass username and password as arguments"
    )
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "base_url",
    [
        "https://testpress:hunter2/x@lms.example.com",
        pytest.param(
            "https://testpress:2026?hunter2@lms.example.com",
        ),
        pytest.param(
            "https://testpress:2026/hunter2@lms.example.com",
        ),
    ],
)
def test_user_info_that_nobody_encoded_is_refused_and_not_repeated(make: Make, base_url: str) -> None:
    """O3 and X1."""
    message = refused(lambda: make(base_url=base_url), "base_url")
    assert "hunter2" not in message
    assert "2026" not in message


def test_plain_http_elsewhere_has_to_be_asked_for(make: Make) -> None:
    """O3."""
    auth = make(base_url="http://lms.example.com", allow_http=True)
    assert auth._settings.base_url == "http://lms.example.com"


@pytest.mark.parametrize("allow_http", ["false", "no", "0"])
def test_a_word_does_not_allow_plain_http(make: Make, allow_http: str) -> None:
    refused(lambda: make(base_url="http://lms.example.com", allow_http=allow_http), "allow_http")


# Username and password


@pytest.mark.parametrize("username", ["", " ", "\t\n", None, 5, b"testpress", ["testpress"]])
def test_a_user_name_that_is_none_is_refused(make: Make, username: object) -> None:
    refused(lambda: make(username), "username", ": pass the Testpress user name as str")


@pytest.mark.parametrize(
    ("password", "wrong"),
    [
        ("", "password is empty"),
        ("  ", "password is empty"),
        (None, "password is a NoneType"),
        (5, "password is a int"),
        (b"demo", "password is a bytes"),
        (["demo"], "password is a list"),
        (Secret(""), "password is empty"),
    ],
)
def test_an_empty_password_is_refused(make: Make, password: object, wrong: str) -> None:
    refused(lambda: make(password=password), "password", wrong, "pass the password as str, or a callable that returns")


@pytest.mark.parametrize("returned", ["", " ", None, 5, b"demo"])
def test_a_callable_that_returns_no_password_is_refused_when_it_is_asked(make: Make, returned: Any) -> None:
    auth = make(password=lambda: returned)
    assert auth._settings.credentials.is_fetched
    refused(auth._settings.credentials.password, "password", "pass the password as str, or a callable that returns")


def test_what_no_utf8_can_hold_is_refused_without_being_quoted(make: Make) -> None:
    """L1 and X1."""
    refused(lambda: make("test\ud800press"), "username", "username holds a lone surrogate")
    message = refused(lambda: make(password="hunter2\udcff"), "password", "password holds a lone surrogate")
    assert "hunter2" not in message


def test_a_password_is_taken_as_it_is_written(make: Make) -> None:
    """Blanks around it are the server's business."""
    assert make(password=" demo ")._settings.credentials.password().reveal() == " demo "


def test_a_password_shows_itself_nowhere(make: Make) -> None:
    """X1."""
    auth = make()
    credentials = auth._settings.credentials
    for shown in (repr(auth), str(auth), repr(credentials), repr(credentials.password()), str(credentials.password())):
        assert PASSWORD not in shown
    assert repr(credentials) == "Credentials(username='testpress')"
    assert not credentials.is_fetched


def test_credentials_are_equal_where_user_name_and_password_are() -> None:
    """S5."""
    mine = Credentials("testpress", PASSWORD)
    assert mine == Credentials("testpress", Secret(PASSWORD))
    assert mine != Credentials("testpress", "other")
    assert mine != Credentials("admin", PASSWORD)
    assert mine != PASSWORD
    assert mine.__eq__(PASSWORD) is NotImplemented
    assert Secret(PASSWORD) != PASSWORD
    assert Secret(PASSWORD).__eq__(PASSWORD) is NotImplemented
    assert Secret("tür") == Secret("tür")


def _fetch() -> str:
    return PASSWORD


def test_credentials_with_the_same_callable_are_equal() -> None:
    """S5."""
    assert Credentials("testpress", _fetch) == Credentials("testpress", _fetch)
    assert Credentials("testpress", _fetch) != Credentials("testpress", lambda: PASSWORD)
    assert Credentials("testpress", _fetch).password() == Secret(PASSWORD)


@pytest.mark.parametrize(
    ("options", "username"),
    [({"base_url": "https://x?"}, "testpress"), ({"timeout": 0}, "testpress"), ({}, "")],
)
def test_a_crash_reporter_finds_no_password_in_our_frames(make: Make, options: dict[str, Any], username: str) -> None:
    """Section 4: a `Secret` object keeps it out of crash reporters' locals."""
    with pytest.raises(ConfigurationError) as caught:
        make(username, **options)
    ours = [each.frame for each in caught.traceback if "/testpress_auth/" in str(each.path)]
    assert ours
    texts = [value for frame in ours for value in frame.f_locals.values() if isinstance(value, str)]
    assert PASSWORD not in texts


# The rest of the constructor


@pytest.mark.parametrize("version", ["v2.2", "v2.3", "v2.5", "v3", "v2.10.1"])
def test_an_api_version_is_part_of_the_login_s_url(make: Make, version: str) -> None:
    """L1."""
    url = make(api_version=version)._settings.login_url
    assert url == f"https://demo.testpress.in/api/{version}/auth-token/"


@pytest.mark.parametrize(
    ("version", "instead"),
    [
        ("2.2", "v2.2"),
        ("V2.3", "v2.3"),
        (2.5, "v2.5"),
        (3, "v3"),
        ("x", "v2.2"),
        ("", "v2.2"),
        (None, "v2.2"),
        ("v", "v2.2"),
        ("v2.", "v2.2"),
        ("v2.2/", "v2.2"),
        ("v2.2\n", "v2.2"),
        ("v2.2/../..", "v2.2"),
        ("v٢", "v2.2"),
        (b"v2.2", "v2.2"),
    ],
)
def test_another_api_version_is_refused_with_what_to_write(make: Make, version: object, instead: str) -> None:
    message = refused(lambda: make(api_version=version), "api_version")
    assert message == f'api_version={version!r}: write api_version="{instead}"'


@pytest.mark.parametrize("timeout", [-1, -0.001, 0, 0.0, nan, inf, -inf, True, False, "10", None, (3, 10)])
def test_a_timeout_that_is_no_number_of_seconds_is_refused(make: Make, timeout: object) -> None:
    """L4."""
    refused(lambda: make(timeout=timeout), "timeout", f"timeout={timeout!r}: pass the seconds", "timeout=10.0")


@pytest.mark.parametrize("timeout", [10**400, 1e10], ids=["beyond float", "beyond any socket's"])
def test_a_timeout_of_ages_is_refused(make: Make, timeout: float) -> None:
    """L4: threading and socket raise OverflowError for some 300 years."""
    refused(lambda: make(timeout=timeout), "timeout")


@pytest.mark.parametrize("timeout", [10, 0.5])
def test_a_timeout_in_seconds_is_fine(make: Make, timeout: float) -> None:
    assert make(timeout=timeout)._settings.timeout == float(timeout)


def test_login_headers_are_kept_for_the_login(make: Make) -> None:
    """L1."""
    given = {"X-Device-UID": "abc", "User-Agent": "ours/1", "Accept": "*/*", "X-Empty": ""}
    auth = make(login_headers=given)
    assert auth._settings.login_headers == given
    given["X-Late"] = "1"
    assert "X-Late" not in auth._settings.login_headers


@pytest.mark.parametrize("headers", [None, {}])
def test_no_login_headers_are_fine(make: Make, headers: dict[str, str] | None) -> None:
    assert make(login_headers=headers)._settings.login_headers is None


@pytest.mark.parametrize("name", ["", "X Device", "X-Device:", "X-Device\r\n", "X-Gerät", "X\0", "(x)", 5, b"X-Device"])
def test_a_login_header_s_name_has_to_be_one(make: Make, name: Any) -> None:
    refused(lambda: make(login_headers={name: "x"}), "login_headers", f"{name!r} is no header name")


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\n", "\0", "\x7f", "tür", "\u2028", 5, None, b"x", ["x"]])
def test_a_login_header_s_value_has_to_be_printable_ascii(make: Make, value: Any) -> None:
    message = refused(
        lambda: make(login_headers={"X-Key": value}), "login_headers", "the value of X-Key must be a str of"
    )
    assert "Evil" not in message


@pytest.mark.parametrize("value", [" x", "x "])
def test_a_login_header_s_value_has_no_blanks_around_it(make: Make, value: str) -> None:
    refused(lambda: make(login_headers={"X-Key": value}), "login_headers")


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "authorization",
        "Accept-Encoding",
        "CONTENT-TYPE",
        "Content-Length",
        "Transfer-Encoding",
        "Host",
    ],
)
def test_headers_that_the_login_sets_itself_are_refused(make: Make, name: str) -> None:
    """L1."""
    refused(lambda: make(login_headers={name: "x"}), "login_headers", f"{name} is set by the login itself")


@pytest.mark.parametrize("headers", ["X-Device-UID: abc", [("X-Device-UID", "abc")], 5])
def test_login_headers_of_another_type_are_refused(make: Make, headers: Any) -> None:
    refused(lambda: make(login_headers=headers), "login_headers", f"is a {type(headers).__name__}: pass {{")


@pytest.mark.parametrize(
    "origins",
    [
        ("https://files.example.com", "https://b.example:8443/"),
        ["https://files.example.com/", "https://B.example:8443"],
        iter(["https://files.example.com:443", "https://b.example:8443"]),
    ],
    ids=["tuple", "list", "iterator"],
)
def test_further_origins_may_see_the_token(make: Make, origins: Any) -> None:
    """O1."""
    if not isinstance(origins, (tuple, list)):
        origins = iter(["https://files.example.com:443", "https://b.example:8443"])
    assert make(also_send_to=origins)._settings.allowed == (
        Origin("https", "demo.testpress.in", 443),
        Origin("https", "files.example.com", 443),
        Origin("https", "b.example", 8443),
    )


@pytest.mark.parametrize(
    ("origins", "instead"),
    [
        ("https://files.example.com", 'pass a tuple of origins: also_send_to=("https://files.example.com",)'),
        (["https://files.example.com/media"], "an origin has no path: write https://files.example.com"),
        (["http://files.example.com"], "write https://files.example.com, or pass allow_http=True"),
        (["files.example.com"], "write it like https://lms.example.com"),
        (["https://*.example.com"], "write it like https://lms.example.com"),
        (["https://files.example.com?"], "query and fragment have no place in it"),
        (["https://u:hunter2@files.example.com"], "@ and user info have no place in it"),
        ([""], "pass an absolute URL such as https://lms.example.com"),
        ([None], "pass an absolute URL such as https://lms.example.com"),
        (b"https://files.example.com", "pass an absolute URL"),
    ],
)
def test_what_is_no_origin_is_refused_with_what_to_write(make: Make, origins: Any, instead: str) -> None:
    """O1 and O3."""
    message = refused(lambda: make(also_send_to=origins), "also_send_to", "also_send_to: ", instead)
    assert "hunter2" not in message


@pytest.mark.parametrize("origins", [None, 5])
def test_origins_that_are_none_at_all_are_refused(make: Make, origins: Any) -> None:
    refused(lambda: make(also_send_to=origins), "also_send_to")


def test_plain_http_for_a_further_origin_is_fine_on_loopback_or_when_asked_for(make: Make) -> None:
    """O3."""
    local = make(also_send_to=["http://localhost:8000"])
    assert Origin("http", "localhost", 8000) in local._settings.allowed
    asked = make(also_send_to=["http://files.example.com"], allow_http=True)
    assert Origin("http", "files.example.com", 80) in asked._settings.allowed


@pytest.mark.parametrize("on_event", ["print", 5, []])
def test_an_on_event_that_cannot_be_called_is_refused(make: Make, on_event: Any) -> None:
    refused(lambda: make(on_event=on_event), "on_event", "on_event: pass a callable that takes one event")


def test_an_on_event_that_can_be_called_is_fine(make: Make) -> None:
    assert make(on_event=print)._settings.on_event is print
    assert make()._settings.on_event is None


@pytest.mark.parametrize("refresh", [None, 10, "RefreshPolicy()", RefreshPolicy, {"leeway": 10}])
def test_a_refresh_of_another_type_is_refused(make: Make, refresh: Any) -> None:
    """F3."""
    kind = type(refresh).__name__
    refused(lambda: make(refresh=refresh), "refresh", f"refresh is a {kind}: pass refresh=RefreshPolicy(leeway=30)")


def test_a_refresh_policy_is_taken(make: Make) -> None:
    """F3."""
    assert make()._settings.policy == RefreshPolicy()
    assert make(refresh=RefreshPolicy.on_rejection())._settings.policy.ignores_exp


@pytest.mark.parametrize("store", ["redis://", {}, MemoryStore])
def test_a_store_of_another_type_is_refused(make: Make, store: Any) -> None:
    refused(lambda: make(store=store), "store", "pass store=MemoryStore()")


def test_what_the_login_is_sent_with_has_to_be_the_page_s_own_kind() -> None:
    """L2."""
    on_requests: Any = testpress_auth.requests.TestpressJWTAuth
    on_httpx: Any = testpress_auth.httpx.TestpressJWTAuth
    made = ("testpress", PASSWORD)
    refused(lambda: on_requests(*made, subdomain="demo", session=httpx.Client), "session", "pass a requests.Session")
    refused(lambda: on_requests(*made, subdomain="demo", client=5), "client", "pass session=")
    refused(
        lambda: on_httpx(*made, subdomain="demo", client=requests.Session()), "client", "pass an httpx.Client or an"
    )
    refused(lambda: on_httpx(*made, subdomain="demo", session=5), "session", "pass client=")


def test_a_misspelt_argument_is_refused(make: Make) -> None:
    with pytest.raises(TypeError, match="sub_domain"):
        make(sub_domain="demo")


def test_only_tests_bring_a_clock(make: Make) -> None:
    clock = Clock(wall=lambda: 1.0, monotonic=lambda: 2.0, sleep=lambda _: None)
    assert make()._settings.clock is SYSTEM
    assert make(_clock=clock)._settings.clock is clock


# from_env


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set TESTPRESS_*, and nothing else of that name."""

    def set_(**values: str) -> None:
        for name in ("USERNAME", "PASSWORD", "SUBDOMAIN", "BASE_URL", "API_VERSION"):
            monkeypatch.delenv(f"TESTPRESS_{name}", raising=False)
        for name, value in values.items():
            monkeypatch.setenv(f"TESTPRESS_{name}", value)

    return set_


LOGIN = {"USERNAME": "testpress", "PASSWORD": PASSWORD}


@pytest.mark.parametrize(
    ("more", "login_url"),
    [
        ({"SUBDOMAIN": "demo"}, "https://demo.testpress.in/api/v2.2/auth-token/"),
        ({"BASE_URL": "https://lms.example.com/p/"}, "https://lms.example.com/p/api/v2.2/auth-token/"),
        ({"SUBDOMAIN": "demo", "API_VERSION": "v2.5"}, "https://demo.testpress.in/api/v2.5/auth-token/"),
        ({"SUBDOMAIN": "demo", "BASE_URL": "", "API_VERSION": ""}, "https://demo.testpress.in/api/v2.2/auth-token/"),
        ({"SUBDOMAIN": "", "BASE_URL": "http://[::1]:80"}, "http://[::1]/api/v2.2/auth-token/"),
    ],
)
def test_the_environment_is_enough(
    page: ModuleType, variables: Callable[..., None], more: dict[str, str], login_url: str
) -> None:
    variables(**LOGIN, **more)
    auth = page.TestpressJWTAuth.from_env()
    assert type(auth) is page.TestpressJWTAuth
    assert auth._settings.login_url == login_url
    assert auth._settings.credentials == Credentials("testpress", PASSWORD)


@pytest.mark.parametrize(
    ("given", "login_url"),
    [
        ({"subdomain": "other"}, "https://other.testpress.in/api/v2.3/auth-token/"),
        ({"base_url": "https://lms.example.com"}, "https://lms.example.com/api/v2.3/auth-token/"),
        ({"api_version": "v2.5"}, "https://demo.testpress.in/api/v2.5/auth-token/"),
    ],
)
def test_what_is_given_in_code_wins_over_the_environment(
    page: ModuleType, variables: Callable[..., None], given: dict[str, Any], login_url: str
) -> None:
    variables(**LOGIN, SUBDOMAIN="demo", API_VERSION="v2.3")
    auth = page.TestpressJWTAuth.from_env(timeout=3.0, **given)
    assert auth._settings.login_url == login_url
    assert auth._settings.timeout == 3.0


def test_an_address_in_code_needs_none_in_the_environment(page: ModuleType, variables: Callable[..., None]) -> None:
    variables(**LOGIN)
    assert page.TestpressJWTAuth.from_env(subdomain="demo")._settings.base_url == "https://demo.testpress.in"


@pytest.mark.parametrize(
    ("values", "setting", "says"),
    [
        ({}, "TESTPRESS_USERNAME", "the environment variable TESTPRESS_USERNAME is not set or empty: set it"),
        ({"USERNAME": "", "PASSWORD": PASSWORD}, "TESTPRESS_USERNAME", "TESTPRESS_USERNAME is not set or empty"),
        ({"USERNAME": "testpress"}, "TESTPRESS_PASSWORD", "TESTPRESS_PASSWORD is not set or empty: set it"),
        ({**LOGIN, "PASSWORD": ""}, "TESTPRESS_PASSWORD", "TESTPRESS_PASSWORD is not set or empty: set it"),
        (LOGIN, "TESTPRESS_SUBDOMAIN", "set the environment variable TESTPRESS_SUBDOMAIN (demo) or TESTPRESS_BASE_URL"),
        ({**LOGIN, "SUBDOMAIN": "demo", "BASE_URL": "https://x.example"}, "TESTPRESS_SUBDOMAIN", "both set"),
        ({**LOGIN, "SUBDOMAIN": "https://demo.testpress.in"}, "subdomain", 'pass subdomain="demo"'),
        ({**LOGIN, "SUBDOMAIN": "demo", "API_VERSION": "2.3"}, "api_version", 'write api_version="v2.3"'),
        ({**LOGIN, "SUBDOMAIN": "demo", "PASSWORD": "  "}, "password", "password is empty"),
    ],
)
def test_a_variable_that_is_missing_or_wrong_is_named(
    page: ModuleType, variables: Callable[..., None], values: dict[str, str], setting: str, says: str
) -> None:
    variables(**values)
    refused(page.TestpressJWTAuth.from_env, setting, says)


def test_a_crash_reporter_finds_no_password_of_the_environment_in_our_frames(
    page: ModuleType, variables: Callable[..., None]
) -> None:
    """Section 4."""
    variables(**LOGIN)
    with pytest.raises(ConfigurationError) as caught:
        page.TestpressJWTAuth.from_env()
    assert not [each.name for each in caught.traceback if PASSWORD in repr(each.frame.f_locals.get("found"))]


# Copies and pickles


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_is_one_more_caller_of_the_same_account(make: Make, duplicate: Any) -> None:
    """S4."""
    auth = make(on_event=print)
    other = duplicate(auth)
    assert other is not auth
    assert other._source is auth._source
    assert other._settings is auth._settings


def test_a_pickle_carries_settings_and_credentials(make: Make) -> None:
    """S4."""
    auth = make(
        base_url="https://lms.example.com/p",
        api_version="v2.5",
        refresh=RefreshPolicy(leeway=30),
        store=MemoryStore(),
        timeout=3,
        login_headers={"X-Device-UID": "abc"},
        also_send_to=["https://files.example.com"],
        on_event=print,
        _clock=Clock(wall=lambda: 1.0, monotonic=lambda: 2.0, sleep=lambda _: None),
    )
    arrived = pickle.loads(pickle.dumps(auth))  # noqa: S301
    assert type(arrived) is type(auth)
    for name in ("allowed", "api_version", "base_url", "credentials", "login_headers", "on_event", "policy", "timeout"):
        assert getattr(arrived._settings, name) == getattr(auth._settings, name)
    assert arrived._settings.clock is SYSTEM
    assert arrived._source is not auth._source
    assert isinstance(arrived._store, MemoryStore)


@pytest.mark.parametrize(
    ("argument", "options"),
    [("password", {"password": lambda: PASSWORD}), ("on_event", {"on_event": lambda _: None})],
    ids=["password", "on_event"],
)
def test_a_pickle_says_which_argument_cannot_travel(make: Make, argument: str, options: dict[str, Any]) -> None:
    """S4."""
    auth = make(**options)
    with pytest.raises(pickle.PicklingError, match=rf"the argument {argument} of <.*'testpress'.*> cannot be pickled"):
        pickle.dumps(auth)


def test_a_client_cannot_travel_but_a_session_can() -> None:
    """S4."""
    on_httpx = testpress_auth.httpx.TestpressJWTAuth("testpress", PASSWORD, subdomain="demo", client=httpx.Client())
    with pytest.raises(pickle.PicklingError, match="the argument client of"):
        pickle.dumps(on_httpx)
    session = requests.Session()
    session.headers["X-Mine"] = "1"
    on_requests = testpress_auth.requests.TestpressJWTAuth("testpress", PASSWORD, subdomain="demo", session=session)
    arrived = pickle.loads(pickle.dumps(on_requests))  # noqa: S301
    assert arrived._transport.headers["X-Mine"] == "1"


def test_a_session_whose_auth_is_this_very_object_travels_with_it() -> None:
    """S4 and L2."""
    session = requests.Session()
    auth = testpress_auth.requests.TestpressJWTAuth("testpress", PASSWORD, subdomain="demo", session=session)
    session.auth = auth
    arrived = pickle.loads(pickle.dumps(auth))  # noqa: S301
    assert arrived._transport.auth is arrived
