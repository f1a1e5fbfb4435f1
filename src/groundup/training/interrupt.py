"""Ctrl-C between steps: an interrupt waits until the running step is complete.

An exception in the middle of an optimizer's update would leave half of the parameters changed, a
state that no uninterrupted run ever has. So the signal only sets a flag, which the loop looks at
where the state is whole. Who presses Ctrl-C a second time means it: then the exception is raised
at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts_held_back() -> Iterator[Callable[[], bool]]:
    """Hold back the first Ctrl-C inside; if nobody raised it until the end, it is raised there.

    Does nothing outside the main thread, which is the only one to get signals, and nothing where
    the program has its own handler for SIGINT.

    Returns:
        A function that tells whether an interrupt waits.

    Raises:
        KeyboardInterrupt: at the end, or at once for a second Ctrl-C.

    Example:
        >>> import signal
        >>> try:
        ...     with interrupts_held_back() as interrupted:
        ...         signal.raise_signal(signal.SIGINT)
        ...         print("still here:", interrupted())
        ... except KeyboardInterrupt:
        ...     print("raised at the end")
        still here: True
        raised at the end
    """
    received = False

    def hold_back(_signal: int, _frame: FrameType | None) -> None:
        nonlocal received
        if received:
            raise KeyboardInterrupt
        received = True

    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, hold_back)
    try:
        yield lambda: received
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if received:
        raise KeyboardInterrupt
