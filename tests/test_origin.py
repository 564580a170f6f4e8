"""Which URLs may carry the token: O1 and O2 as pure functions. What is in doubt is foreign."""

from __future__ import annotations

import pytest

from testpress_auth._origin import Origin, belongs_on_https, origin_of

DEMO = Origin("https", "demo.testpress.in", 443)


@pytest.mark.parametrize(
    "url",
    [
        "https://demo.testpress.in",
        "https://demo.testpress.in/",
        "https://demo.testpress.in/api/v2.2/me/",
        "https://demo.testpress.in:443/api/",
        "https://demo.testpress.in:/api/",
        "https://demo.testpress.in:00443/api/",
        "HTTPS://demo.testpress.in/api/",
        "https://DEMO.Testpress.IN/api/",
        "https://demo.testpress.in?page=2",
        "https://demo.testpress.in#top",
        "https://user@demo.testpress.in/",
        "https://user:pass@demo.testpress.in/",
        "https://evil.com@demo.testpress.in/",
        "https://a@b@demo.testpress.in/",
        "https://demo.testpress.in/../../evil.com/",
        "https://demo.testpress.in/./api/",
        "https://demo.testpress.in//evil.com/",
        "https://demo.testpress.in/https://evil.com/",
        "https://demo.testpress.in/@evil.com",
        "https://demo.testpress.in/?next=https://evil.com",
    ],
)
def test_the_token_may_go_to_its_own_origin(url: str) -> None:
    """O1."""
    assert origin_of(url) == DEMO


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://demo.testpress.in/", id="plain http"),
        pytest.param("https://demo.testpress.in:8443/", id="another port"),
        pytest.param("https://demo.testpress.in:80/", id="http's port"),
        pytest.param("https://demo.testpress.in:0/", id="port 0"),
        pytest.param("https://demo.testpress.in.evil.com/", id="ours in front of another"),
        pytest.param("https://demo.testpress.in@evil.com/", id="ours as user info"),
        pytest.param("https://demo.testpress.in:443@evil.com/", id="ours with a port as user info"),
        pytest.param("https://demo.testpress.in%2F@evil.com/", id="ours as encoded user info"),
        pytest.param("https://evil.com/demo.testpress.in", id="ours as a path"),
        pytest.param("https://evil.com/@demo.testpress.in", id="ours behind an @ in a path"),
        pytest.param("https://evil.com?@demo.testpress.in", id="ours behind an @ in a query"),
        pytest.param("https://evil.com#@demo.testpress.in", id="ours behind an @ in a fragment"),
        pytest.param("https://other.testpress.in/", id="a sibling"),
        pytest.param("https://media.testpress.in/", id="the media host"),
        pytest.param("https://static.testpress.in/", id="the static host"),
        pytest.param("https://testpress.in/", id="the parent"),
        pytest.param("https://www.demo.testpress.in/", id="a child"),
        pytest.param("https://xdemo.testpress.in/", id="a longer name"),
        pytest.param("https://demo.testpress.in./", id="a trailing dot"),
        pytest.param("https://.demo.testpress.in/", id="a leading dot"),
        pytest.param("https://demo%2Etestpress.in/", id="an encoded dot"),
        pytest.param("https://demo.testpress.in%00.evil.com/", id="an encoded NUL"),
        pytest.param("https://demo.testpress.in;evil.com/", id="a semicolon"),
        pytest.param("https://demo.testpress.in,evil.com/", id="a comma"),
        pytest.param("https://demo.testpress.in&evil.com/", id="an ampersand"),
        pytest.param("https://s3-ap-southeast-1.amazonaws.com/media.testpress.in/x", id="S3"),
    ],
)
def test_the_token_goes_to_no_other_origin(url: str) -> None:
    """O1."""
    assert origin_of(url) != DEMO


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("", id="nothing"),
        pytest.param("demo.testpress.in/api/", id="no scheme"),
        pytest.param("//demo.testpress.in/api/", id="no scheme, two slashes"),
        pytest.param("/api/v2.2/me/", id="a path"),
        pytest.param("https:demo.testpress.in", id="no slashes"),
        pytest.param("https:/demo.testpress.in", id="one slash"),
        pytest.param("https:///demo.testpress.in", id="three slashes"),
        pytest.param("https://", id="no host"),
        pytest.param("https://:443/", id="a port alone"),
        pytest.param("https://@/", id="an @ alone"),
        pytest.param("https://user@/", id="user info alone"),
        pytest.param("ftp://demo.testpress.in/", id="ftp"),
        pytest.param("wss://demo.testpress.in/", id="wss"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("javascript:alert(1)", id="javascript"),
        pytest.param("https+x://demo.testpress.in/", id="a longer scheme"),
        pytest.param("https\\://demo.testpress.in/", id="a backslash in the scheme"),
        pytest.param("https:\\\\demo.testpress.in/", id="backslashes for slashes"),
        pytest.param("https://evil.com\\@demo.testpress.in/", id="a backslash before the @"),
        pytest.param("https://demo.testpress.in\\@evil.com/", id="a backslash behind the host"),
        pytest.param("https://demo.testpress.in/\\evil.com", id="a backslash in the path"),
        pytest.param(" https://demo.testpress.in/", id="a blank in front"),
        pytest.param("https://demo.testpress.in/ ", id="a blank at its end"),
        pytest.param("https://demo.testpress.in /", id="a blank behind the host"),
        pytest.param("https:// demo.testpress.in/", id="a blank in front of the host"),
        pytest.param("https://demo.testpress.in/a b", id="a blank in the path"),
        pytest.param("https://demo.\ttestpress.in/", id="a tab"),
        pytest.param("https://demo.testpress.in\n/", id="LF"),
        pytest.param("https://demo.testpress.in/\r\nHost: evil.com", id="CR/LF"),
        pytest.param("\x01https://demo.testpress.in/", id="a control in front"),
        pytest.param("https://demo.testpress.in/\0", id="NUL"),
        pytest.param("https://demo.testpress.in/\x7f", id="DEL"),
        pytest.param("https://demo\u3002testpress.in/", id="an ideographic full stop"),
        pytest.param("https://\uff44emo.testpress.in/", id="a full-width letter"),
        pytest.param("https://d\u0435mo.testpress.in/", id="a Cyrillic letter"),
        pytest.param("https://demo.testpress.in/\u00e9", id="a path that is not ASCII"),
        pytest.param("https://demo.testpress.in\u2215@evil.com/", id="a division slash"),
        pytest.param("https://demo.testpress.in:port/", id="a port of letters"),
        pytest.param("https://demo.testpress.in:-443/", id="a negative port"),
        pytest.param("https://demo.testpress.in:+443/", id="a port with a sign"),
        pytest.param("https://demo.testpress.in:4_43/", id="a port with an underscore"),
        pytest.param("https://demo.testpress.in:65536/", id="a port too high"),
        pytest.param("https://demo.testpress.in:0/", id="a port that nothing listens on"),
        pytest.param("https://demo.testpress.in:443:443/", id="two ports"),
        pytest.param("https://demo.testpress.in:443\u0664/", id="an Arabic digit"),
        pytest.param("https://[::1/", id="an open bracket"),
        pytest.param("https://::1/", id="IPv6 without brackets"),
    ],
)
def test_what_no_client_could_mean_for_sure_is_foreign(url: str) -> None:
    """O1: a miss costs a 401, a wrong hit costs the token."""
    assert origin_of(url) is None


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://[demo.testpress.in]/", id="a name in brackets"),
        pytest.param("https://[::1]x/", id="text behind brackets"),
        pytest.param("https://x[::1]/", id="text in front of brackets"),
        pytest.param("https://evil.com[demo.testpress.in]/", id="a name in front of a name in brackets"),
    ],
)
def test_brackets_that_hold_no_ipv6_address_or_not_all_of_the_host_are_foreign(url: str) -> None:
    assert origin_of(url) is None


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://[2001:DB8::1]/", Origin("https", "2001:db8::1", 443)),
        ("https://[2001:db8::1]:8443/", Origin("https", "2001:db8::1", 8443)),
        ("http://[::1]:8000/api/", Origin("http", "::1", 8000)),
        ("https://user:pass@[::1]:8443/api/", Origin("https", "::1", 8443)),
        ("https://demo.testpress.in:1/", Origin("https", "demo.testpress.in", 1)),
        ("http://127.0.0.1/", Origin("http", "127.0.0.1", 80)),
        ("http://demo.testpress.in:80/", Origin("http", "demo.testpress.in", 80)),
        ("https://xn--bcher-kva.example/", Origin("https", "xn--bcher-kva.example", 443)),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: Origin) -> None:
    """O1 (RFC 6454)."""
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (DEMO, "https://demo.testpress.in"),
        (Origin("https", "demo.testpress.in", 8443), "https://demo.testpress.in:8443"),
        (Origin("https", "demo.testpress.in", 80), "https://demo.testpress.in:80"),
        (Origin("http", "localhost", 80), "http://localhost"),
        (Origin("http", "localhost", 443), "http://localhost:443"),
        (Origin("http", "::1", 8000), "http://[::1]:8000"),
        (Origin("https", "2001:db8::1", 443), "https://[2001:db8::1]"),
    ],
)
def test_an_origin_is_shown_as_one_would_write_it(origin: Origin, text: str) -> None:
    assert str(origin) == text
    assert origin_of(text) == origin


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.0.0.0", "127.255.255.255", "127.1.2.3", "[::1]"]
)
def test_loopback_is_this_machine(host: str) -> None:
    """O3."""
    origin = origin_of(f"http://{host}:8000/")
    assert origin is not None
    assert origin.is_loopback


@pytest.mark.parametrize(
    "host",
    [
        "127.evil.com",
        "127.0.0.1.evil.com",
        "127.0.0.evil",
        "127.0.0.256",
        "127.0.0.-1",
        "127.0.0.",
        "127..0.1",
        "127.0.0.0x1",
        "127.0.1",
        "127.1",
        "127",
        "127.0.0.1.",
        "127.0.0.1.1",
        "127.0.0.0001",
        "1127.0.0.1",
        "128.0.0.1",
        "0.0.0.0",  # noqa: S104 (an address, not a binding)
        "10.0.0.1",
        "localhost.evil.com",
        "evil.localhost.com",
        "localhost.",
        "localhost6",
        "demo.testpress.in",
        "[::2]",
        "[::]",
        "[::ffff:127.0.0.1]",
    ],
)
def test_what_only_looks_like_loopback_is_not(host: str) -> None:
    """O3."""
    origin = origin_of(f"http://{host}:8000/")
    assert origin is not None
    assert not origin.is_loopback


@pytest.mark.parametrize("digit", ["\u0661", "\u00b2", "\uff11"], ids=ascii)
def test_digits_of_other_scripts_are_no_loopback(digit: str) -> None:
    """O3: Python reads some of them as numbers."""
    assert not Origin("http", f"127.0.0.{digit}", 80).is_loopback


def test_a_host_of_very_many_digits_is_not_loopback() -> None:
    """(Python 3.10.13 and 3.11+ limit the digits; a host is 253 characters at most.)"""
    assert not Origin("http", f"127.0.0.{'1' * 5000}", 80).is_loopback


@pytest.mark.parametrize(
    ("origin", "allowed", "moves"),
    [
        pytest.param(Origin("http", DEMO.host, 80), (DEMO,), True, id="an old next link"),
        pytest.param(
            Origin("http", "b.example", 80), (DEMO, Origin("https", "b.example", 443)), True, id="of another allowed"
        ),
        pytest.param(Origin("http", DEMO.host, 8080), (DEMO,), False, id="another port"),
        pytest.param(Origin("http", DEMO.host, 443), (DEMO,), False, id="https's port"),
        pytest.param(Origin("http", "other.testpress.in", 80), (DEMO,), False, id="another host"),
        pytest.param(DEMO, (DEMO,), False, id="https already"),
        pytest.param(Origin("https", DEMO.host, 80), (DEMO,), False, id="https on port 80"),
        pytest.param(
            Origin("http", DEMO.host, 80), (Origin("https", DEMO.host, 8443),), False, id="allowed on another port"
        ),
        pytest.param(Origin("http", DEMO.host, 80), (Origin("http", DEMO.host, 80),), False, id="an http base URL"),
        pytest.param(Origin("http", DEMO.host, 80), (), False, id="nothing allowed"),
    ],
)
def test_plain_http_moves_to_https_where_the_token_lives_there(
    origin: Origin, allowed: tuple[Origin, ...], moves: bool
) -> None:
    """O2."""
    assert belongs_on_https(origin, allowed) is moves
