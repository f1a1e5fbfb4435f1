"""Principal components: what defines them, and what is refused. R3.10."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup.data import pca


def cloud(n: int, d: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((n, d)) * random.uniform(0.1, 3, d) + random.normal(size=d)


@given(st.integers(2, 9), st.integers(1, 7), st.integers(0, 99))
def test_directions_are_orthonormal_and_scores_are_their_products(n: int, d: int, s: int) -> None:
    x = cloud(n, d, s)
    k = min(n, d)
    scores, components, explained = pca(x, k)
    directions, shares = components.numpy(), explained.numpy()
    np.testing.assert_allclose(directions @ directions.T, np.eye(k), atol=1e-12)
    np.testing.assert_allclose(scores.numpy(), (x - x.mean(axis=0)) @ directions.T, atol=1e-12)
    assert (np.diff(shares) <= 0).all()
    assert shares.sum() == pytest.approx(1)
    # With all components nothing is lost, so distances are as they were.
    np.testing.assert_allclose(
        scores.numpy() @ scores.numpy().T, (x - x.mean(axis=0)) @ (x - x.mean(axis=0)).T, atol=1e-10
    )


@given(st.integers(0, 99))
def test_the_first_components_are_eigenvectors_of_the_covariance(seed: int) -> None:
    x = cloud(30, 5, seed)
    _, components, explained = pca(x, 2)
    values, vectors = np.linalg.eigh(np.cov(x.T))
    np.testing.assert_allclose(explained.numpy(), values[::-1][:2] / values.sum(), atol=1e-12)
    for i in range(2):
        assert abs(components.numpy()[i] @ vectors[:, -1 - i]) == pytest.approx(1, abs=1e-8)


def test_the_sign_is_decided_and_mirrored_points_give_the_same_directions() -> None:
    x = cloud(20, 4, 0)
    one, other = pca(x, 3), pca(2 * x.mean(axis=0) - x, 3)
    largest = np.abs(one.components.numpy()).argmax(axis=1)
    assert (one.components.numpy()[np.arange(3), largest] > 0).all()
    np.testing.assert_allclose(one.components.numpy(), other.components.numpy(), atol=1e-12)
    np.testing.assert_allclose(one.scores.numpy(), -other.scores.numpy(), atol=1e-12)


def test_points_that_are_all_the_same_have_no_spread() -> None:
    scores, _, explained = pca([[1.0, 2.0]] * 3)
    assert explained.tolist() == [0, 0]
    assert scores.tolist() == [[0, 0]] * 3


def test_dtypes_follow_the_points() -> None:
    x = cloud(6, 3, 1)
    assert pca(gu.tensor(x.astype(np.float32))).scores.dtype == gu.float32
    assert pca(x).components.dtype == gu.float64
    assert pca([[1, 2], [3, 5]]).explained.dtype == gu.float32


@pytest.mark.parametrize(
    ("x", "components", "message"),
    [
        ([1.0, 2.0], 1, "expected numbers of shape"),
        ([["a"]], 1, "expected numbers of shape"),
        (np.zeros((0, 3)), 1, "expected numbers of shape"),
        ([[1.0, 2.0], [np.nan, 1.0]], 1, "point 1 has a NaN"),
        ([[1.0, 2.0], [3.0, 4.0]], 3, "expected 1 to 2"),
        ([[1.0, 2.0], [3.0, 4.0]], 0, "expected 1 to 2"),
    ],
)
def test_what_is_no_table_is_refused(x: object, components: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pca(x, components)  # type: ignore[arg-type]
