"""Searches for garbage are kept short: they look at what is new.

A full search looks at every object. With all that is imported, and models that were compiled, it
takes long, and no request moves meanwhile.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def settled(seldom: float | None = None) -> Iterator[None]:
    """Within it garbage is looked for among the objects that came since.

    Args:
        seldom: if there will be very many, what a full search has seen is passed over by later ones
            too, and all objects are looked at again after so many seconds only. What has become
            garbage since it was passed over stays until then.

    Example:
        >>> before = gc.get_freeze_count()
        >>> with settled(600.0):
        ...     gc.get_freeze_count() > before
        True
    """
    whole = time.monotonic()

    def look(phase: str, info: dict[str, int]) -> None:
        nonlocal whole
        if seldom is None or info["generation"] < 2:
            return
        if phase == "stop":
            gc.freeze()
        elif time.monotonic() - whole >= seldom:
            whole = time.monotonic()
            gc.unfreeze()

    gc.collect()
    gc.freeze()
    gc.callbacks.append(look)
    try:
        yield
    finally:
        gc.callbacks.remove(look)
        gc.unfreeze()
