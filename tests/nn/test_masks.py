"""R2.6: what attention may read, by distance; heads of queries that share keys and values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
import groundup.nn.functional as F


def normal(*shape: int, seed: int = 0) -> gu.Tensor:
    return gu.randn(shape, generator=gu.Generator(seed), dtype=gu.float64)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 8), st.integers(0, 9), st.booleans())
def test_a_window_is_its_definition(
    queries: int, keys: int, window: int, first: int, causal: bool
) -> None:
    found = F.sliding_window(first + gu.arange(queries), gu.arange(keys), window, causal)
    expected = [
        [(q - k >= 0 if causal else True) and abs(q - k) < window for k in range(keys)]
        for q in range(first, first + queries)
    ]
    assert found.tolist() == expected


def test_with_a_window_each_query_attends_to_the_last_keys_alone() -> None:
    q, k, v = normal(2, 6, 4), normal(2, 6, 4, seed=1), normal(2, 6, 3, seed=2)
    mask = F.sliding_window(gu.arange(6), gu.arange(6), 3)
    together = F.scaled_dot_product_attention(q, k, v, mask)
    for t in range(6):
        near = slice(max(0, t - 2), t + 1)
        alone = F.scaled_dot_product_attention(q[:, t : t + 1], k[:, near], v[:, near])
        assert gu.allclose(together[:, t : t + 1], alone)


@given(st.integers(1, 20))
def test_alibi_is_its_definition(heads: int) -> None:
    power = 2 ** int(np.log2(heads))
    slopes = [2.0 ** (-8 / power * (h + 1)) for h in range(power)]
    slopes += [2.0 ** (-4 / power * (h + 1)) for h in range(0, 2 * power, 2)]
    found = F.alibi(gu.tensor([4, 7]), gu.arange(9), heads)
    assert found.shape == (heads, 2, 9)
    for h, q, k in np.ndindex(heads, 2, 9):
        assert found[h, q, k].item() == pytest.approx(-slopes[h] * abs((4, 7)[q] - k), rel=1e-6)


def test_alibi_of_a_new_token_is_the_last_row_of_the_text() -> None:
    text = F.alibi(gu.arange(7), gu.arange(7), 4)
    assert gu.equal(F.alibi(gu.tensor([6]), gu.arange(7), 4), text[:, 6:])


@pytest.mark.parametrize("shape", [None, (5, 6), (1, 5, 6), (4, 5, 6), (2, 1, 1, 6), (2, 4, 5, 6)])
@pytest.mark.parametrize("shared", [1, 2, 4])
def test_shared_heads_are_repeated_heads(shared: int, shape: Any) -> None:
    q = normal(2, 4, 5, 3)
    k, v = normal(2, shared, 6, 3, seed=1), normal(2, shared, 6, 7, seed=2)
    mask = None if shape is None else normal(*shape, seed=3) > -0.5
    found = F.scaled_dot_product_attention(q, k, v, mask, enable_gqa=True)
    head = [h * shared // 4 for h in range(4)]
    expected = F.scaled_dot_product_attention(q, k[:, head], v[:, head], mask)
    assert found.shape == (2, 4, 5, 7)
    assert gu.allclose(found, expected)


def test_a_compiled_step_shares_heads_too() -> None:
    q, k, v = (normal(2, h, 5, 4, seed=h).float() for h in (4, 2, 2))
    call = lambda q, k, v: F.scaled_dot_product_attention(  # noqa: E731
        q, k, v, F.alibi(gu.arange(5), gu.arange(5), 4), is_causal=True, enable_gqa=True
    )
    assert gu.allclose(gu.compile(call)(q, k, v), call(q, k, v), atol=1e-6)


@pytest.mark.parametrize(
    "shapes",
    [((2, 4, 5, 3), (2, 3, 6, 3), (2, 3, 6, 3)), ((5, 3), (6, 3), (6, 3)),
     ((2, 4, 5, 3), (2, 2, 6, 3), (2, 1, 6, 3))],
)  # fmt: skip
def test_heads_that_cannot_be_shared_are_refused(shapes: Any) -> None:
    with pytest.raises(ValueError, match="enable_gqa"):
        F.scaled_dot_product_attention(*(gu.ones(*s) for s in shapes), enable_gqa=True)


def test_what_makes_no_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="window is 0"):
        F.sliding_window(gu.arange(2), gu.arange(2), 0)
    with pytest.raises(ValueError, match="num_heads is 0"):
        F.alibi_slopes(0)
