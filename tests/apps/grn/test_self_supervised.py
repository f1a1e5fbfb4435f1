"""Two towers that learn from CLR's best pairs."""

from dataclasses import replace

import numpy as np
import pytest

from groundup.apps.grn.data.expression import Expression
from groundup.apps.grn.errors import GRNError
from groundup.apps.grn.task.examples import example_problem
from groundup.apps.grn.task.metrics import auroc
from groundup.apps.grn.task.problem import Known
from groundup.apps.grn.unsupervised import UNSUPERVISED, infer
from groundup.apps.grn.unsupervised.two_tower import two_tower


# R13.5: expression-only inference.
def test_it_sees_no_edge_and_knows_more_than_chance() -> None:
    problem = example_problem(strength=2.0)
    known = Known.of_all(problem.expression, problem.tfs)
    scores = two_tower(known, 3)
    full = replace(known, edges=problem.edges, signs=problem.signs)
    assert (two_tower(full, 3) == scores).all()
    assert (two_tower(known, 4) != scores).any()
    assert (scores[np.arange(12), problem.tfs] == 0).all()
    assert (scores >= 0).all()
    others = np.ones(scores.shape, bool)
    others[np.arange(12), problem.tfs] = False
    assert auroc(problem.edges[others], scores[others]) > 0.7
    assert auroc(problem.edges[others], UNSUPERVISED["clr"](known, 0)[others]) > 0.7


def test_by_name_and_small() -> None:
    values = np.array([[1, 2, 3, 4], [2, 4, 6, 9], [1, -1, -1, 1]], np.float32)
    scores = infer(Expression(values, "abc", "wxyz"), ["a"], "two-tower-self-supervised")
    assert scores.shape == (1, 3)
    assert scores[0, 1] > scores[0, 2]
    with pytest.raises(GRNError, match="no gene changes over the 4 samples"):
        infer(Expression(values * 0, "abc", "wxyz"), ["a"], "two-tower-self-supervised")
