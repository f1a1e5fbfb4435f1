"""Principal components and t-SNE beside scikit-learn's, on real digits. R3.10."""

from __future__ import annotations

import numpy as np
import pytest

from groundup.data import pca, tsne
from groundup.data.tsne import affinities, slope

datasets = pytest.importorskip("sklearn.datasets")
decomposition = pytest.importorskip("sklearn.decomposition")
manifold = pytest.importorskip("sklearn.manifold")
inner = pytest.importorskip("sklearn.manifold._t_sne")

from scipy.spatial.distance import pdist, squareform  # noqa: E402


def digits(count: int = 150) -> np.ndarray:
    return datasets.load_digits(return_X_y=True)[0][:count]


def test_components_are_the_same_up_to_the_sign() -> None:
    x = digits()
    theirs = decomposition.PCA(8, svd_solver="full").fit(x)
    scores, components, explained = pca(x, 8)
    signs = np.sign((components.numpy() * theirs.components_).sum(axis=1))
    assert set(signs) <= {-1.0, 1.0}
    np.testing.assert_allclose(components.numpy() * signs[:, None], theirs.components_, atol=1e-9)
    np.testing.assert_allclose(scores.numpy() * signs, theirs.transform(x), atol=1e-8)
    np.testing.assert_allclose(explained.numpy(), theirs.explained_variance_ratio_, rtol=1e-10)


@pytest.mark.parametrize("perplexity", [5.0, 30.0])
def test_affinities_are_the_same(perplexity: float) -> None:
    x = digits()
    distances = squareform(pdist(x, "sqeuclidean")).astype(np.float32)
    theirs = squareform(inner._joint_probabilities(distances, perplexity, 0))
    # Theirs stop at an error of 1e-5 of the entropy, in float32.
    np.testing.assert_allclose(affinities(x, perplexity), theirs, rtol=1e-3, atol=1e-9)


def test_divergence_and_gradient_are_the_same() -> None:
    x = digits(60)
    p = affinities(x, 10.0)
    y = np.random.default_rng(0).standard_normal((60, 2))
    gradient, divergence = slope(p, y)
    theirs, slopes = inner._kl_divergence(y.ravel(), squareform(p), 1, 60, 2)
    assert divergence == pytest.approx(theirs, rel=1e-9)
    np.testing.assert_allclose(gradient.ravel(), slopes, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("perplexity", [8.0, 20.0])
def test_the_picture_loses_no_more_than_theirs(perplexity: float) -> None:
    x = digits(100)
    theirs = manifold.TSNE(perplexity=perplexity, method="exact", init="pca", random_state=0)
    theirs.fit(x)
    assert tsne(x, perplexity=perplexity).divergence < 1.05 * theirs.kl_divergence_
