"""The replay buffer: fair, bounded, repeatable."""  # R14.3

import json
from collections import Counter

import pytest
from hypothesis import given, settings, strategies as st

from groundup.apps.finch.errors import FinchError
from groundup.apps.finch.models.replay import Example, ReplayBuffer


def filled(count: int, **sizes: float) -> ReplayBuffer:
    buffer = ReplayBuffer(**sizes)  # type: ignore[arg-type]
    for i in range(count):
        buffer.add(Example(f"query {i}", "answer", number=i))
    return buffer


def test_every_example_is_kept_with_the_same_probability() -> None:
    runs, count, entries = 400, 60, 15
    kept: Counter[int] = Counter()
    for seed in range(runs):
        buffer = filled(count, entries=entries, newest=1, seed=seed)
        kept.update(one.number for one in buffer._reservoir)
    expected = runs * entries / count
    spread = (expected * (1 - entries / count)) ** 0.5  # of a binomial count
    assert set(kept) == set(range(count))
    assert all(abs(kept[i] - expected) < 5 * spread for i in range(count))
    assert sum(kept.values()) == runs * entries


def test_the_newest_are_held() -> None:
    buffer = filled(100, entries=5, newest=7)
    assert [one.number for one in buffer][-7:] == list(range(93, 100))


@settings(max_examples=30)
@given(st.lists(st.text(max_size=60), max_size=60), st.integers(80, 400))
def test_the_bounds_hold(texts: list[str], size: int) -> None:
    buffer = ReplayBuffer(entries=10, size=size, newest=4)
    for i, text in enumerate(texts):
        buffer.add(Example(text, "a", number=i))
        assert buffer.held <= size
        assert buffer.held == sum(one.size for one in (*buffer._reservoir, *buffer._newest))
        assert len(buffer) <= 14
    assert buffer.seen == len(texts)


def test_draws_come_from_both_parts_in_the_share_that_was_asked_for() -> None:
    buffer = filled(1000, entries=500, newest=10, fresh=0.25)
    drawn = buffer.sample(4000)
    assert abs(sum(one.number >= 990 for one in drawn) / 4000 - 0.25) < 0.04
    assert len({one.number for one in drawn}) > 400


def test_a_state_goes_through_json_and_continues_exactly() -> None:
    buffer = filled(300, entries=50, newest=9, seed=3)
    buffer.add(Example("half \ud800", "\N{GRINNING FACE}", "wrong", False, 300))
    arrays, value = buffer.state()
    again = ReplayBuffer.from_state(arrays, json.loads(json.dumps(value)))
    for one in (buffer, again):
        one.add(Example("late", "answer", number=301))
    assert [e.number for e in buffer.sample(50)] == [e.number for e in again.sample(50)]
    assert list(buffer) == list(again)
    assert (buffer.held, buffer.seen) == (again.held, again.seen)


def test_nothing_comes_from_an_empty_one_and_bad_bounds_are_refused() -> None:
    assert ReplayBuffer().sample(3) == []
    with pytest.raises(FinchError, match="entries"):
        ReplayBuffer(entries=0)
    with pytest.raises(FinchError, match="fresh"):
        ReplayBuffer(fresh=2)
    with pytest.raises(FinchError, match="damaged"):
        ReplayBuffer.from_state({}, {})
