"""Importance of TFs in trees that predict each gene.

The idea is GENIE3's (Huynh-Thu et al., 2010), the way GRNBoost2's (Moerman et al., 2019): the
expression of a gene is predicted from that of all TFs but itself by stochastic gradient boosting
(Friedman, 2002), and how much a TF lessens the squared error is its score. The settings are those
of arboreto's GRNBoost2: rate 0.01, at most 5,000 trees of depth 3, each split with a tenth of the
TFs and each tree with nine tenths of the samples, ended when the mean improvement on the samples
left out is negative over 25 trees; importances are multiplied by the number of trees, so that genes
which are predicted well weigh more. As there, all genes have the same seed, so the score of a gene
does not depend on which others are asked for; here that lets many genes grow their trees at once.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import GRNError
from ..progress import Progress, listener
from ..task.problem import Known
from .kept import Kept

RATE = 0.01
TREES = 5000
DEPTH = 3
FEATURES = 0.1
"""The share of the TFs that each split may choose from."""
SAMPLES = 0.9
"""The share of the samples that each tree sees."""
WINDOW = 25
"""Trees over which the improvement is averaged."""

SETTINGS = {
    "rate": RATE, "trees": TREES, "depth": DEPTH, "features": FEATURES, "samples": SAMPLES,
    "window": WINDOW,
}  # fmt: skip
"""All of these by name."""

_AT_ONCE = 100_000
"""Places for a split, of all genes together, that are compared at once."""

Numbers = NDArray[np.float64]


def importances(
    known: Known,
    seed: int,
    genes: ArrayLike | None = None,
    progress: Progress | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Numbers:
    """How much each TF helps to predict each gene.

    Args:
        known: expression and TFs; its edges are not looked at.
        seed: of the samples and TFs that each tree gets.
        genes: rows of the genes that are asked for; all by default.
        progress: called with genes done, genes in all, and what is being done.
        folder: keeps the scores of genes that are done; the same call goes on there, and the
            result has the same bits.

    Shape:
        genes: (some,); returns: (TFs, some), from 0 on.

    Raises:
        GRNError: there are fewer than five samples, or a folder with something else.

    Example:
        >>> from groundup.apps.grn.data.expression import Expression
        >>> values = np.random.default_rng(0).normal(size=(4, 20)).astype(np.float32)
        >>> values[3] += 2 * values[1]
        >>> names = [str(number) for number in range(20)]
        >>> scores = importances(Known.of_all(Expression(values, "abcd", names), [0, 1, 2]), 0, [3])
        >>> int(scores[:, 0].argmax())
        1
    """
    values = known.expression.values.astype(np.float64)
    samples = values.shape[1]
    if samples < 5:
        raise GRNError(f"{samples} samples, expected at least five to grow trees from")
    asked = np.arange(len(values)) if genes is None else np.asarray(genes, np.int64)
    own = np.full(len(values), -1)
    own[known.tfs] = np.arange(len(known.tfs))
    predictors = Predictors.of(values[known.tfs])
    found = np.zeros((len(known.tfs), len(asked)))
    places = np.arange(len(asked))
    kept = None
    if folder is not None:
        kept = Kept(folder, {"data": _digest(values, known.tfs, asked), "seed": seed, **SETTINGS})
        for done, scores in kept.read():
            found[:, done] = scores
            places = np.setdiff1d(places, done)
    size = max(1, _AT_ONCE // (predictors.chosen * samples))
    tell = progress or listener() or (lambda *told: None)
    tell(len(asked) - len(places), len(asked), "predicting genes by trees")
    try:
        for start in range(0, len(places), size):
            some = places[start : start + size]
            found[:, some] = _boosted(predictors, values[asked[some]], own[asked[some]], seed).T
            if kept is not None:
                kept.add(some, found[:, some])
            left = len(places) - start - len(some)
            tell(len(asked) - left, len(asked), "predicting genes by trees")
    finally:
        if kept is not None:
            kept.flush()
    return found


def _digest(values: Numbers, tfs: NDArray[np.int64], asked: NDArray[np.int64]) -> str:
    digest = hashlib.sha256()
    for array in (values, tfs, asked):
        digest.update(f"{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Predictors:
    """TFs, with their samples in order.

    Attributes:
        values: of each TF.
        order: samples of each TF from the lowest on.
        ends: whether the next sample in this order has a higher value.

    Shape:
        values, order: (TFs, samples); ends: (TFs, samples - 1).

    Example:
        >>> Predictors.of(np.array([[2.0, 1.0, 2.0]])).ends
        array([[ True, False]])
    """

    values: Numbers
    order: NDArray[np.int64]
    ends: NDArray[np.bool_]

    @classmethod
    def of(cls, values: Numbers) -> Predictors:
        """TFs by their values."""
        order = np.argsort(values, axis=1, kind="stable")
        return cls(values, order, np.diff(np.take_along_axis(values, order, axis=1), axis=1) > 0)

    @property
    def chosen(self) -> int:
        """How many TFs a split chooses from."""
        return max(1, int(FEATURES * len(self.values)))

    def split(
        self,
        target: Numbers,
        inside: NDArray[np.bool_],
        tfs: NDArray[np.int64],
        own: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], Numbers, Numbers]:
        """The split of each gene's samples that lessens the squared error most.

        Args:
            target: what is to be predicted.
            inside: samples that are to be parted.
            tfs: to choose from.
            own: the TF that each gene is, which does not predict it, or -1.

        Shape:
            target, inside: (genes, samples); tfs: (TFs to choose from,); own: (genes,).

        Returns:
            (TF, threshold, by how much the sum of squares falls), each (genes,); a fall of 0 where
            nothing can be parted.

        Example:
            >>> x = Predictors.of(np.array([[1.0, 2.0, 3.0, 4.0]]))
            >>> tf, threshold, gain = x.split(
            ...     np.array([[0.0, 0.0, 0.0, 4.0]]), np.ones((1, 4), bool), np.array([0]),
            ...     np.array([-1]),
            ... )
            >>> threshold.tolist(), gain.tolist()
            ([3.5], [12.0])
        """
        genes = np.arange(len(target))
        places = self.order[tfs][:, :-1]
        masked = target * inside
        # (genes, TFs, samples - 1): how many samples go left, and the sum of their targets.
        left = np.cumsum(inside[:, places], axis=2, dtype=np.float64)
        total = np.cumsum(masked[:, places], axis=2)
        count, whole = inside.sum(axis=1)[:, None, None], masked.sum(axis=1)[:, None, None]
        right = count - left
        # n_left n_right / n times the squared difference of both means, which is the fall.
        product = left * right
        fall = np.square(total * count - whole * left)
        np.divide(fall, product * np.maximum(count, 1), out=fall, where=product > 0)
        fall[product == 0] = 0
        fall *= self.ends[tfs]
        fall *= (own[:, None] != tfs)[:, :, None]
        flat = fall.reshape(len(target), -1)
        best = flat.argmax(axis=1)
        row, position = np.divmod(best, places.shape[1])
        tf = tfs[row]
        values = self.values[tf]
        low = values[genes, places[row, position]]
        above = np.where(inside & (values > low[:, None]), values, np.inf).min(axis=1)
        gain = flat[genes, best]
        return tf, np.where(gain > 0, (low + np.where(gain > 0, above, low)) / 2, 0), gain


def _boosted(x: Predictors, y: Numbers, own: NDArray[np.int64], seed: int) -> Numbers:
    """Importances of the TFs for several genes. Shape: (genes, samples) -> (genes, TFs)."""
    found = np.zeros((len(y), len(x.values)))
    active = np.flatnonzero(np.ptp(y, axis=1) > 0)
    residual = (y - y.mean(axis=1, keepdims=True))[active]
    total = np.zeros((len(active), len(x.values)))
    recent = np.zeros((len(active), WINDOW))
    kept = int(SAMPLES * y.shape[1])
    for number in range(TREES):
        if len(active) == 0:
            break
        random = np.random.default_rng([seed, number])
        seen = np.zeros(y.shape[1], bool)
        seen[random.permutation(y.shape[1])[:kept]] = True
        step = RATE * _tree(x, residual, seen, own[active], total, random)
        before, after = residual[:, ~seen], (residual - step)[:, ~seen]
        recent[:, number % WINDOW] = (before**2 - after**2).mean(axis=1)
        residual -= step
        last = number + 1 == TREES
        ends = (recent.mean(axis=1) < 0) if number + 1 >= WINDOW else np.zeros(len(active), bool)
        ends |= last
        if ends.any():
            share = total[ends] / np.maximum(total[ends].sum(axis=1, keepdims=True), 1e-300)
            found[active[ends]] = share * (number + 1)
            go = ~ends
            active, residual, total, recent = active[go], residual[go], total[go], recent[go]
    return found


def _tree(
    x: Predictors,
    target: Numbers,
    seen: NDArray[np.bool_],
    own: NDArray[np.int64],
    total: Numbers,
    random: np.random.Generator,
) -> Numbers:
    """What a tree grown on the samples seen predicts for all; `total` gains what TFs did.

    Shape: target: (genes, samples) -> (genes, samples); total: (genes, TFs).
    """
    genes = np.arange(len(target))
    node = np.zeros(target.shape, np.int64)
    for level in range(DEPTH):
        right = np.zeros(target.shape, bool)
        for number in range(2**level):
            member = node == number
            tfs = random.choice(len(x.values), x.chosen, replace=False)
            tf, threshold, gain = x.split(target, member & seen, tfs, own)
            total[genes, tf] += gain
            right |= member & (x.values[tf] > threshold[:, None]) & (gain > 0)[:, None]
        node = 2 * node + right
    leaves = 2**DEPTH
    place = node + leaves * genes[:, None]
    size = len(target) * leaves
    sums = np.bincount(place[:, seen].ravel(), target[:, seen].ravel(), minlength=size)
    counts = np.bincount(place[:, seen].ravel(), minlength=size)
    return (sums / np.maximum(counts, 1))[place]
