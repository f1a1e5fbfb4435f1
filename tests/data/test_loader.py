import json
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup.data import DataLoader, TensorDataset


def make(n: int, batch_size: int, shuffle: bool = True, drop_last: bool = False, seed: int = 0):
    return DataLoader(
        TensorDataset(gu.arange(n)), batch_size, shuffle, drop_last, generator=gu.Generator(seed)
    )


def taken(batches) -> list[list[int]]:
    return [x.tolist() for (x,) in batches]


def flat(batches: list[list[int]]) -> list[int]:
    return list(chain.from_iterable(batches))


sizes = st.integers(1, 30), st.integers(1, 12)


@given(*sizes, st.booleans())
def test_every_index_once_an_epoch(n: int, batch_size: int, shuffle: bool) -> None:
    loader = make(n, batch_size, shuffle)
    for epoch in range(2):
        batches = taken(loader)
        assert sorted(flat(batches)) == list(range(n))
        assert len(batches) == len(loader)
        assert all(len(batch) == batch_size for batch in batches[:-1])
        assert (loader.epoch, loader.position) == (epoch + 1, 0)


@given(*sizes)
def test_without_shuffling_the_order_stays(n: int, batch_size: int) -> None:
    assert flat(taken(make(n, batch_size, shuffle=False))) == list(range(n))


def test_drop_last_drops_only_a_smaller_batch() -> None:
    assert list(map(len, taken(make(10, 4, drop_last=True)))) == [4, 4]
    assert list(map(len, taken(make(12, 4, drop_last=True)))) == [4, 4, 4]


# R1.3
def test_same_seed_same_order() -> None:
    a, b, c = make(50, 7), make(50, 7), make(50, 7, seed=1)
    first = [taken(loader) for loader in (a, b, c)]
    second = [taken(loader) for loader in (a, b, c)]
    assert first[0] == first[1] != first[2]
    assert second[0] == second[1] != second[2]
    assert first[0] != second[0]  # a new order in each epoch


# R1.3
@given(*sizes, st.booleans(), st.data())
def test_a_state_continues_in_the_middle_of_an_epoch(
    n: int, batch_size: int, shuffle: bool, data: st.DataObject
) -> None:
    whole = make(n, batch_size, shuffle)
    epochs = [taken(whole) for _ in range(3)]
    at = data.draw(st.integers(0, len(whole)), label="position")

    stopped = make(n, batch_size, shuffle)
    assert taken(stopped) == epochs[0]
    batches = iter(stopped)
    assert taken(next(batches) for _ in range(at)) == epochs[1][:at]
    state = json.loads(json.dumps(stopped.state_dict()))

    resumed = make(n, batch_size, shuffle, seed=99)
    resumed.load_state_dict(state)
    assert (resumed.epoch, resumed.position) == (1, at)
    assert taken(resumed) == epochs[1][at:]
    assert taken(resumed) == epochs[2]


def test_a_state_can_be_taken_again_before_it_is_used() -> None:
    a = make(10, 3)
    next(batches := iter(a))
    b, c = make(10, 3), make(10, 3)
    b.load_state_dict(a.state_dict())
    c.load_state_dict(b.state_dict())
    assert taken(c) == taken(batches)


def test_a_generator_that_others_use_too_is_set_where_it_was() -> None:
    gu.manual_seed(5)
    loader = DataLoader(TensorDataset(gu.arange(8)), 2, shuffle=True)
    next(batches := iter(loader))
    gu.rand(3)  # dropout, say
    state = loader.state_dict()
    expected = [*taken(batches), gu.rand(3).tolist()]

    gu.manual_seed(0)
    other = DataLoader(TensorDataset(gu.arange(8)), 2, shuffle=True)
    other.load_state_dict(state)
    assert [*taken(other), gu.rand(3).tolist()] == expected


def test_a_loop_that_was_left_starts_again() -> None:
    loader = make(9, 2)
    next(iter(loader))
    assert sorted(flat(taken(loader))) == list(range(9))


def test_two_loops_at_a_time_do_not_disturb_each_other() -> None:
    loader = make(6, 2, shuffle=False)
    pairs = [(x.tolist(), y.tolist()) for (x,) in loader for (y,) in loader]
    assert len(pairs) == 9


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"n": 9, "batch_size": 2}, "items 10, this one has 9"),
        ({"n": 10, "batch_size": 3}, "batch_size 2, this one has 3"),
        ({"n": 10, "batch_size": 2, "shuffle": False}, "shuffle True, this one has False"),
        ({"n": 10, "batch_size": 2, "drop_last": True}, "drop_last False, this one has True"),
    ],
)
def test_a_state_of_another_loader_is_refused(other: dict, message: str) -> None:
    loader = make(**other)
    before = loader.state_dict()
    with pytest.raises(ValueError, match=message):
        loader.load_state_dict(make(10, 2).state_dict())
    assert loader.state_dict() == before


def test_items_are_collated_and_batches_transformed() -> None:
    data = [(np.float32(i), i % 2) for i in range(5)]
    loader = DataLoader(data, 2, transform=lambda x, y: (x * 10, y))
    x, y = next(iter(loader))
    assert (x.tolist(), y.tolist()) == ([0, 10], [0, 1])
    assert list(DataLoader(data, 5, collate_fn=len)) == [5]


@pytest.mark.parametrize(
    ("n", "batch_size", "drop_last"), [(5, 0, False), (0, 1, False), (3, 4, True)]
)
def test_loaders_without_batches_are_refused(n: int, batch_size: int, drop_last: bool) -> None:
    with pytest.raises(ValueError, match="DataLoader"):
        make(n, batch_size, drop_last=drop_last)
