"""t-SNE: perplexities, the gradient, and clusters that stay clusters. R3.10."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

import groundup as gu
from groundup.data import tsne
from groundup.data.tsne import affinities, neighbours, slope, squared_distances


def perplexities(p: np.ndarray) -> np.ndarray:
    return np.exp(-(p * np.log(np.where(p > 0, p, 1))).sum(axis=1))


@given(st.integers(5, 20), st.floats(0.05, 0.95), st.sampled_from([1e-6, 1.0, 1e6]), st.integers())
def test_every_point_has_the_perplexity_that_was_asked_for(
    n: int, share: float, scale: float, seed: int
) -> None:
    x = scale * np.random.default_rng(abs(seed)).standard_normal((n, 3))
    wanted = 1 + share * (n - 2)
    p = neighbours(squared_distances(x), wanted)
    np.testing.assert_allclose(perplexities(p), wanted, rtol=1e-8)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (np.diagonal(p) == 0).all()
    # Each row is a Gaussian: log p falls linearly with the squared distance.
    row = np.arange(1, n)
    d, logs = squared_distances(x)[0, row], np.log(np.maximum(p[0, row], 1e-300))
    seen = p[0, row] > 1e-200
    if seen.sum() > 2:
        slopes = np.polyfit(d[seen] / scale**2, logs[seen], 1)
        fitted = np.polyval(slopes, d[seen] / scale**2)
        np.testing.assert_allclose(fitted, logs[seen], rtol=1e-6, atol=1e-6)


def test_affinities_are_a_distribution_over_pairs() -> None:
    p = affinities(np.random.default_rng(0).standard_normal((12, 4)), 5)
    np.testing.assert_allclose(p, p.T)
    assert p.sum() == pytest.approx(1)
    # Section 2 of the paper: each point has a share of more than 1 / 2n, outliers too.
    assert (p.sum(axis=1) > 1 / 24).all()


def test_points_at_one_place_share_their_neighbours() -> None:
    # 4 points at distance 0 of each other: no width reaches only 2 of the 3 others.
    p = neighbours(squared_distances(np.repeat([[0.0], [9.0]], 4, axis=0)), 2.0)
    np.testing.assert_allclose(p[0, 1:4], 1 / 3)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_gradient_is_that_of_finite_differences(dimensions: int) -> None:
    random = np.random.default_rng(dimensions)
    p = affinities(random.standard_normal((9, 5)), 4)
    y = random.standard_normal((9, dimensions))
    gradient, _ = slope(p, y)
    for place in np.ndindex(y.shape):
        near = []
        for step in (1e-5, -1e-5):
            moved = y.copy()
            moved[place] += step
            near.append(slope(p, moved)[1])
        assert gradient[place] == pytest.approx((near[0] - near[1]) / 2e-5, abs=1e-9)


def test_clusters_stay_clusters() -> None:
    random = np.random.default_rng(0)
    group = np.repeat(np.arange(3), 20)
    x = random.standard_normal((60, 10)) + 8 * np.eye(3, 10)[group]
    seen: list[tuple[int, float]] = []
    embedding, divergence = tsne(
        x, perplexity=8, iterations=400, progress=lambda *now: seen.append(now)
    )
    distances = squared_distances(embedding.numpy())
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1)[:, :10]
    assert (group[nearest] == group[:, None]).mean() > 0.99
    assert [step for step, _ in seen] == list(range(50, 401, 50))
    assert seen[-1][1] == pytest.approx(divergence)
    assert divergence < seen[0][1]
    np.testing.assert_allclose(embedding.mean(dim=0).tolist(), [0, 0], atol=1e-9)


def test_the_same_points_give_the_same_picture_and_their_place_does_not_matter() -> None:
    x = np.random.default_rng(1).standard_normal((15, 4))
    settings = {"perplexity": 4.0, "iterations": 60, "exaggerated": 50}
    one, again = tsne(x, **settings), tsne(x, **settings)  # type: ignore[arg-type]
    assert one.embedding.tolist() == again.embedding.tolist()
    np.testing.assert_allclose(affinities(x + 1e6, 4.0), affinities(x, 4.0), rtol=1e-6)
    small = tsne(gu.tensor(x.astype(np.float32)), **settings)  # type: ignore[arg-type]
    assert small.embedding.dtype == gu.float32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"perplexity": 9.0}, "less than 9"),
        ({"perplexity": 1.0}, "more than 1"),
        ({"perplexity": 3.0, "iterations": 0}, "iterations 0"),
        ({"perplexity": 3.0, "exaggerated": 2000}, "exaggerated 2000"),
        ({"perplexity": 3.0, "exaggeration": 0.5}, "exaggeration 0.5"),
        ({"perplexity": 3.0, "components": 4}, "expected 1 to 3"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, float], message: str) -> None:
    x = np.random.default_rng(0).standard_normal((10, 3))
    with pytest.raises(ValueError, match=message):
        tsne(x, **settings)  # type: ignore[arg-type]
