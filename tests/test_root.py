"""`import testpress_auth`: cheap, lazy, and helpful where a name or a client is missing."""

from __future__ import annotations

import re
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

import testpress_auth
from testpress_auth import _page

root: Any = testpress_auth  # type checkers refuse an unknown name of the module itself, as they should


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script in an interpreter of its own, warnings being errors."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False, timeout=30
    )


def test_importing_the_root_loads_nothing_that_costs() -> None:
    script = "import sys\nbefore = set(sys.modules)\nimport testpress_auth\nprint(*sorted(set(sys.modules) - before))\n"
    done = run(script)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("testpress_auth")} == {
        "testpress_auth",
        "testpress_auth._version",
    }
    assert not loaded & {
        "requests",
        "httpx",
        "jwt",
        "logging",
        "dataclasses",
        "asyncio",
        "urllib.parse",
        "email",
        "ssl",
    }


@pytest.mark.parametrize(
    ("statement", "stays_out"),
    [
        ("from testpress_auth import Token", {"requests", "httpx", "jwt", "asyncio"}),
        ("from testpress_auth import InvalidCredentials, LoginFailed", {"requests", "httpx", "jwt", "asyncio"}),
        ("from testpress_auth import MemoryStore, RefreshPolicy", {"requests", "httpx", "jwt", "asyncio"}),
        ("import testpress_auth.requests", {"httpx", "jwt", "asyncio", "trio", "anyio"}),
        ("import testpress_auth.httpx", {"requests", "jwt"}),
    ],
)
def test_a_name_brings_in_only_what_it_needs(statement: str, stays_out: set[str]) -> None:
    done = run(f"{statement}\nimport sys\nprint(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert not stays_out & set(done.stdout.split())


@pytest.mark.parametrize("name", testpress_auth.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = root.__getattr__(name) if name != "__version__" else testpress_auth.__version__
    assert getattr(root, name) is value
    if isinstance(value, type):
        assert value.__name__ == name
        assert value.__doc__


def test_the_public_names_are_sorted_and_listed() -> None:
    assert testpress_auth.__all__ == sorted(set(testpress_auth.__all__))
    listed = dir(testpress_auth)
    assert listed == sorted(set(listed))
    assert set(testpress_auth.__all__) <= set(listed)


def test_every_public_name_is_listed_before_it_is_used() -> None:
    """For completion in a shell."""
    done = run(
        "import testpress_auth as root\nassert set(root.__all__) <= set(dir(root))\nfrom testpress_auth import *"
    )
    assert done.returncode == 0, done.stderr


def test_the_version_is_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+([a-z]+\d+)?", testpress_auth.__version__)


@pytest.mark.parametrize("name", ["nonsense", "token", "Settings", "_Token", "__wrapped__", "logging"])
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(root, name)
    assert str(caught.value) == f"module 'testpress_auth' has no attribute {name!r}"
    assert not hasattr(root, name)


def test_the_class_is_asked_for_on_a_client_s_page() -> None:
    with pytest.raises(AttributeError, match=r": import it from testpress_auth\.requests or testpress_auth\.httpx$"):
        _ = root.TestpressJWTAuth
    done = run("from testpress_auth import TestpressJWTAuth")
    assert done.stderr.splitlines()[-1].startswith("ImportError: cannot import name 'TestpressJWTAuth'")


def test_a_name_that_is_promised_has_to_have_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testpress_auth, "__all__", [*testpress_auth.__all__, "Nowhere"])
    with pytest.raises(AssertionError, match="Nowhere"):
        _ = root.Nowhere


@pytest.mark.parametrize("client", ["requests", "httpx"])
def test_a_missing_client_is_answered_with_the_line_to_run(client: str) -> None:
    done = run(f"import sys\nsys.modules[{client!r}] = None\nimport testpress_auth.{client}")
    assert done.returncode == 1
    line = f"ImportError: {client} is not installed: pip install 'testpress-auth[{client}]'"
    assert done.stderr.splitlines()[-1] == line


@pytest.mark.parametrize(("here", "missing"), [("requests", "httpx"), ("httpx", "requests")])
def test_one_client_does_without_the_other(here: str, missing: str) -> None:
    script = (
        f"import sys\nsys.modules[{missing!r}] = None\n"
        f"from testpress_auth.{here} import TestpressJWTAuth\n"
        "print(TestpressJWTAuth('testpress', 'demo', subdomain='demo'))\n"
        "import testpress_auth\n"
        "assert all(hasattr(testpress_auth, name) for name in testpress_auth.__all__)\n"
    )
    done = run(script)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"<testpress_auth.{here}.TestpressJWTAuth of 'testpress' at https://demo.testpress.in>\n"


def test_the_pages_share_one_base_that_is_not_public() -> None:
    import testpress_auth.httpx
    import testpress_auth.requests

    pages: list[ModuleType] = [testpress_auth.requests, testpress_auth.httpx]
    assert all(issubclass(page.TestpressJWTAuth, _page.Page) for page in pages)
    assert not hasattr(root, "Page")
