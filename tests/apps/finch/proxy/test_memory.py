"""What was there at the start is not searched for garbage; what comes later is."""

from __future__ import annotations

import gc
import weakref

import pytest

from groundup.apps.finch.proxy.memory import settled


class Ring:
    def __init__(self) -> None:
        self.itself = self


@pytest.mark.parametrize("seldom", [600.0, None])
def test_only_what_came_later_is_searched(seldom: float | None) -> None:
    old = [Ring() for _ in range(100)]
    before = gc.get_freeze_count()
    with settled(seldom):
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
    with settled(600.0):
        assert gone() is None


def test_a_full_search_passes_over_what_an_earlier_one_has_seen() -> None:
    with settled(600.0):
        before = gc.get_freeze_count()
        held = [Ring() for _ in range(5000)]
        gc.collect(1)
        assert gc.get_freeze_count() == before
        gc.collect()
        assert gc.get_freeze_count() >= before + len(held)
    assert gc.get_freeze_count() < before


# R14.5: memory stays flat.
@pytest.mark.parametrize("seldom", [600.0, 0.0, None])
def test_once_in_a_while_everything_is_looked_at(seldom: float) -> None:
    with settled(seldom):
        ring = Ring()
        gone = weakref.ref(ring)
        gc.collect()
        del ring
        gc.collect()
        assert (gone() is None) == (seldom != 600.0)
    gc.collect()
    assert gone() is None
