r"""Several kinds of evidence as one score: regulon towers, and what lies beside a gene.

$$s_{tg} = \sum_i w_i \frac{f_i(t, g) - \mu_i}{\sigma_i}$$

over the mean logit of several regulon towers, which see each gene's expression averaged over its
operon or other group; the logarithm of the votes of the genes that are expressed alike
(`neighbours`); how the pair stands out among all correlations (`clr`); the logarithm of the votes
of the genes that lie nearby, and the nearness of the TF's own gene (`nearby`). Five weights are
fitted by logistic regression to pairs of the validation part, which no tower was trained on
(stacked generalization: Wolpert, 1992). So each kind of evidence counts for what it is worth in the
question that is asked: of a TF without known targets the votes say nothing, and weigh nothing.

Without groups and places it is what expression alone gives.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..baselines.clr import clr
from ..baselines.nearby import nearness, votes_nearby
from ..baselines.neighbours import neighbours
from ..models import Ensemble
from ..models.logistic import fit_logistic, sigmoid
from ..progress import Progress
from ..task.problem import Known, Pairs
from ..training.pairs import validation_pairs
from ..training.prevalence import Prevalence, fit_prevalence
from ..training.recipes import PLANS, Recipe
from ..training.train import MEMBERS, train_ensemble
from ..training.trained import Trained

LEAST = 0.01
"""Is added to votes before their logarithm is taken."""
RIDGE = 10.0
"""The penalty on the weights of standardized evidence."""
TOWERS = replace(PLANS["regulon"].recipe, pooled=True)
"""How the towers are trained."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Combined:
    """Towers and tables of evidence under fitted weights; a `Scorer`.

    Attributes:
        towers: their mean logit is the first evidence.
        tables: the other evidence, by name.
        middle, width: mean and deviation of each kind among the pairs that weights were fitted to.
        weights: of each.
        votes: the edges that vote: those of training.
        places: where each gene comes along the genome, counted in genes; -1 where not known.
        prevalence: makes log-odds of scores; None without validation edges.

    Shape:
        tables: (TFs, genes) each; middle, width, weights: (1 + tables,); votes: (edges, 2);
        places: (genes,).
    """

    towers: Ensemble[Trained]
    tables: Mapping[str, NDArray[np.float32]]
    middle: Numbers
    width: Numbers
    weights: Numbers
    votes: Pairs
    places: NDArray[np.int64]
    prevalence: Prevalence | None = None

    def __repr__(self) -> str:
        return f"Combined({len(self.towers.members)} x {self.towers.members[0]!r})"

    def evidence(self, pairs: Pairs) -> Numbers:
        """All kinds of evidence.

        Shape:
            pairs: (pairs, 2) -> (pairs, 1 + tables).
        """
        logit = np.mean([tower.score(pairs) for tower in self.towers.members], axis=0)
        others = [table[pairs[:, 0], pairs[:, 1]] for table in self.tables.values()]
        return np.stack([logit, *others], axis=1).astype(np.float64)

    def score(self, pairs: Pairs) -> Numbers:
        """The weighted sum for each pair.

        Shape:
            pairs: (pairs, 2) -> (pairs,).
        """
        return (self.evidence(pairs) - self.middle) / self.width @ self.weights

    def log_odds(self, pairs: Pairs) -> Numbers:
        """Those of an edge of the prior, at the prevalence found among validation pairs.

        Shape:
            pairs: (pairs, 2) -> (pairs,).
        """
        scores = self.score(pairs)
        return scores if self.prevalence is None else self.prevalence.log_odds(scores, pairs)

    def probability(self, pairs: Pairs) -> Numbers:
        """That a pair is an edge of the prior, after `log_odds`.

        Shape:
            pairs: (pairs, 2) -> (pairs,).
        """
        return sigmoid(self.log_odds(pairs))


def train_combined(
    known: Known,
    recipe: Recipe | None = None,
    seed: int = 0,
    members: int = MEMBERS,
    progress: Progress | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Combined:
    """Train towers, and weigh them against other evidence.

    Args:
        known: what may be learned from.
        recipe: of the towers; `TOWERS` if None.
        seed: of the towers, as `train_ensemble` takes it, and of the pairs that weights are fitted
            to; the same seed gives the same bits.
        members: how many towers, at least two.
        progress: told of each tower's steps.
        folder: gets a folder for each tower, as `train` uses it.

    Raises:
        GRNError: as `train_ensemble`.

    Example:
        >>> from groundup.apps.grn.task.examples import example_problem
        >>> from groundup.apps.grn.task.splits import split_pairs
        >>> problem = example_problem()
        >>> known = problem.known(split_pairs(problem.edges, "gene", np.random.default_rng(0)))
        >>> found = train_combined(known, Recipe(epochs=2, options={"hidden": 8}), members=2)
        >>> [*found.tables], found.score(np.array([[0, 1], [0, 2]])).shape
        (['neighbours', 'clr', 'votes nearby', 'nearness'], (2,))
    """
    recipe = recipe or TOWERS
    towers = train_ensemble(known, "regulon", recipe, seed, members, progress, folder)
    tables = tables_of(known, seed)
    count = 1 + len(tables)
    first, votes = np.eye(1, count)[0], np.argwhere(known.edges)
    alone = Combined(towers, tables, np.zeros(count), np.ones(count), first, votes, known.places)
    held = validation_pairs(known, seed, recipe)
    if held is None:
        return alone
    evidence = alone.evidence(held[0])
    middle, width = evidence.mean(axis=0), evidence.std(axis=0)
    width[width < 1e-9] = 1.0
    fitted = fit_logistic((evidence - middle) / width, held[1], ridge=RIDGE)
    found = replace(alone, middle=middle, width=width, weights=fitted.weights)
    return replace(found, prevalence=fit_prevalence(found, known, seed))


def tables_of(known: Known, seed: int) -> dict[str, NDArray[np.float32]]:
    """Evidence that is not learned, of all pairs.

    Args:
        known: expression, places and training edges.
        seed: nothing is drawn.

    Example:
        >>> from groundup.apps.grn.data.expression import Expression
        >>> known = Known.of_all(Expression(np.eye(3, dtype=np.float32), "abc", "xyz"), [0])
        >>> tables_of(known, 0)["neighbours"].round(1)
        array([[-4.6, -4.6, -4.6]], dtype=float32)
    """
    found = {
        "neighbours": np.log(neighbours(known, seed).scores + LEAST),
        "clr": clr(known, seed).scores,
        "votes nearby": np.log(votes_nearby(known) + LEAST),
        "nearness": nearness(known),
    }
    return {name: table.astype(np.float32) for name, table in found.items()}
