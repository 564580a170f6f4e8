"""A stand-in Testpress server for tests: real HTTP on 127.0.0.1, the answers of the real one. And a suite for stores.

It knows what the server says and nothing about the clients of this package, which it must not import. Each name is
imported when first used: who wants a clock should not pay for a server.
"""

TYPE_CHECKING = False  # type checkers know the name
if TYPE_CHECKING:
    from testpress_auth.testing.clock import ManualClock
    from testpress_auth.testing.conformance import StoreConformance
    from testpress_auth.testing.server import StandInServer
    from testpress_auth.testing.wire import Recorded

__all__ = ["ManualClock", "Recorded", "StandInServer", "StoreConformance"]

if not TYPE_CHECKING:  # pragma: no branch (always so at run time; type checkers would take any name for good)

    def __getattr__(name):
        homes = {
            "ManualClock": "clock",
            "Recorded": "wire",
            "StandInServer": "server",
            "StoreConformance": "conformance",
        }
        if name not in homes:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"{__name__}.{homes[name]}"), name)
        return value
