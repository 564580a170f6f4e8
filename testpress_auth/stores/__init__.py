"""Where tokens are shared. A store never holds a password (X2)."""

from .memory import MemoryStore

__all__ = ["MemoryStore"]
