"""How long work tells what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Progress = Callable[[int, int, str], None]
"""Is told of steps done, of steps in all or at most, and of what is done."""

SHARES = 1000
"""Into so many shares a part of long work is divided."""
_LISTENER: ContextVar[Progress | None] = ContextVar("listener", default=None)


@contextmanager
def listening(progress: Progress | None) -> Iterator[None]:
    """Within it, long work that nobody else listens to is told to this.

    Args:
        progress: told; nobody if None.

    Example:
        >>> with listening(lambda *told: print(told)):
        ...     tell = listener()
        >>> tell(1, 2, "training"), listener()
        (1, 2, 'training')
        (None, None)
    """
    token = _LISTENER.set(progress)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def listener() -> Progress | None:
    """Who listens to work here, if somebody does; see `listening`."""
    return _LISTENER.get()


def share_of(progress: Progress, number: int, parts: int, what: str) -> Progress:
    """Progress of parts of equal weight, in `SHARES`, told of that of one; it never goes back.

    Args:
        progress: told of the whole.
        number: of the part, from 0.
        parts: how many there are.
        what: the part is called.

    Example:
        >>> tell = share_of(lambda *told: print(told), 1, 2, "degree, seed 1")
        >>> tell(3, 10, "training"); tell(1, 10, "again")
        (1300, 2000, 'degree, seed 1')
        (1300, 2000, 'degree, seed 1')
    """
    furthest = 0

    def tell(done: int, of: int, _: str) -> None:
        nonlocal furthest
        furthest = max(furthest, SHARES * done // max(of, 1))
        progress(SHARES * number + furthest, SHARES * parts, what)

    return tell


def part_of(progress: Progress, number: int, members: int) -> Progress:
    """Progress of all members of an ensemble, told of that of one.

    Args:
        progress: told of the whole.
        number: of the member, from 0.
        members: how many there are.

    Example:
        >>> part_of(lambda *told: print(told), 1, 2)(3, 10, "training")
        (13, 20, 'member 2 of 2: training')
    """

    def tell(done: int, of: int, what: str) -> None:
        progress(number * of + done, members * of, f"member {number + 1} of {members}: {what}")

    return tell
