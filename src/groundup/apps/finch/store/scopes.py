"""Which scopes there are: who uses the home, without saying who.

A scope is the hash of a key and a namespace, and nothing of one is used for another. One is noted
when something is first learned in it, so that wrong keys leave no trace.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from .database import reading
from .home import Home


@dataclass(frozen=True, slots=True)
class Scope:
    """One key in one namespace.

    Attributes:
        scope: the hash.
        namespace: as it was called; "" if it had no name.
        created: when something was first learned in it, in seconds since 1970.

    Example:
        >>> Scope("00112233", "support", 0.0).namespace
        'support'
    """

    scope: str
    namespace: str
    created: float


class Scopes:
    """Finds the scope of a key, without the disk once it is made.

    A home that has taken over an archive has several salts: a key belongs to the scope that it
    already has under one of them, the one that was taken over last counting first.

    Args:
        home: whose salts are used.

    Example:
        >>> import hashlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     home = Home(f"{folder}/finch")
        ...     with home.alone("serve"):
        ...         scopes = Scopes(home)
        >>> found = scopes.of(lambda salt: hashlib.blake2b(b"key", key=salt).hexdigest()[:32])
        >>> len(found)
        32
    """

    def __init__(self, home: Home) -> None:
        self._own, *self._imported = home.salts
        self._known: set[str] = set()
        if self._imported and home.database.exists():
            with reading(home.database) as db:
                self._known = {found.scope for found in scopes_in(db)}

    def of(self, hashed: Callable[[bytes], str]) -> str:
        """The scope of a key.

        Args:
            hashed: the hash of key and namespace with a salt.
        """
        for salt in reversed(self._imported):
            if (scope := hashed(salt)) in self._known:
                return scope
        return hashed(self._own)


def scopes_in(db: sqlite3.Connection) -> list[Scope]:
    """What is noted, the oldest first."""
    rows = db.execute("SELECT scope, namespace, created FROM scopes ORDER BY created, scope")
    return [Scope(*row) for row in rows]
