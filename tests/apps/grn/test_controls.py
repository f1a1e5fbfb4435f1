"""Null controls keep what they promise to keep, and take the rest away. R13.4."""

import numpy as np
import pytest

from groundup.apps.grn.baselines import correlation, degree, neighbours
from groundup.apps.grn.evaluation.evaluate import evaluate
from groundup.apps.grn.task.controls import permuted_genes, rewired
from groundup.apps.grn.task.examples import example_problem

PROBLEM = example_problem(6, genes=200, strength=2.0)


def test_rewiring_keeps_all_degrees_and_changes_the_edges() -> None:
    for seed in range(3):
        control = rewired(PROBLEM, seed)
        np.testing.assert_array_equal(control.edges.sum(axis=0), PROBLEM.edges.sum(axis=0))
        np.testing.assert_array_equal(control.edges.sum(axis=1), PROBLEM.edges.sum(axis=1))
        kept = (control.edges & PROBLEM.edges).sum() / PROBLEM.edges.sum()
        chance = (PROBLEM.edges.sum(axis=1) ** 2).sum() / PROBLEM.edges.shape[1]
        assert kept < 1.4 * chance / PROBLEM.edges.sum(), "about what is shared by chance"
        assert control.prior_digest != PROBLEM.prior_digest


def test_rewiring_keeps_signs_with_their_tf() -> None:
    control = rewired(PROBLEM, 0)
    assert ((control.signs != 0) <= control.edges).all()
    for sign in (-1, 1):
        np.testing.assert_array_equal(
            (control.signs == sign).sum(axis=1), (PROBLEM.signs == sign).sum(axis=1)
        )


def test_permuting_keeps_the_edges_and_the_expression_as_a_whole() -> None:
    control = permuted_genes(PROBLEM, 0)
    np.testing.assert_array_equal(control.edges, PROBLEM.edges)
    assert list(control.expression.genes) == list(PROBLEM.expression.genes)
    moved = (control.expression.values != PROBLEM.expression.values).any(axis=1)
    assert moved.mean() > 0.95
    one, other = (np.sort(p.expression.values.sum(axis=1)) for p in (control, PROBLEM))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("control", [permuted_genes, rewired])
def test_the_same_seed_gives_the_same_control(control: object) -> None:
    one, same, other = (control(PROBLEM, seed) for seed in (1, 1, 2))  # type: ignore[operator]
    for name in ("edges", "signs"):
        assert getattr(one, name).tobytes() == getattr(same, name).tobytes()
    assert one.expression.values.tobytes() == same.expression.values.tobytes()
    assert (
        one.edges.tobytes() != other.edges.tobytes()
        or one.expression.values.tobytes() != other.expression.values.tobytes()
    )


@pytest.mark.parametrize("control", [permuted_genes, rewired])
def test_nothing_is_found_in_a_control(control: object) -> None:
    methods = {"degree": degree, "correlation": correlation, "neighbours": neighbours}
    real = evaluate(PROBLEM, methods, "gene", "matched", seeds=4)
    null = evaluate(control(PROBLEM, 0), methods, "gene", "matched", seeds=4)  # type: ignore[operator]
    for name in ("correlation", "neighbours"):
        assert real.values(name, "auroc").mean() > 0.75
        assert abs(null.values(name, "auroc").mean() - 0.5) < 0.08, name
