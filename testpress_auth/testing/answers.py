"""What a Testpress server says: its statuses, headers and texts, word for word.

It knows neither sockets nor which users and sessions there are, and not when to say what; all is pure.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

EXAMS = 45
USERS = 110
PER_PAGE = 20

# Paths, and the `Allow` header which DRF puts on every answer of a view.
ROUTES = tuple(
    (re.compile(pattern), name, allow)
    for pattern, name, allow in (
        (r"/api/v2\.[235]/auth-token/", "login", "POST, OPTIONS"),
        (r"/api/v2\.[235]/me/", "me", "GET, HEAD, OPTIONS"),
        (r"/api/v2\.[235]/exams/", "exams", "GET, HEAD, OPTIONS"),
        (r"/api/v2\.5/admin/users/", "users", "GET, HEAD, OPTIONS"),
        (r"/api/v2\.[235]/echo/", "echo", "POST, OPTIONS"),
        (r"/api/v2\.4/auth/logout/", "logout", "POST, OPTIONS"),
    )
)


@dataclass(frozen=True)
class Answer:
    """One answer: its status, its body and the headers that the body or the case asks for."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """A request ends here, with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def route(path: str) -> tuple[str, str]:
    """Return the name of the view at a path (with or without query) and its `Allow`; ("", "") for none."""
    path = path.partition("?")[0]
    return next(((name, allow) for pattern, name, allow in ROUTES if pattern.fullmatch(path)), ("", ""))


def of_body(status: int, body: bytes | str | Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    """Make an answer of bytes or text (HTML unless `headers` say otherwise) or of a mapping (JSON)."""
    content_type = "application/json" if isinstance(body, Mapping) else "text/html; charset=utf-8"
    if isinstance(body, Mapping):
        # Compact and not escaped, as DRF's JSONRenderer writes it.
        body = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    if isinstance(body, str):
        body = body.encode()
    if "content-type" not in {name.lower() for name in headers}:
        headers = {"Content-Type": content_type, **headers}
    return Answer(status, body, headers)


def of_json(status: int, data: Mapping[str, Any]) -> Answer:
    """Make a JSON answer."""
    return of_body(status, data, {})


def detail(status: int, text: str) -> Answer:
    """Make DRF's usual failure, `{"detail": text}`."""
    return of_json(status, {"detail": text})


def unauthorized(text: str) -> Answer:
    """Make a 401 with the challenge of django-rest-framework-jwt."""
    return of_body(401, {"detail": text}, {"WWW-Authenticate": 'JWT realm="api"'})


def login_failed(text: str) -> Answer:
    """Make the 400 of a login whose fields are well-formed but do not let anybody in."""
    return of_json(400, {"non_field_errors": [text]})


def method_not_allowed(method: str) -> Answer:
    """Make DRF's 405; whoever sends it adds `Allow`."""
    return detail(405, f'Method "{method}" not allowed.')


def not_found() -> Answer:
    """Make Django's page for a path that no view has: HTML, because DRF never sees the request."""
    head = '<html lang="en">\n<head>\n  <title>Not Found</title>\n</head>'
    text = "<h1>Not Found</h1><p>The requested resource was not found on this server.</p>"
    return of_body(404, f"\n<!doctype html>\n{head}\n<body>\n  {text}\n</body>\n</html>\n", {})


def parallel_login() -> Answer:
    """Make the 403 of too many parallel logins: JSON, which Testpress labels text/html (its own app)."""
    # The server's `detail` is not known; `error_code` is what clients go by.
    text = "You have reached the limit of parallel logins."
    body = {"error_code": "parallel_login_restriction", "detail": text}
    return of_body(403, body, {"Content-Type": "text/html"})


def throttled(seconds: float) -> Answer:
    """Make DRF's 429; `seconds` may have decimals in the text ("59.0"), not in `Retry-After`."""
    text = f"Request was throttled. Expected available in {seconds} second{'' if seconds == 1 else 's'}."
    return of_body(429, {"detail": text}, {"Retry-After": str(math.ceil(seconds))})


def exam(number: int, url: str) -> dict[str, Any]:
    """Make one exam, with some of the fields that Testpress documents."""
    return {"id": number, "title": f"Exam {number}", "url": f"{url}{number}/"}


def user(number: int, url: str) -> dict[str, Any]:
    """Make one user as an administrator sees it, with some of the fields that Testpress documents."""
    name, surname = f"User {number}", "Appleseed"
    return {
        "id": number,
        "url": f"{url}{number}/",
        "username": f"user{number}",
        "first_name": name,
        "last_name": surname,
        "display_name": f"{name} {surname}",
        "email": f"user{number}@example.com",
    }


def page(
    url: str,
    query: str,
    number_of_all: int,
    item: Callable[[int, str], Mapping[str, Any]],
) -> Answer:
    """Make one page of a list with absolute links to its neighbours, as DRF's PageNumberPagination does.

    Args:
        url: absolute address of the list, without query.
        query: the request's query string.
        number_of_all: how many things the whole list has.
        item: makes one of them from its number, counted from 1, and the list's address.
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    asked = dict(pairs).get("page") or "1"
    others = [(name, value) for name, value in pairs if name != "page"]
    last = math.ceil(number_of_all / PER_PAGE)
    number = int(asked) if asked.isdecimal() else 0
    if not 1 <= number <= last:
        return detail(404, "Invalid page.")

    def link(other: int) -> str | None:
        if not 1 <= other <= last:
            return None
        # DRF's link to the first page has no `page`.
        page_field = [("page", str(other))] if other > 1 else []
        rest = urlencode(sorted([*others, *page_field], key=lambda pair: pair[0]))
        return f"{url}?{rest}" if rest else url

    numbers = range((number - 1) * PER_PAGE + 1, min(number * PER_PAGE, number_of_all) + 1)
    results = [item(each, url) for each in numbers]
    links = {"next": link(number + 1), "previous": link(number - 1)}
    return of_json(200, {"count": number_of_all, **links, "per_page": PER_PAGE, "results": results})
