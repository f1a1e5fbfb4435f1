"""Batches of pairs to train on, drawn anew for each epoch from what is known.

What an epoch draws depends on the seed and its number alone, so a run that is resumed in its middle
sees the same pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....engine.ops.creation import tensor
from ....engine.tensor import Tensor
from ..data.expression import Expression
from ..errors import GRNError
from ..task.negatives import Matched, Negatives, draw_unlabelled
from ..task.problem import Known, Pairs
from ..task.splits import NONE, TRAIN, VALIDATION, Split
from .recipes import Recipe

Batch = tuple[Tensor, ...]
LIMIT = 4.0
"""Deviations from its mean beyond which expression counts as this far."""


def features(known: Known, wanted: bool, pooled: bool = False) -> NDArray[np.float32]:
    """What a model sees of each gene.

    Args:
        known: with the expression.
        wanted: false gives rows of no numbers.
        pooled: whether it is the mean over the gene's group, see `mean_of_groups`.

    Shape:
        (genes, samples), or (genes, 0).

    Example:
        >>> known = Known.of_all(Expression(np.ones((3, 2), np.float32), "abc", "xy"), [0])
        >>> features(known, True).shape, features(known, False).shape
        ((3, 2), (3, 0))
    """
    if not wanted:
        return np.zeros((len(known.expression.genes), 0), np.float32)
    x = seen(known.standardized)
    return mean_of_groups(x, known.groups) if pooled else x


def mean_of_groups(x: NDArray[np.float32], groups: NDArray[np.int64]) -> NDArray[np.float32]:
    """For each gene the mean over the genes of its group.

    Genes of an operon are read together, so that what sets their profiles apart is mostly noise.

    Args:
        x: of each gene.
        groups: the number of the group of each gene; -1 for a gene alone.

    Shape:
        x: (genes, samples), groups: (genes,) -> (genes, samples).

    Example:
        >>> x = np.array([[1.0], [3.0], [5.0]], np.float32)
        >>> mean_of_groups(x, np.array([0, 0, -1])).ravel().tolist()
        [2.0, 2.0, 5.0]
    """
    found, together = x.copy(), groups >= 0
    names, place = np.unique(groups[together], return_inverse=True)
    sums = np.zeros((len(names), x.shape[1]))
    np.add.at(sums, place, x[together])
    found[together] = (sums / np.bincount(place, minlength=len(names))[:, None])[place]
    return found


def seen(standardized: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standardized expression within `LIMIT`.

    Example:
        >>> seen(np.array([[-9.0, 1.0]], np.float32)).tolist()
        [[-4.0, 1.0]]
    """
    return np.clip(standardized, -LIMIT, LIMIT)


def standardized_of(expression: Expression) -> NDArray[np.float32]:
    """Expression of each gene with mean 0 and deviation 1, as `Known.standardized`.

    Shape:
        (genes, samples).

    Example:
        >>> standardized_of(Expression(np.array([[1, 3]], np.float32), "a", "xy")).tolist()
        [[-1.0, 1.0]]
    """
    return Known.of_all(expression, [0]).standardized


def parts(known: Known) -> Split:
    """The parts that a method may draw from; all that it must not see belongs to none.

    Shape:
        (TFs, genes).

    Example:
        >>> known = Known.of_all(Expression(np.ones((3, 2), np.float32), "abc", "xy"), [0])
        >>> parts(known).parts.tolist()
        [[0, 0, 0]]
    """
    of = np.where(known.allowed, TRAIN, np.where(known.validation_allowed, VALIDATION, NONE))
    return Split("edge", of.astype(np.int8))


def validation_pairs(
    known: Known, seed: int, recipe: Recipe
) -> tuple[Pairs, NDArray[np.bool_]] | None:
    """Edges of the validation part with as many unlabelled pairs, drawn as the recipe says.

    Where no pair is left to match in degree, they are drawn evenly.

    Returns:
        Pairs (pairs, 2) and which are edges (pairs,); None if there are no such edges.

    Example:
        >>> known = Known.of_all(Expression(np.ones((3, 2), np.float32), "abc", "xy"), [0])
        >>> validation_pairs(known, 0, Recipe()) is None
        True
    """
    edges = np.argwhere(known.validation_edges)
    random = np.random.default_rng([seed, 1])
    kinds: tuple[Negatives, ...] = ("matched", "uniform")
    for kind in kinds[kinds.index(recipe.negatives) :]:
        try:
            others = draw_unlabelled(
                known.edges | known.validation_edges,
                parts(known),
                VALIDATION,
                kind,
                random,
            )
        except ValueError:
            continue  # no gene is left to pair a TF with
        if len(others) and len(edges):
            truth = np.arange(len(edges) + len(others)) < len(edges)
            return np.concatenate([edges, others]), truth
    return None


class PairBatches:
    """Batches of an epoch: edges and unlabelled pairs, or edges alone for InfoNCE.

    All batches have the same number of pairs: the last one is filled up from the beginning of the
    same order.

    Args:
        known: what is known.
        recipe: how pairs are drawn.
        seed: of the draws.
        x: what the model sees of each gene.

    Raises:
        GRNError: there is no edge to learn from.

    Shape:
        x (genes, samples). A batch: tf, tf_x, gene, gene_x and the labels (N,); for InfoNCE, with
        M genes offered, log q (M,) and what is left out (N, M) rather than labels.
    """

    def __init__(self, known: Known, recipe: Recipe, seed: int, x: NDArray[np.float32]) -> None:
        self.known, self.recipe, self.seed, self.x = known, recipe, seed, x
        self.edges = np.argwhere(known.edges)
        if not len(self.edges):
            raise GRNError(
                "no known edge is left to learn from; give a prior, or take a method that infers "
                "from expression alone"
            )
        ratio = 0.0 if recipe.loss == "infonce" else recipe.ratio
        count = round(len(self.edges) * (1 + ratio))
        self.batch = min(recipe.batch, count)
        self.steps = -(-count // self.batch)
        self.split = parts(known)
        self.taken = known.edges | known.validation_edges
        self.matched = None
        if recipe.loss != "infonce" and recipe.negatives == "matched":
            free = known.allowed & ~self.taken
            self.matched = Matched(known.edges, free, recipe.ratio)
        self.offered = np.flatnonzero(known.allowed.any(0))
        often = known.edges.sum(0) * (self.batch / len(self.edges))
        often[self.offered] += recipe.offered / max(len(self.offered), 1)
        with np.errstate(divide="ignore"):  # what is never offered has no use for it
            self.log_q = np.log(often if recipe.log_q else np.ones(len(often))).astype(np.float32)
        self.epoch = self.position = 0

    def __len__(self) -> int:
        return self.steps

    def drawn(self, epoch: int) -> tuple[Pairs, NDArray[np.float32]]:
        """The pairs of an epoch in their order, and which are edges.

        Args:
            epoch: its number from 0.

        Shape:
            (steps * batch, 2), (steps * batch,).
        """
        random = np.random.default_rng([self.seed, 0, epoch])
        pairs = self.edges
        if self.recipe.loss != "infonce":
            if self.matched is None:
                others = draw_unlabelled(
                    self.taken, self.split, TRAIN, "uniform", random, ratio=self.recipe.ratio
                )
            else:
                others = self.matched.draw(random)
            pairs = np.concatenate([pairs, others])
        labels = (np.arange(len(pairs)) < len(self.edges)).astype(np.float32)
        order = np.resize(random.permutation(len(pairs)), self.steps * self.batch)
        return pairs[order], labels[order]

    def __iter__(self) -> Iterator[Batch]:
        pairs, labels = self.drawn(self.epoch)
        for number in range(self.position, self.steps):
            rows = slice(number * self.batch, (number + 1) * self.batch)
            self.position = number + 1
            yield self._batch(pairs[rows], labels[rows], number)
        self.epoch, self.position = self.epoch + 1, 0

    def _batch(self, pairs: Pairs, labels: NDArray[np.float32], number: int) -> Batch:
        if self.recipe.loss != "infonce":
            return (*pair_inputs(pairs, self.known.tfs, self.x), tensor(labels))
        random = np.random.default_rng([self.seed, 3, self.epoch, number])
        others = random.choice(self.offered, self.recipe.offered)
        genes = np.concatenate([pairs[:, 1], others])
        tf, tf_x, _, _ = pair_inputs(pairs, self.known.tfs, self.x)
        places = pairs[:, :1], genes[None]
        left_out = ~self.known.allowed[places]
        if self.recipe.masked:
            left_out |= self.known.edges[places]
        inputs = tf, tf_x, tensor(genes), tensor(self.x[genes]), tensor(self.log_q[genes])
        return (*inputs, tensor(left_out))

    def state_dict(self) -> dict[str, Any]:
        """Where it is."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.epoch, self.position = int(state["epoch"]), int(state["position"])


def pair_inputs(
    pairs: Pairs, tfs: NDArray[np.int64], x: NDArray[np.float32]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a model is given for pairs: tf, tf_x, gene, gene_x.

    Args:
        pairs: the number of a TF, and the row of a gene.
        tfs: the row of each TF.
        x: what the model sees of each gene.

    Shape:
        pairs (N, 2), x (genes, S) -> (N,), (N, S), (N,), (N, S).

    Example:
        >>> x = np.arange(6, dtype=np.float32).reshape(3, 2)
        >>> pair_inputs(np.array([[0, 1]]), np.array([2]), x)[1].tolist()
        [[4.0, 5.0]]
    """
    tf, gene = pairs[:, 0], pairs[:, 1]
    return tensor(tf), tensor(x[tfs[tf]]), tensor(gene), tensor(x[gene])
