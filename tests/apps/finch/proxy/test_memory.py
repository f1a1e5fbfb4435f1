"""What was there at the start is not searched for garbage; what comes later is."""

from __future__ import annotations

import gc
import weakref

from groundup.apps.finch.proxy.memory import settled


class Ring:
    def __init__(self) -> None:
        self.itself = self


def test_only_what_came_later_is_searched() -> None:
    old = [Ring() for _ in range(100)]
    before = gc.get_freeze_count()
    with settled():
        assert gc.get_freeze_count() >= before + len(old)
        assert not any(one is old[0] for one in gc.get_objects())
        ring = Ring()
        gone = weakref.ref(ring)
        del ring
        gc.collect()
        assert gone() is None
    assert gc.get_freeze_count() == 0
    assert any(one is old[0] for one in gc.get_objects())


def test_garbage_of_before_is_not_kept() -> None:
    gone = weakref.ref(Ring())
    with settled():
        assert gone() is None
