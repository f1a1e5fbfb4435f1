"""The event loop of both processes: uvloop where there is one, which takes less for each event."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Coroutine
from typing import Any


def run(main: Coroutine[Any, Any, None]) -> None:
    """As `asyncio.run`.

    Example:
        >>> run(asyncio.sleep(0))
    """
    if importlib.util.find_spec("uvloop") is None:  # as on Windows
        asyncio.run(main)
    else:
        import uvloop

        uvloop.run(main)
