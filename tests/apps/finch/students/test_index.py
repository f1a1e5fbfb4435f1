"""The index against a plain one: the same neighbours, to the last bit (R14.2)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from groundup.apps.finch.students import Neighbours
from groundup.apps.finch.students.grams import grams
from groundup.apps.finch.students.index import Index, _largest
from groundup.apps.finch.students.neighbours import DOUBT

from ..traffic import some_traffic


def plainly(index: Index, found: np.ndarray, count: int) -> list[tuple[int, float]]:
    """Each stored query by itself, and all of them sorted."""
    weights = index._weights(found)
    length = np.sqrt(weights.sum())
    if len(found) > index.read:
        kept = np.argsort(-weights, kind="stable")[: index.read]
        found, weights = found[kept], weights[kept]
    likeness = []
    for place, stored in enumerate(index._stored):
        shared = 0.0
        for bucket, weight in zip(found.tolist(), weights.tolist(), strict=True):
            if bucket in stored:
                shared += weight
        likeness.append(float(shared / (length * index._lengths[place])))
    order = sorted(range(len(likeness)), key=lambda place: (-likeness[place], -place))
    return [
        (int(index._numbers[place]), min(likeness[place], 1.0))
        for place in order[:count]
        if likeness[place] > 0
    ]


@pytest.mark.parametrize("weigh", [True, False])
@pytest.mark.parametrize("most", [1000, 150])
def test_the_nearest_are_those_of_a_plain_search(weigh: bool, most: int) -> None:
    index = Index(bits=12, most=most, weigh=weigh, read=24)
    traffic = some_traffic(400, noise=0.2)  # with repeats, so with ties
    for number, (query, _) in enumerate(traffic):
        if number % 20 == 0:
            numbers, likeness = index.nearest(grams(query, 12), 10)
            expected = plainly(index, grams(query, 12), 10)
            assert list(zip(numbers.tolist(), likeness.tolist(), strict=True)) == expected
        index.add(grams(query, 12), number)


def test_of_equals_the_newest_come_first() -> None:
    index = Index(bits=4)
    for number in range(500):
        index.add(np.array([1, 2, 3]), number)
    numbers, _ = index.nearest(np.array([1, 2]), 3)
    assert numbers.tolist() == [499, 498, 497]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=400), st.integers(1, 20))
def test_the_largest_are_those_of_a_sort(values: list[int], count: int) -> None:
    order = sorted(range(len(values)), key=lambda place: (-values[place], -place))
    assert _largest(np.array(values, float), count).tolist() == order[:count]


def test_the_vote_is_that_of_arrays() -> None:
    student = Neighbours(bits=12)
    for query, answer in some_traffic(300, noise=0.3):
        said = student.suggest(query)
        numbers, likeness = student._index.nearest(grams(query, 12), 10)
        if len(numbers):
            answers, places = np.unique(numbers, return_inverse=True)
            votes = np.bincount(places, likeness**2.0)
            winner = int(votes.argmax())
            score = float(votes[winner] / (votes.sum() + DOUBT)) * likeness[places == winner].max()
            assert (said.answer, said.score) == (student._names[int(answers[winner])], score)
        student.learn(query, answer)


@pytest.mark.parametrize("recent", [0, 5, 16, 17, 150, 399])
def test_what_is_kept_is_as_if_it_had_come_one_by_one(recent: int) -> None:
    traffic = [grams(query, 12) for query, _ in some_traffic(450, noise=0.2)]
    kept, fresh = Index(bits=12), Index(bits=12)
    for number, found in enumerate(traffic[:400]):
        kept.add(found, number)
    kept.keep(recent)
    for number in range(400 - recent, 400):
        fresh.add(traffic[number], number)
    for number in range(400, 450):
        for index in (kept, fresh):
            index.add(traffic[number], number)
        one, two = (index.nearest(traffic[number - 7], 5) for index in (kept, fresh))
        assert one[0].tolist() == two[0].tolist()
        assert one[1].tolist() == two[1].tolist()
    again = Index.from_state(*kept.state())
    assert all(np.array_equal(a, again.state()[0][n]) for n, a in fresh.state()[0].items())
    assert np.array_equal(again._having, fresh._having)


def test_lengths_are_measured_together_as_one_by_one() -> None:
    index = Index(bits=12)
    index.add(np.empty(0, np.int64), 0)
    for number, (query, _) in enumerate(some_traffic(300, noise=0.2)):
        index.add(grams(" ".join([query] * (1 + number % 5)), 12)[number % 7 :], number)
    index._measure()
    assert index._lengths[: len(index)].tolist() == [index._length(one) for one in index._stored]
