"""What was there at the start is kept out of the search for garbage.

A full search looks at every object, and what is imported alone makes it some 40 ms long, in which
no request moves.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def settled() -> Iterator[None]:
    """Within it garbage is looked for only among the objects that came after its beginning.

    Example:
        >>> before = gc.get_freeze_count()
        >>> with settled():
        ...     gc.get_freeze_count() > before
        True
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
