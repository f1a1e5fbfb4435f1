"""Randomness: the same bits from the same seed, states that resume, distributions that are right.

The stream is compared with a second implementation of Philox, written out below; a few known values
are pinned, so that a change of the stream is noticed. Seeds are fixed: a test that passes keeps
passing. Proves R1.3.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import stats

import groundup as gu
from groundup.engine.random import Generator

from .drawing import Array

MASK = 2**64 - 1


def philox(counter: int, key: int) -> list[int]:
    """Four words of Philox 4x64-10 (Salmon et al., 2011, section 4.3)."""
    c = [counter >> shift & MASK for shift in (0, 64, 128, 192)]
    k = [key & MASK, key >> 64 & MASK]
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [second >> 64 ^ c[1] ^ k[0], second & MASK, first >> 64 ^ c[3] ^ k[1], first & MASK]
        k = [k[0] + 0x9E3779B97F4A7C15 & MASK, k[1] + 0xBB67AE8584CAA73B & MASK]
    return c


def expected_words(seed: int, count: int) -> list[int]:
    blocks = (philox(i, seed % 2**128) for i in range(1, count // 4 + 2))
    return list(itertools.chain.from_iterable(blocks))[:count]


# The stream


def test_philox_gives_the_known_answer_of_its_authors() -> None:
    expected = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert philox(0, 0) == expected


@given(seed=st.integers(-(2**130), 2**130), counts=st.lists(st.integers(0, 9), max_size=5))
def test_the_stream_is_philox_however_it_is_cut(seed: int, counts: list[int]) -> None:
    g = Generator(seed)
    drawn = [int(word) for n in counts for word in g.words(n)]
    assert drawn == expected_words(seed, sum(counts))
    assert g.initial_seed() == seed


def test_known_values() -> None:
    """A difference here means that no earlier experiment can be repeated: a new major version."""
    assert Generator(0).words(2).tolist() == [213000021201967259, 4455796210202625458]
    gu.manual_seed(0)
    assert gu.rand(3).tolist() == [0.034741878509521484, 0.011546730995178223, 0.6119502186775208]
    assert gu.rand(2, dtype=gu.float64).tolist() == [0.11142585551493822, 0.5644146216071337]
    normal = [1.025330662727356, -0.20389823615550995, -0.6839717626571655]
    assert gu.randn(3).tolist() == pytest.approx(normal, rel=1e-6)  # to the rounding of log, cos
    assert gu.randint(0, 1000, (4,)).tolist() == [167, 196, 405, 770]
    assert gu.randperm(6).tolist() == [1, 3, 2, 0, 5, 4]


@given(seed=st.integers(0, 2**64), count=st.integers(0, 7))
def test_uniform_numbers_are_the_high_bits_of_the_words(seed: int, count: int) -> None:
    words = expected_words(seed, count)
    doubles = Generator(seed).uniform((count,), gu.float64)
    assert doubles.tolist() == [(word >> 11) / 2**53 for word in words]
    halves = [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)]
    singles = Generator(seed).uniform((count,), gu.float32)
    assert singles.tolist() == [(half >> 8) / 2**24 for half in halves[:count]]


@given(seed=st.integers(0, 99), low=st.integers(-(2**63), 2**62), width=st.integers(1, 2**62))
def test_integers_are_words_modulo_the_range(seed: int, low: int, width: int) -> None:
    found = Generator(seed).integers(low, low + width, (5,))
    assert found.tolist() == [word % width + low for word in expected_words(seed, 5)]


def test_normal_numbers_are_box_and_muller() -> None:
    u = Generator(3).uniform((2, 4), gu.float64)
    x = Generator(3).normal((7,), gu.float64)
    radius = [math.sqrt(-2 * math.log1p(-v)) for v in u[0]]
    angle = 2 * math.pi * u[1]
    expected = [r * math.cos(a) for r, a in zip(radius, angle, strict=True)]
    expected += [r * math.sin(a) for r, a in zip(radius, angle, strict=True)]
    np.testing.assert_allclose(x, expected[:7], rtol=1e-13)


def test_what_a_draw_consumes() -> None:
    """A word gives one float64, or two float32 numbers; of an odd count half a word is dropped.

    So (2,) and (2,) are together (4,), while (1,) and (3,) are not; normal numbers are made in two
    halves and depend on the whole count.
    """

    def used(draw: str, count: int, dtype: np.dtype) -> int:
        g = Generator(0)
        getattr(g, draw)((count,), dtype)
        return g.words(1)[0].item()

    stream = expected_words(0, 12)
    for count in range(8):
        assert used("uniform", count, gu.float64) == stream[count]
        assert used("uniform", count, gu.float32) == stream[(count + 1) // 2]
        assert used("normal", count, gu.float64) == stream[2 * ((count + 1) // 2)]
        assert used("normal", count, gu.float32) == stream[(count + 1) // 2]
    g = Generator(0)
    pairs = np.concatenate([g.uniform((2,)), g.uniform((2,))])
    assert pairs.tolist() == Generator(0).uniform((4,)).tolist()
    assert Generator(0).uniform((2, 3)).ravel().tolist() == Generator(0).uniform((6,)).tolist()


# Seeds and states


def everything(generator: Generator | None) -> list[Array]:
    """A draw from each function that draws."""
    x = gu.zeros(3)
    weights = gu.tensor([[0.2, 0.8, 0.5], [1.0, 1.0, 1.0]])
    drawn = [
        gu.rand(3, generator=generator),
        gu.randn(2, 2, generator=generator),
        gu.randint(0, 9, (3,), generator=generator),
        gu.randperm(5, generator=generator),
        gu.rand_like(x, generator=generator),
        gu.randn_like(x, dtype=gu.float64, generator=generator),
        gu.bernoulli(weights, generator=generator),
        gu.multinomial(weights, 2, generator=generator),
        gu.multinomial(weights, 4, replacement=True, generator=generator),
        gu.zeros(3).uniform_(-1, 1, generator=generator),
        gu.zeros(3).normal_(1, 2, generator=generator),
    ]
    return [t.array for t in drawn]


def same(left: list[Array], right: list[Array]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def test_the_same_seed_gives_the_same_numbers_everywhere() -> None:
    gu.manual_seed(5)
    first = everything(None)
    second = everything(None)
    gu.manual_seed(5)
    assert same(everything(None), first)
    assert not same(first, second)
    assert same(everything(Generator(5)), first), "the default generator is one like any other"


def test_a_generator_that_is_passed_is_the_only_one_used() -> None:
    gu.manual_seed(1)
    before = gu.default_generator.get_state()
    everything(Generator(2))
    assert gu.default_generator.get_state() == before


def test_different_seeds_give_different_numbers() -> None:
    first = {Generator(seed).words(1).item() for seed in range(-50, 1000)}
    assert len(first) == 1050
    assert Generator().initial_seed() != Generator().initial_seed()


def test_manual_seed_returns_the_generator() -> None:
    assert gu.manual_seed(3) is gu.default_generator
    assert gu.default_generator.initial_seed() == 3
    assert Generator(1).manual_seed(2).words(1) == Generator(2).words(1)


@given(seed=st.integers(0, 2**64), drawn=st.integers(0, 11))
def test_a_state_continues_from_every_position_through_json(seed: int, drawn: int) -> None:
    g = Generator(seed)
    g.words(drawn)
    state = json.loads(json.dumps(g.get_state()))
    expected = g.words(9).tolist()
    assert g.words(1) != expected[0]
    g.set_state(state)
    assert g.words(9).tolist() == expected
    other = Generator(seed + 1)
    other.set_state(state)
    assert other.words(9).tolist() == expected
    assert other.initial_seed() == seed


def test_a_state_is_a_copy() -> None:
    g = Generator(0)
    state = g.get_state()
    g.words(5)
    assert state == Generator(0).get_state()


@pytest.mark.parametrize("key", ["seed", "counter", "buffer", "buffer_pos"])
def test_a_state_with_a_part_missing_is_refused(key: str) -> None:
    g = Generator(0)
    state = g.get_state()
    del state[key]
    before = g.get_state()
    with pytest.raises(ValueError, match=f"not a generator state: missing {key}"):
        g.set_state(state)
    assert g.get_state() == before


def test_a_state_that_is_damaged_is_refused_and_changes_nothing() -> None:
    g = Generator(0)
    before = g.get_state()
    for damage in ({"counter": [1, 2]}, {"buffer": []}, {"buffer_pos": 9}, {"counter": ["a"] * 4}):
        with pytest.raises(ValueError, match=r"not a generator state|invalid literal"):
            g.set_state({**before, "seed": 5, **damage})
        assert g.get_state() == before


# Distributions


@pytest.mark.parametrize("dtype", [gu.float32, gu.float64], ids=str)
def test_uniform_numbers_are_uniform(dtype: np.dtype) -> None:
    u = Generator(1).uniform((100_000,), dtype)
    assert stats.kstest(u, "uniform").pvalue > 0.01
    assert 0 <= u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1


@pytest.mark.parametrize("dtype", [gu.float16, gu.float32, gu.float64], ids=str)
def test_one_is_never_drawn(dtype: np.dtype) -> None:
    """Not by rounding either: the largest words of the stream stay below 1."""
    u = Generator(0).uniform((1_000_000,), dtype)
    assert u.dtype == dtype
    assert u.max() < 1
    assert u.min() >= 0
    if dtype == gu.float16:
        assert len(np.unique(u)) == 2**11


@pytest.mark.parametrize("dtype", [gu.float32, gu.float64], ids=str)
def test_normal_numbers_are_normal(dtype: np.dtype) -> None:
    x = Generator(2).normal((100_001,), dtype).astype(np.float64)
    assert np.isfinite(x).all()
    assert stats.kstest(x, "norm").pvalue > 0.01
    assert stats.normaltest(x).pvalue > 0.01
    halves = x[:50_000], x[50_001:]
    assert abs(np.corrcoef(*halves)[0, 1]) < 0.02, "cosines and sines of one angle"
    assert abs(np.corrcoef(halves[0] ** 2, halves[1] ** 2)[0, 1]) < 0.02


def test_neighbours_are_independent() -> None:
    u = Generator(3).uniform((100_000,))
    for lag in (1, 2, 3, 4, 8):
        assert abs(np.corrcoef(u[:-lag], u[lag:])[0, 1]) < 0.015, lag
    pairs = np.histogram2d(u[::2], u[1::2], bins=10)[0].ravel()
    assert stats.chisquare(pairs).pvalue > 0.01


def test_neighbouring_seeds_are_independent() -> None:
    u = np.stack([Generator(seed).uniform((200,)) for seed in range(200)])
    assert stats.kstest(u[:, 0], "uniform").pvalue > 0.01
    correlations = np.corrcoef(u)[np.triu_indices(200, 1)]
    assert abs(correlations).max() < 0.4
    assert correlations.std() == pytest.approx(1 / math.sqrt(200), rel=0.05)


@pytest.mark.parametrize(("low", "high"), [(0, 2), (-3, 4), (10, 20)])
def test_integers_are_uniform(low: int, high: int) -> None:
    x = gu.randint(low, high, (20_000,), generator=Generator(4))
    counts = np.bincount(x.array - low, minlength=high - low)
    assert len(counts) == high - low
    assert stats.chisquare(counts).pvalue > 0.01


def test_permutations_are_uniform() -> None:
    g = Generator(5)
    counts = Counter(tuple(g.permutation(4).tolist()) for _ in range(24_000))
    assert set(counts) == set(itertools.permutations(range(4)))
    assert stats.chisquare(list(counts.values())).pvalue > 0.01


def test_bernoulli() -> None:
    p = gu.tensor([0.0, 0.1, 0.5, 0.9, 1.0])
    x = gu.bernoulli(p.expand(20_000, 5), generator=Generator(6))
    assert x.dtype == p.dtype
    assert set(np.unique(x.array)) == {0, 1}
    mean = x.mean(0)
    assert mean[0].item() == 0
    assert mean[4].item() == 1
    np.testing.assert_allclose(mean.array, p.array, atol=0.015)


def test_multinomial_with_replacement() -> None:
    weights = gu.tensor([[1.0, 0.0, 2.0, 5.0], [0.0, 1.0, 1.0, 0.0]])
    x = gu.multinomial(weights, 20_000, replacement=True, generator=Generator(7))
    assert x.shape == (2, 20_000)
    for row, w in zip(x.array, weights.array, strict=True):
        counts = np.bincount(row, minlength=4)
        assert not counts[w == 0].any()
        expected = w[w > 0] / w.sum() * 20_000
        assert stats.chisquare(counts[w > 0], expected).pvalue > 0.01
    assert gu.multinomial(weights[0], 3, True).shape == (3,)


def test_multinomial_without_replacement_draws_like_an_urn() -> None:
    """The chance of (i, j) is w_i / W * w_j / (W - w_i)."""
    weights = [1.0, 2.0, 4.0, 0.0]
    g, total = Generator(8), 7.0
    rows = gu.tensor(weights).expand(20_000, 4)
    counts = Counter(map(tuple, gu.multinomial(rows, 2, generator=g).tolist()))
    pairs = list(itertools.permutations(range(3), 2))
    assert set(counts) == set(pairs)
    expected = [20_000 * weights[i] / total * weights[j] / (total - weights[i]) for i, j in pairs]
    assert stats.chisquare([counts[p] for p in pairs], expected).pvalue > 0.01


def test_moments_of_in_place_draws() -> None:
    g = Generator(9)
    u = gu.empty(50_000).uniform_(-2, 6, generator=g)
    assert u.min().item() >= -2
    assert u.max().item() < 6
    assert u.mean().item() == pytest.approx(2, abs=0.05)
    x = gu.empty(50_000).normal_(3, 0.5, generator=g)
    assert x.mean().item() == pytest.approx(3, abs=0.02)
    assert x.std().item() == pytest.approx(0.5, abs=0.01)


def test_dtypes_and_shapes_of_draws() -> None:
    for draw in (gu.rand, gu.randn):
        assert draw(2, 3).dtype == gu.float32
        assert draw((2, 3), dtype=gu.float64).shape == (2, 3)
        assert draw(0, 3).shape == (0, 3)
        assert draw(()).shape == ()
        assert draw(2, requires_grad=True).requires_grad
        with pytest.raises(TypeError, match="float"):
            draw(2, dtype=gu.int64)
    assert gu.randint(5, (2,)).dtype == gu.randperm(3).dtype == gu.int64
    assert gu.randint(0, 5, (2, 2), dtype=gu.uint8).dtype == gu.uint8
    assert gu.randint(3, ()).shape == ()
    assert gu.randperm(0).shape == (0,)
    assert gu.rand_like(gu.ones(2, dtype=gu.float64)).dtype == gu.float64


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[3, 3\): the range is empty"):
        gu.randint(3, 3, (1,))
    for weights in ([-1.0, 2.0], [0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0]):
        with pytest.raises(ValueError, match="finite and >= 0, with a positive sum"):
            gu.multinomial(gu.tensor(weights), 1)
    with pytest.raises(ValueError, match=r"2 samples without replacement .* 1 non-zero"):
        gu.multinomial(gu.tensor([0.0, 1.0]), 2)
