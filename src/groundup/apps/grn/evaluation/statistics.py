r"""How sure one can be: intervals clustered by TF, a paired permutation test, Holm's correction.

Pairs of one TF are not independent: its targets are found together or not at all. So it is the TFs
that are drawn, each with all its pairs, and that count. The seeds of an evaluation share TFs and
most edges; a TF is therefore drawn or swapped in all seeds at once, and seeds add no certainty
that is not there.

All rests on the wins between TFs: with $U_{ab}$ the number of pairs of an edge of TF $a$ and an
unlabelled pair of TF $b$ in which the edge is scored higher (ties count half), $p_a$ and $n_b$
their numbers, and $w$ how often each TF is taken,

$$\mathrm{AUROC}(w) = \frac{w^\top U w}{(w^\top p)(w^\top n)}.$$
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..task.metrics import ranks

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of the pairs of one seed.

    Attributes:
        tfs: the number of the TF of each pair.
        labels: whether each is an edge.
        scores: the higher, the more likely an edge.

    Shape:
        tfs, labels, scores: (pairs,).

    Example:
        >>> Scored(np.array([0, 0]), np.array([True, False]), np.array([0.9, 0.1])).scores.sum()
        np.float64(1.0)
    """

    tfs: NDArray[np.int64]
    labels: NDArray[np.bool_]
    scores: Numbers


@dataclass(frozen=True)
class Interval:
    """A number with its interval.

    Attributes:
        value: of the data.
        low, high: ends of the interval.

    Example:
        >>> print(Interval(0.71234, 0.68, 0.74))
        0.712 (0.680 to 0.740)
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Difference:
    """A difference and how likely one as large is by chance.

    Attributes:
        value: of the AUROC, averaged over the seeds.
        p: of a difference at least as large, to either side, if the methods are alike.

    Example:
        >>> Difference(0.2, 0.001).p
        0.001
    """

    value: float
    p: float


def bootstrap(
    seeds: Sequence[Scored],
    metric: Literal["auroc", "auprc"],
    random: np.random.Generator,
    *,
    resamples: int,
    confidence: float = 0.95,
) -> Interval:
    """The mean of a metric over the seeds, with a percentile interval clustered by TF.

    As many TFs as there are are drawn with replacement, each with all its pairs in all seeds
    (Field and Welsh, 2007). With fewer than about twenty TFs such intervals are too narrow.

    Args:
        seeds: scores of one method.
        metric: which.
        random: draws.
        resamples: how many draws.
        confidence: that the interval covers.

    Example:
        >>> random = np.random.default_rng(0)
        >>> tfs, labels = np.repeat(np.arange(30), 10), np.tile([True, False], 150)
        >>> scored = Scored(tfs, labels, labels + random.normal(size=300))
        >>> found = bootstrap([scored], "auroc", random, resamples=500)
        >>> found.low < found.value < found.high
        True
    """
    of = _auroc if metric == "auroc" else _auprc
    units = _units(seeds)
    one = np.ones((1, len(units)))
    value = float(np.mean([of(one, scored, units) for scored in seeds]))
    weights = _multiplicities(len(units), resamples, random)
    drawn = _mean([of(weights, scored, units) for scored in seeds])
    return _percentiles(value, drawn, confidence)


def permutation_test(
    method: Sequence[Scored],
    other: Sequence[Scored],
    random: np.random.Generator,
    *,
    permutations: int = 2000,
) -> Difference:
    """Whether two methods differ in their mean AUROC, given the same pairs.

    Scores become ranks among all pairs of their seed. If the methods are alike, which of both ranks
    a pair has does not matter: for each TF drawn, both methods swap the ranks of its pairs, in all
    seeds. The p-value is the share of swaps, and of the data itself, with a difference as large
    (Fisher, 1935; Phipson and Smyth, 2010), so it is never 0.

    Args:
        method: scores of one method, by seed.
        other: scores of the other one, of the same pairs.
        random: draws the TFs that swap.
        permutations: how many draws.

    Raises:
        ValueError: other pairs, or another number of seeds.

    Example:
        >>> random = np.random.default_rng(0)
        >>> tfs, labels = np.repeat(np.arange(30), 10), np.tile([True, False], 150)
        >>> one = Scored(tfs, labels, labels + random.normal(size=300))
        >>> permutation_test([one], [Scored(tfs, labels, random.normal(size=300))], random).p < 0.01
        True
    """
    same = len(method) == len(other) and all(
        np.array_equal(one.tfs, two.tfs) and np.array_equal(one.labels, two.labels)
        for one, two in zip(method, other, strict=True)
    )
    if not same:
        raise ValueError("a paired test needs scores of the same pairs, seed by seed")
    units = _units(method)
    swapped = random.random((permutations, len(units))) < 0.5
    swapped = np.concatenate([np.zeros((1, len(units)), bool), swapped])
    kept, given = (~swapped).astype(np.float64), swapped.astype(np.float64)
    found = np.zeros(len(swapped))
    for one, two in zip(method, other, strict=True):
        a, b = (Scored(s.tfs, s.labels, ranks(s.scores)) for s in (one, two))
        # The AUROC after the swap, in its four parts: whose edges against whose unlabelled pairs.
        aa, ab, ba, bb = (_wins(x, y, units) for x in (a, b) for y in (a, b))
        among = np.count_nonzero(one.labels) * np.count_nonzero(~one.labels)

        def wins(mine: Numbers, theirs: Numbers, parts: Sequence[Numbers]) -> Numbers:
            halves = (mine, mine, theirs, theirs), (mine, theirs, mine, theirs)
            return sum(
                (((x @ part) * y).sum(axis=1) for x, y, part in zip(*halves, parts, strict=True)),
                start=np.zeros(len(mine)),
            )

        of_method = wins(kept, given, (aa, ab, ba, bb))
        of_other = wins(given, kept, (aa, ab, ba, bb))
        found += (of_method - of_other) / among / len(method)
    # Sums in another order differ in the last bits.
    as_large = np.abs(found) >= abs(found[0]) - 1e-12
    return Difference(float(found[0]), float(as_large.mean()))


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """P-values for several tests at once (Holm, 1979): all below 0.05 are wrong once in twenty.

    Args:
        p: of each test alone.

    Example:
        >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
        {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    found: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(p, key=lambda name: p[name])):
        largest = max(largest, min(1.0, (len(p) - place) * p[name]))
        found[name] = largest
    return {name: found[name] for name in p}


def _units(seeds: Sequence[Scored]) -> NDArray[np.int64]:
    """The TFs of all seeds."""
    if not seeds:
        raise ValueError("no seed given, expected the scores of at least one")
    return np.unique(np.concatenate([scored.tfs for scored in seeds]))


def _multiplicities(units: int, resamples: int, random: np.random.Generator) -> Numbers:
    """How often each unit is drawn. Shape: (resamples, units)."""
    return random.multinomial(units, np.full(units, 1 / units), size=resamples).astype(np.float64)


def _wins(edges: Scored, others: Scored, units: NDArray[np.int64]) -> Numbers:
    """Wins of the edges of a TF, by their scores, over others of a TF, by theirs; ties count half.

    Shape: returns (TFs of the edges, TFs of the others).
    """
    of_edge = np.searchsorted(units, edges.tfs[edges.labels])
    scores = edges.scores[edges.labels]
    found = np.zeros((len(units), len(units)))
    unlabelled, own = others.scores[~others.labels], others.tfs[~others.labels]
    order = np.lexsort((unlabelled, own))
    unlabelled, own = unlabelled[order], own[order]
    starts, ends = np.searchsorted(own, units, "left"), np.searchsorted(own, units, "right")
    for column, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if end > start:
            some = unlabelled[start:end]
            below = np.searchsorted(some, scores, "left") + np.searchsorted(some, scores, "right")
            found[:, column] = np.bincount(of_edge, below / 2, minlength=len(units))
    return found


def _auroc(weights: Numbers, scored: Scored, units: NDArray[np.int64]) -> Numbers:
    """AUROC with each pair as often as its TF is taken.

    Shape: weights (resamples, TFs); returns (resamples,), NaN where one kind of pair is missing.
    """
    place = np.searchsorted(units, scored.tfs)
    edges = np.bincount(place[scored.labels], minlength=len(units))
    others = np.bincount(place[~scored.labels], minlength=len(units))
    won = ((weights @ _wins(scored, scored, units)) * weights).sum(axis=1)
    among = (weights @ edges) * (weights @ others)
    return np.divide(won, among, out=np.full(len(weights), np.nan), where=among > 0)


def _auprc(weights: Numbers, scored: Scored, units: NDArray[np.int64]) -> Numbers:
    """Average precision with each pair as often as its TF is taken.

    Recall grows at scores of edges alone, so that the pairs of each TF above those are all that has
    to be counted, once.

    Shape: weights (resamples, TFs); returns (resamples,), NaN where no edge is taken.
    """
    levels = np.unique(scored.scores[scored.labels])[::-1]
    edges, pairs = (
        weights @ _above(levels, scored.tfs[kept], scored.scores[kept], units)
        for kept in (scored.labels, np.ones(len(scored.labels), bool))
    )
    precision = np.divide(edges, pairs, out=np.zeros_like(edges), where=pairs > 0)
    total = edges[:, -1]
    gained = (np.diff(edges, axis=1, prepend=0) * precision).sum(axis=1)
    return np.divide(gained, total, out=np.full(len(weights), np.nan), where=total > 0)


def _above(
    levels: Numbers, tfs: NDArray[np.int64], scores: Numbers, units: NDArray[np.int64]
) -> Numbers:
    """How many of the scores of each TF are at least at each level.

    Shape: returns (TFs, levels).
    """
    order = np.lexsort((scores, tfs))
    own, sorted_scores = tfs[order], scores[order]
    starts, ends = np.searchsorted(own, units, "left"), np.searchsorted(own, units, "right")
    return np.array(
        [
            end - start - np.searchsorted(sorted_scores[start:end], levels, "left")
            for start, end in zip(starts, ends, strict=True)
        ],
        np.float64,
    )


def _mean(drawn: Sequence[Numbers]) -> Numbers:
    """Over the seeds in which there is a value; draws without any are left out."""
    values = np.stack(drawn)
    there = np.isfinite(values)
    count = there.sum(axis=0)
    total = np.where(there, values, 0).sum(axis=0)
    return total[count > 0] / count[count > 0]


def _percentiles(value: float, drawn: Numbers, confidence: float) -> Interval:
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high))
