"""From what a user wrote to the address of an institute: `subdomain` or `base_url`, in its plainest form (O3).

Pure. Every error says what to write instead, and none repeats user info: it may be a password.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ._origin import origin_of
from .errors import ConfigurationError


def base_url_from(subdomain: str | None, base_url: str | None, allow_http: bool) -> str:
    if (subdomain is None) == (base_url is None):
        raise ConfigurationError(
            'pass exactly one of subdomain="demo" (for https://demo.testpress.in) and '
            'base_url="https://lms.example.com"',
            setting="base_url" if base_url is not None else "subdomain",
        )
    if subdomain is not None:
        return f"https://{_subdomain(subdomain)}.testpress.in"
    return checked_url("base_url", base_url, allow_http, path=True)


def _subdomain(subdomain: str) -> str:
    name = subdomain.lower() if isinstance(subdomain, str) and subdomain.isascii() and "@" not in subdomain else ""
    if re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        return name
    host = name.rpartition("//")[2].partition("/")[0]
    if host.endswith(".testpress.in") and host.count(".") == 2:
        instead = f'subdomain="{host.partition(".")[0]}"'
    elif "." in host:
        instead = f'base_url="https://{host}"'
    else:
        instead = 'the first word of your institute\'s address: subdomain="demo" for https://demo.testpress.in'
    raise ConfigurationError(f"subdomain is not a single name: pass {instead}", setting="subdomain")


def checked_url(setting: str, url: object, allow_http: bool, *, path: bool) -> str:
    """Return an absolute URL in its plainest form (O3). A message never repeats user info: it may be a password."""
    example = "https://lms.example.com"

    def wrong(what: str) -> ConfigurationError:
        return ConfigurationError(f"{setting}: {what}", setting=setting)

    if not isinstance(url, str) or not url.strip():
        raise wrong(f"pass an absolute URL such as {example}")
    text = url.strip()
    if not text.isascii():
        raise wrong("the address is not ASCII: write its host in the xn-- form")
    if "@" in text:  # wherever it is, what stands before it may be a password that nobody encoded
        raise wrong(
            f"@ and user info have no place in it: write it like {example}, and pass username and password as arguments"
        )
    origin = origin_of(text)
    if origin is None or not re.search(r"[0-9A-Za-z]", origin.host) or re.search(r"[^-0-9A-Za-z._:]", origin.host):
        raise wrong(f"this is no http(s) URL with a host: write it like {example}")
    parts = urlsplit(text)
    plain = f"{origin}{parts.path.rstrip('/')}"
    if "?" in text or "#" in text:
        raise wrong(f"query and fragment have no place in it: write {plain}")
    if not path and plain != str(origin):
        raise wrong(f"an origin has no path: write {origin}")
    if origin.scheme == "http" and not origin.is_loopback and not allow_http:
        raise wrong(
            f"http would show the password on its way: write {plain.replace('http', 'https', 1)}, "
            "or pass allow_http=True"
        )
    return plain
