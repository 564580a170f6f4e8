"""A stand-in Testpress server for tests: real HTTP on 127.0.0.1, the answers of the real one.

It knows what the server says and nothing about the clients of this package, which it must not import.
"""

from testpress_auth.testing.server import StandInServer
from testpress_auth.testing.wire import Recorded

__all__ = ["Recorded", "StandInServer"]
