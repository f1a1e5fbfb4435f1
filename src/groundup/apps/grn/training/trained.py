"""A trained model with all that it needs to speak of pairs: scores, probabilities, signs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ....engine.compiler.run import Compiled, compile
from ....engine.ops.creation import tensor
from ....engine.tensor import Tensor
from ....training.evaluate import evaluating
from ..models import PairModel, TowerModel
from ..models.logistic import sigmoid
from ..task.problem import Pairs
from .pairs import pair_inputs
from .prevalence import Prevalence
from .recipes import Recipe
from .signs import SignHead

BLOCK = 4096
"""Pairs, TFs or genes that are encoded at a time."""
WORTH = 4
"""Blocks that are worth compiling for."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trained:
    """A model after training; a `Scorer`.

    Attributes:
        model: the model, with its best weights.
        name: of the model, as in `PLANS`.
        recipe: how it was trained.
        seed: of everything that was drawn.
        tf_names: of the TFs that it knows, in the order of their numbers.
        gene_names: of the genes, in the order of their rows.
        samples: names of the samples whose expression it reads.
        tfs: the row of each TF among the genes.
        x: what the model sees of each gene, no columns if it reads no expression.
        standardized: expression, for signs; None if it is not there.
        edges: pairs that were in the prior, in training or validation.
        prevalence: makes log-odds of scores; None without validation edges.
        signs: says whether an edge activates; None if too few signs were known.
        groups: the number of the group of each gene, if `x` is the mean over it; else None.
        history: for each epoch the loss, the learning rate and the AUROC on validation.

    Shape:
        tfs: (TFs,); x, standardized: (genes, samples); edges: (edges, 2); groups: (genes,).
    """

    model: PairModel
    name: str
    recipe: Recipe
    seed: int
    tf_names: Sequence[str]
    gene_names: Sequence[str]
    samples: Sequence[str]
    tfs: NDArray[np.int64]
    x: NDArray[np.float32]
    standardized: NDArray[np.float32] | None
    edges: Pairs
    prevalence: Prevalence | None
    signs: SignHead | None
    groups: NDArray[np.int64] | None
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"Trained({self.name!r}, {self.model.size():,} parameters, {len(self.tf_names):,} TFs, "
            f"{len(self.gene_names):,} genes)"
        )

    def score(self, pairs: Pairs) -> Numbers:
        """The logit of each pair.

        Shape:
            pairs: (pairs, 2), the number of a TF and the row of a gene -> (pairs,).
        """
        if self.encodings is not None:
            of_tf, of_gene = self.encodings
            found = np.empty(len(pairs))
            for start in range(0, len(pairs), BLOCK):
                some = pairs[start : start + BLOCK]
                product = of_tf[some[:, 0]] * of_gene[some[:, 1]]
                found[start : start + BLOCK] = product.sum(axis=1, dtype=np.float64)
            return found
        return score_pairs(self.model, pairs, self.tfs, self.x)

    def log_odds(self, pairs: Pairs) -> Numbers:
        """Those of an edge of the prior, at the prevalence found among validation pairs.

        Without validation edges it is the score: right for pairs drawn as in training, if at all.

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

    @cached_property
    def encodings(self) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """Of all TFs and all genes; None if the model does not encode them apart."""
        if not isinstance(self.model, TowerModel):
            return None
        genes = np.arange(len(self.gene_names))
        return (
            encode(self.model, self.model.encode_tf, np.arange(len(self.tfs)), self.x[self.tfs]),
            encode(self.model, self.model.encode_gene, genes, self.x),
        )


def encode(
    model: PairModel,
    side: Callable[[Tensor, Tensor], Tensor],
    numbers: NDArray[np.int64],
    x: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Encodings by one side of a model, a block at a time.

    Args:
        model: put in evaluation mode meanwhile.
        side: its ``encode_tf`` or ``encode_gene``.
        numbers: of the TFs or genes.
        x: their expression.

    Shape:
        numbers: (N,), x: (N, S) -> (N, D).

    Example:
        >>> from groundup.apps.grn.models import ExpressionTwoTower
        >>> model = ExpressionTwoTower(0, 0, 4)
        >>> encode(model, model.encode_gene, np.arange(3), np.ones((3, 4), np.float32)).shape
        (3, 128)
    """

    def block(rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        return tensor(numbers[rows]), tensor(x[rows])

    return np.concatenate(list(in_blocks(model, side, block, len(numbers))))


def score_pairs(
    model: PairModel,
    pairs: Pairs,
    tfs: NDArray[np.int64],
    x: NDArray[np.float32],
    call: Callable[..., Tensor] | None = None,
) -> Numbers:
    """The logit of each pair, a block at a time.

    Args:
        model: put in evaluation mode meanwhile.
        pairs: the number of a TF, and the row of a gene.
        tfs: the row of each TF.
        x: what the model sees of each gene.
        call: the model, compiled, where this is done again and again.

    Shape:
        pairs: (pairs, 2), x: (genes, S) -> (pairs,).

    Example:
        >>> from groundup.apps.grn.models import ExpressionTwoTower
        >>> x = np.ones((3, 4), np.float32)
        >>> score_pairs(ExpressionTwoTower(0, 0, 4), np.array([[0, 2]]), np.array([1]), x).shape
        (1,)
    """

    def block(rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        return pair_inputs(pairs[rows], tfs, x)

    parts = [part.astype(np.float64) for part in in_blocks(model, call or model, block, len(pairs))]
    return np.concatenate(parts) if parts else np.zeros(0)


def in_blocks(
    model: PairModel,
    function: Callable[..., Tensor],
    block: Callable[[NDArray[np.int64]], tuple[Tensor, ...]],
    count: int,
    size: int | None = None,
) -> Iterator[NDArray[np.float32]]:
    """What a function of a model gives for many rows, compiled where it is called often enough.

    Args:
        model: put in evaluation mode meanwhile.
        function: of tensors whose first dimension is rows, compiled already or not.
        block: its arguments for these rows; there are ``size`` of them, or all.
        count: rows in all.
        size: rows at a time; `BLOCK` if None.

    Example:
        >>> from groundup.apps.grn.models import ExpressionTwoTower
        >>> model = ExpressionTwoTower(0, 0, 1)
        >>> parts = in_blocks(model, gu.Tensor.sqrt, lambda rows: (gu.ones(2),), 2)
        >>> [part.tolist() for part in parts]
        [[1.0, 1.0]]
    """
    size = min(size or BLOCK, count)
    starts = range(0, count, size or 1)
    call = function
    if not isinstance(function, Compiled) and len(starts) >= WORTH:
        call = compile(function)
    for start in starts:
        rows = np.arange(start, min(start + size, count))
        # The last block is filled up, so that one compiled program serves them all.
        with evaluating(model):
            result = call(*block(np.resize(rows, size)))
        yield result.numpy()[: len(rows)].copy()
