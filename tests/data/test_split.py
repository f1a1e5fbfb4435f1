from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

import groundup as gu
from groundup.data import random_split, split

# Shares as whole numbers of parts, so that the exact ones are known.
shares = st.lists(st.integers(1, 8), min_size=1, max_size=4)
labels = st.lists(st.integers(0, 4), min_size=1, max_size=80)


def exact_shares(weights: list[int]) -> list[Fraction]:
    return [Fraction(w, sum(weights)) for w in weights]


def assert_partition(parts: list[np.ndarray], n: int) -> None:
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    for part in parts:
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()


@given(st.integers(1, 100), shares, st.integers(0, 5))
def test_plain_parts_have_their_sizes(n: int, weights: list[int], seed: int) -> None:
    exact = exact_shares(weights)
    assume(min(exact) * n >= 1)
    parts = split(n, [float(x) for x in exact], generator=gu.Generator(seed))
    assert_partition(parts, n)
    for part, share in zip(parts, exact, strict=True):
        assert abs(len(part) - n * share) < 1


@given(labels, shares, st.integers(0, 5))
def test_stratified_parts_keep_every_class_within_one(
    classes: list[int], weights: list[int], seed: int
) -> None:
    counts = np.bincount(classes)
    assume(all(count == 0 or count >= len(weights) for count in counts))
    exact = exact_shares(weights)
    assume(min(exact) * min(c for c in counts if c) >= 1)  # so that no part can be empty
    parts = split(
        len(classes), [float(x) for x in exact], stratify=classes, generator=gu.Generator(seed)
    )
    assert_partition(parts, len(classes))
    for part, share in zip(parts, exact, strict=True):
        found = np.bincount(np.array(classes)[part], minlength=len(counts))
        for here, everywhere in zip(found, counts, strict=True):
            assert abs(int(here) - int(everywhere) * share) < 1


def test_stratified_totals_do_not_drift() -> None:
    """Twenty classes whose shares are all cut off alike must not all be rounded the same way."""
    classes = np.repeat(np.arange(20), 5)
    parts = split(100, [0.5, 0.3, 0.2], stratify=classes)
    assert [len(part) for part in parts] == [50, 30, 20]


@given(labels, shares, st.integers(0, 5))
def test_groups_are_never_cut(groups: list[int], weights: list[int], seed: int) -> None:
    assume(len(set(groups)) >= len(weights))
    names = [f"patient {g}" for g in groups]
    parts = split(
        len(groups),
        [float(x) for x in exact_shares(weights)],
        groups=names,
        generator=gu.Generator(seed),
    )
    assert_partition(parts, len(groups))
    seen = [{names[i] for i in part} for part in parts]
    assert sum(map(len, seen)) == len(set(names))
    assert all(seen)


def test_small_groups_come_close_to_the_fractions() -> None:
    groups = np.repeat(np.arange(50), 4)
    train, test = split(200, [0.8, 0.2], groups=groups)
    assert (len(train), len(test)) == (160, 40)


def test_same_seed_same_split() -> None:
    def parts(seed: int) -> list[list[int]]:
        found = split(60, [0.5, 0.5], stratify=[0, 1, 2] * 20, generator=gu.Generator(seed))
        return [part.tolist() for part in found]

    assert parts(1) == parts(1)
    assert parts(1) != parts(2)


def test_the_order_of_the_data_says_nothing() -> None:
    """Every item is about as often in the test part as every other."""
    counts = np.zeros(20)
    generator = gu.Generator(0)
    for _ in range(400):
        counts[split(20, [0.75, 0.25], stratify=[0, 1] * 10, generator=generator)[1]] += 1
    # 5 of 20 or (within a class) 2 or 3 of 10: probability 1/4, standard deviation below 9.
    assert np.abs(counts - 100).max() < 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 10, "fractions": [0.5, 0.4]}, "expected positive numbers that add up to 1"),
        ({"n": 10, "fractions": [1.5, -0.5]}, "expected positive numbers"),
        ({"n": 10, "fractions": []}, "expected positive numbers"),
        ({"n": 3, "fractions": [0.9, 0.1]}, r"part 1 \(fraction 0.1\) of 3 items would be empty"),
        ({"n": 4, "fractions": [0.5, 0.5], "stratify": [0, 1]}, r"stratify has shape \(2,\)"),
        ({"n": 3, "fractions": [0.5, 0.5], "stratify": ["a", "a", "b"]}, "class 'b' has 1 of"),
        ({"n": 3, "fractions": [0.5, 0.5], "groups": [7, 7, 7]}, "1 groups cannot fill 2 parts"),
        (
            {"n": 2, "fractions": [1.0], "groups": [0, 1], "stratify": [0, 1]},
            "stratify and groups were both given",
        ),
    ],
)
def test_impossible_requests(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(**arguments)


@given(st.integers(0, 50), st.integers(1, 4), st.data())
def test_random_split_by_sizes(n: int, parts: int, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.integers(0, n)) for _ in range(parts - 1))
    sizes = np.diff([0, *cuts, n]).tolist()
    subsets = random_split(range(n), sizes, generator=gu.Generator(0))
    assert [len(subset) for subset in subsets] == sizes
    assert sorted(i for subset in subsets for i in subset) == list(range(n))


def test_random_split_by_fractions_gives_the_rest_to_the_first() -> None:
    assert [len(s) for s in random_split(range(11), [0.5, 0.25, 0.25])] == [6, 3, 2]
    assert [len(s) for s in random_split(range(1), [0.5, 0.5])] == [1, 0]


@pytest.mark.parametrize("lengths", [[5, 6], [0.5, 0.4], [11, -1], [], [1.5, -0.5], [3.5, 6.5]])
def test_random_split_refuses_lengths_that_do_not_fit(lengths: list[float]) -> None:
    with pytest.raises(ValueError, match="random_split: lengths"):
        random_split(range(10), lengths)
