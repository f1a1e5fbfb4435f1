"""Machine code on the disk, so that another process need not compile it again.

A folder of files, each named by a hash of everything that its machine code depends on: the
intermediate code, or what it is made of and the compiler that makes it; LLVM's version, the
processor. A file holds a checksum and the code. Whatever is
wrong with the folder or a file, it is as if there were none: the code is compiled again. Writers
replace whole files, so processes may share the folder.

The folder is named by the environment variable GROUNDUP_CACHE, which switches the cache off where
it is empty; otherwise it is ``groundup`` in the folder that the system has for such files.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
import time
from pathlib import Path

from ...files import write_atomically

LIMIT = 256 * 2**20
"""Bytes that the files may take up; when it is passed, the oldest quarter goes."""

_MAGIC = b"groundup machine code 1\n"
_DAY = 86_400.0
_SUFFIX = ".code"


def folder() -> Path | None:
    """Where machine code is kept, whether it exists or not; None if nowhere.

    Example:
        >>> from groundup.engine.compiler.native import cache
        >>> place = cache.folder()
        >>> place is None or place.name == "code"
        True
    """
    stated = os.environ.get("GROUNDUP_CACHE")
    if stated is not None:
        return Path(stated) / "code" if stated else None
    try:
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "groundup" / "code"
        base = os.environ.get("XDG_CACHE_HOME", "")
        root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
        return root / "groundup" / "code"
    except RuntimeError:  # there is no home
        return None


def key(*parts: str) -> str:
    """A name for what depends on these texts and on nothing else.

    Example:
        >>> from groundup.engine.compiler.native import cache
        >>> cache.key("ab", "c") != cache.key("a", "bc")
        True
    """
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode()
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()


@functools.cache
def sources() -> str:
    """A key to the source text of the compiler.

    Example:
        >>> from groundup.engine.compiler.native import cache
        >>> len(cache.sources())
        64
    """
    files = sorted(Path(__file__).parents[1].rglob("*.py"))
    return key(*[f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files])


def read(name: str) -> bytes | None:
    """The code that was written under a name; None if there is none that can be trusted.

    A file of another user is not trusted, because what it holds will be executed.
    """
    place = folder()
    if place is None:
        return None
    path = place / (name + _SUFFIX)
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_uid not in (0, os.geteuid()):
                return None
            content = file.read()
    except OSError:
        return None
    start = len(_MAGIC) + 32
    code = content[start:]
    if content[:start] != _MAGIC + hashlib.sha256(code).digest():
        return None
    if time.time() - status.st_mtime > _DAY:  # the time of a file says when it was last of use
        with contextlib.suppress(OSError):
            os.utime(path)
    return code


def write(name: str, code: bytes) -> None:
    """Keep code under a name, if that is possible."""
    place = folder()
    if place is None:
        return
    with contextlib.suppress(OSError):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = _MAGIC + hashlib.sha256(code).digest() + code
        write_atomically(place / (name + _SUFFIX), content, durable=False)


def trim(limit: int = LIMIT) -> None:
    """Delete the files that were of no use for longest, if all take up more than the limit.

    Args:
        limit: bytes; what remains takes up three quarters of it at most.
    """
    place = folder()
    if place is None:
        return
    with contextlib.suppress(OSError):
        files = []
        for entry in os.scandir(place):
            with contextlib.suppress(OSError):  # another process deletes too
                status = entry.stat(follow_symlinks=False)
                abandoned = entry.name.startswith(".") and time.time() - status.st_mtime > _DAY
                files.append((0.0 if abandoned else status.st_mtime, status.st_size, entry.path))
        files.sort(reverse=True)
        if sum(size for _, size, _ in files) <= limit and all(time for time, _, _ in files):
            return
        total = 0
        for used, size, path in files:
            total += size
            if total > 0.75 * limit or not used:
                with contextlib.suppress(OSError):
                    os.unlink(path)
