"""What keeps passwords and tokens out of recorded conversations (cassettes), as options of vcrpy.

Knows where Testpress's secrets stand in a request and an answer. Needs no vcrpy, and must not change what it is given:
during a recording the caller goes on with the answer itself.
"""

from __future__ import annotations

import re
from typing import Any, Final

from testpress_auth.testing.presented import sign

_SCRUBBED: Final = "scrubbed"
#: A token that tells no end, so that a cassette can be played for ever.
_TOKEN: Final = sign({}, _SCRUBBED.encode()).encode()
_HEADERS: Final = ("authorization", "proxy-authorization", "cookie", "api-access-key")
_SECRETS: Final = (
    (re.compile(rb"eyJ[\w-]+\.[\w-]+\.[\w-]*"), _TOKEN),
    (re.compile(rb'("\w*token"\s*:\s*")(?:[^"\\]|\\.)*"'), rb"\g<1>" + _TOKEN + b'"'),
    (re.compile(rb"(access_token=)[^&\s\"'\\]+"), rb"\g<1>" + _TOKEN),
)


def scrubbed() -> dict[str, Any]:
    """Return the options of vcrpy that keep passwords and tokens out of its cassettes.

    `vcr.VCR(**scrubbed())`, or the fixture `vcr_config` of pytest-recording. Left out are: the body of every login (its
    user name too), fields named `password`, every JWT and every field whose name ends with `token`, `access_token` in
    addresses, cookies, and the headers Authorization, Proxy-Authorization and API-access-key. In the place of a token
    stands one that tells no end, so that a cassette can be played for ever.

    A function of your own goes into a list beside ours:
    `vcr.VCR(**{**scrubbed(), "before_record_response": [scrubbed()["before_record_response"], mine]})`.
    """
    return {
        "filter_headers": list(_HEADERS),
        "filter_post_data_parameters": [("password", _SCRUBBED)],
        "decode_compressed_response": True,
        "before_record_request": _request,
        "before_record_response": _response,
    }


def _request(request: Any) -> Any:
    """Scrub a request, which vcrpy has copied for us."""
    request.uri = _without_secrets(request.uri.encode()).decode()
    if request.path.endswith("/auth-token/"):
        request.body = f'{{"username": "{_SCRUBBED}", "password": "{_SCRUBBED}"}}'
    elif isinstance(request.body, bytes):
        request.body = _without_secrets(request.body)
    return request


def _response(response: dict[str, Any]) -> dict[str, Any]:
    """Return a scrubbed copy of an answer."""
    body = response["body"]["string"]
    body = _without_secrets(body.encode() if isinstance(body, str) else body)
    headers = {name: values for name, values in response["headers"].items() if name.lower() != "set-cookie"}
    for name in headers:
        if name.lower() == "content-length":
            headers[name] = [str(len(body))]
        elif name.lower() == "location":
            headers[name] = [_without_secrets(value.encode()).decode() for value in headers[name]]
    return {**response, "headers": headers, "body": {**response["body"], "string": body}}


def _without_secrets(text: bytes) -> bytes:
    for secret, instead in _SECRETS:
        text = secret.sub(instead, text)
    return text
