"""Signs of regulation, learned from known signs and correlation."""

from dataclasses import replace

import numpy as np

from groundup.apps.grn.training.signs import correlations, fit_signs

from .planted import posed


def test_planted_signs_are_found() -> None:
    # R13.5: the sign where it is learned, on edges that were not trained on.
    problem, split, known = posed("gene")
    head = fit_signs(known)
    assert head is not None
    held = np.argwhere(problem.edges & (split.parts > 0))
    p = head(held, problem.tfs, known.standardized)
    truth = problem.signs[tuple(held.T)] > 0
    assert np.mean((p >= 0.5) == truth) > 0.8
    table = head.activates(problem.tfs, known.standardized, slice(0, 80))
    assert (table[tuple(held.T)] == (p >= 0.5)).all()
    part = head.activates(problem.tfs, known.standardized, slice(30, 50))
    assert (part == table[:, 30:50]).all()


def test_correlation() -> None:
    problem, _, known = posed("gene")
    pairs = np.argwhere(problem.edges)[:20]
    wanted = np.corrcoef(problem.expression.values.astype(float))
    found = correlations(pairs, problem.tfs, known.standardized)
    np.testing.assert_allclose(found, wanted[problem.tfs[pairs[:, 0]], pairs[:, 1]], atol=1e-5)


def test_nothing_to_learn_from() -> None:
    _, _, known = posed("gene")
    assert fit_signs(replace(known, signs=np.zeros_like(known.signs))) is None
    assert fit_signs(replace(known, signs=np.abs(known.signs))) is None


def test_an_edge_does_not_see_its_own_sign() -> None:
    """Random signs: with each edge in its own leaning, they would seem to be learned."""
    _, _, known = posed("gene")
    random = np.random.default_rng(0)
    weights = []
    for _ in range(20):
        signs = random.choice([-1, 1], known.signs.shape).astype(np.int8)
        head = fit_signs(replace(known, signs=signs))
        assert head is not None
        weights.append(head.fitted.weights[1])
    assert np.mean(weights) < 0.1
